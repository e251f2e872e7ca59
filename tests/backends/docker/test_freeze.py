"""A container in which processes start without end is frozen at last."""

from __future__ import annotations

from typing import cast

import docker.errors
import pytest
from docker.models.containers import Container

from orchestrator.backends.docker import sandbox
from orchestrator.backends.docker.sandbox import FREEZE_AGAIN_S, _freeze

BUSY = "Cannot pause container 3c10: OCI runtime pause failed: unable to freeze: unknown"


class Restless:
    def __init__(self, *errors: str) -> None:
        self.errors = list(errors)
        self.frozen = False

    def pause(self) -> None:
        if self.errors:
            raise docker.errors.APIError(self.errors.pop(0))
        self.frozen = True


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.time, "sleep", lambda seconds: None)


@pytest.mark.parametrize("times", range(len(FREEZE_AGAIN_S) + 1))
def test_it_is_tried_again_where_the_system_gives_up(times: int) -> None:
    container = Restless(*[BUSY] * times)

    _freeze(cast(Container, container))

    assert container.frozen


@pytest.mark.parametrize("errors", [[BUSY] * 9, ["No such container: 3c10"]])
def test_what_stays_wrong_is_told(errors: list[str]) -> None:
    container = Restless(*errors)

    with pytest.raises(docker.errors.APIError, match=errors[0][:12]):
        _freeze(cast(Container, container))
    assert len(container.errors) == max(0, len(errors) - len(FREEZE_AGAIN_S) - 1)
