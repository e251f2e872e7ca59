"""`images` as people meet it: its commands, its wrong usage."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.commands import Ended

pytestmark = pytest.mark.slow

Say = Callable[..., Ended]


def test_images_stand_in_the_help_with_their_commands(say: Say) -> None:
    assert "images" in say("--help").stdout
    said = say("images --help").stdout

    assert all(name in said for name in ("plan", "pull", "list", "prune", "mirror"))


@pytest.mark.parametrize(
    "args",
    [
        "images plan no-such-benchmark",
        "images pull demo --set cluster.sandbox.kind=process",
        "images list demo --instances no-such-instance",
        "images prune demo --graded no-such-run --set cluster.sandbox.kind=process",
        "images mirror demo --to http://spark:5000",
        "images mirror demo",
    ],
)
def test_wrong_usage_is_said_without_a_traceback(say: Say, args: str) -> None:
    ended = say(args)

    assert ended.exit_code == 2
    assert "Traceback" not in ended.stderr
