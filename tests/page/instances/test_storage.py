from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orchestrator.page.instances.details import Details
from orchestrator.page.instances.storage import Kept, keep, rooms
from orchestrator.paths import RunPaths

SMALL = {"thought": "x"}
LARGE = {"thought": "x" * 20_000}


def details(instance_id: str = "a__b-1", steps: int = 1, **step: str) -> Details:
    return Details(instance_id, {"id": instance_id}, [step or SMALL] * steps)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "a-run")


def files(paths: RunPaths) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths.report_files.glob("*")}


def handed_over(text: bytes) -> tuple[str, dict[str, object]]:
    """What a file tells the page: the instance, and parts."""
    call = re.fullmatch(r"receiveDetails\((.*)\);\n", text.decode("ascii"))
    assert call is not None
    instance_id, parts = json.loads(f"[{call[1]}]")
    return instance_id, parts


def test_small_details_stand_in_the_page_and_nothing_beside_it(paths: RunPaths) -> None:
    (kept,) = keep([details()], paths)

    assert json.loads(kept.embedded) == {"overview": {"id": "a__b-1"}, "steps": [SMALL]}
    assert (kept.url, files(paths)) == ("", {})


def test_a_large_trajectory_lies_beside_the_page(paths: RunPaths) -> None:
    (kept,) = keep([details(**LARGE)], paths)

    assert json.loads(kept.embedded) == {"overview": {"id": "a__b-1"}}
    assert kept.url == "report_files/a__b-1.js"
    assert handed_over(files(paths)["a__b-1.js"]) == ("a__b-1", {"steps": [LARGE]})


@pytest.mark.slow
def test_a_page_holds_at_most_2_mb_of_details(paths: RunPaths) -> None:
    some = (details(f"a__b-{n}", steps=900, thought="x") for n in range(300))

    kept = keep(some, paths)

    embedded = sum(len(one.embedded) for one in kept)
    assert 300_000 < embedded < sum(room.left for room in rooms().values()) + 300 * 20
    assert kept[0].url == ""
    assert kept[-1].url  # first come, first served


def test_the_same_details_give_the_same_bytes(paths: RunPaths) -> None:
    def once() -> tuple[tuple[Kept, ...], dict[str, bytes]]:
        return keep([details("a", **LARGE), details("b")], paths), files(paths)

    assert once() == once()


def test_what_an_earlier_report_left_goes_away(paths: RunPaths) -> None:
    keep([details("a", **LARGE), details("b", **LARGE)], paths)

    keep([details("b", **LARGE)], paths)

    assert files(paths).keys() == {"b.js"}


@pytest.mark.parametrize(
    ("instance_id", "url"),
    [
        ("a/../../b", "report_files/a-..-..-b~"),
        ("a b#c?d%", "report_files/a%20b%23c%3Fd%25.js"),
        ("größe", "report_files/gr%C3%B6%C3%9Fe.js"),
        ("x" * 300, "report_files/xxx"),
        ("..", "report_files/"),
    ],
)
def test_an_odd_name_is_one_file_in_the_folder(paths: RunPaths, instance_id: str, url: str) -> None:
    (kept,) = keep([details(instance_id, **LARGE)], paths)

    assert kept.url.startswith(url)
    assert [path.parent for path in paths.root.rglob("*.js")] == [paths.report_files]


def test_no_text_ends_the_element_that_it_stands_in(paths: RunPaths) -> None:
    odd = "</script><!--<script>\u2028&amp;"

    (kept,) = keep([details(thought=odd)], paths)

    assert "<" not in kept.embedded
    assert kept.embedded.isascii()
    assert json.loads(kept.embedded)["steps"] == [{"thought": odd}]
