from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console
from support.programs import import_script

compared, watched = import_script("compared_sides"), import_script("watched_side")
RAY = import_script("ray_alone").RayAlone(start_s=5.0, peak_mb=500.0)
IDS = ("sympy__sympy-1", "sympy__sympy-2", "sympy__sympy-3")


def side(name: str, **changes: Any) -> Any:
    """Three instances in 100 s, of which the first 10 s are its start, with 300 MB."""
    parts = dict.fromkeys(watched.PARTS, 0.0) | {"start": 10.0, "rollouts": 90.0}
    facts: dict[str, Any] = {
        "name": name,
        "verdicts": dict.fromkeys(IDS, True),
        "calls": dict.fromkeys(IDS, 3),
        "shortest_answer_s": 3.2,
        "wall_s": 100.0,
        "parts_s": parts,
        "grades": [(0.0, 20.0), (0.0, 10.0), (10.0, 20.0)],
        "peak_mb": 300.0,
        "processes": 4,
        "left_over": 0,
        "load": (0.4, 2.1),
    }
    return watched.Measured(**facts | changes)


def ours(start_s: float = 10.0, **changes: Any) -> Any:
    parts = dict.fromkeys(watched.PARTS, 0.0) | {"start": start_s}
    return side("ours mini", **{"wall_s": 50.0, "parts_s": parts} | changes)


def pair(our: Any, their: Any = None) -> Any:
    return compared.Pair(their or side("mini-extra swebench"), our, RAY)


@pytest.fixture
def setup(tmp_path: Any) -> Any:
    facts = {"dataset": None, "benchmark": "demo", "config": None, "folder": tmp_path}
    return watched.Setup(**facts, slots=4, graders=2, our_graders="auto", calls=3, delay_s=3.0)


def printed(of: Any, setup: Any) -> str:
    console = Console(file=io.StringIO(), width=100)
    compared.print_pair("B", of, setup, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"wall_s": 55.0, "start_s": 15.0, "peak_mb": 800.0}, []),
        ({"wall_s": 55.2}, ["wall"]),
        ({"start_s": 15.1}, ["start"]),
        ({"peak_mb": 801.0}, ["memory"]),
        ({"wall_s": 99.0, "start_s": 99.0, "peak_mb": 999.0}, ["wall", "start", "memory"]),
    ],
)
def test_an_aim_is_kept_up_to_its_limit(changes: Any, missed: list[str], setup: Any) -> None:
    found = pair(ours(**changes))

    assert [aim.what for aim in found.aims if not aim.is_kept] == missed
    assert printed(found, setup).count("B: missed") == len(missed)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"verdicts": {**dict.fromkeys(IDS, True), IDS[1]: False}}, f"{IDS[1]} is not resolved"),
        ({"verdicts": {**dict.fromkeys(IDS, True), IDS[2]: None}}, f"{IDS[2]} is without a verd"),
        ({"calls": {**dict.fromkeys(IDS, 3), IDS[0]: 6}}, f"take 3 answers: {IDS[0]} took 6"),
        ({"calls": {**dict.fromkeys(IDS, 3), IDS[0]: 0}}, f"take 3 answers: {IDS[0]} took 0"),
        ({"shortest_answer_s": 1.0}, "asked again after 1.00 s, and every answer takes 3 s"),
    ],
)
@pytest.mark.parametrize("whose", ["theirs", "ours"])
def test_a_side_that_did_something_else_is_not_compared(
    changes: Any, complaint: str, whose: str, setup: Any
) -> None:
    sides = {"theirs": side("mini-extra swebench"), "ours": ours()}
    sides[whose] = ours(**changes) if whose == "ours" else side("mini-extra swebench", **changes)
    found = compared.Pair(**sides, ray=RAY)

    [words] = compared.problems_of(found, setup)
    assert words.startswith(sides[whose].name)
    assert complaint in words
    text = printed(found, setup)
    assert f"B: NOT COMPARABLE: {words}" in text
    assert "wall 50.0 s, at most" not in text


@pytest.mark.parametrize(
    ("theirs", "our", "others"),
    [
        ((True, True, True), (True, True, True), []),
        ((True, False, True), (True, False, True), []),
        ((True, False, True), (True, True, False), [IDS[1], IDS[2]]),  # as many on either side
        ((True, True, True), (True, None, True), [IDS[1]]),
        ((None, True, True), (None, True, True), [IDS[0]]),  # nobody has reached one
    ],
)
def test_verdicts_are_compared_instance_by_instance(
    theirs: Any, our: Any, others: list[str], setup: Any
) -> None:
    by_id = [dict(zip(IDS, said, strict=True)) for said in (theirs, our)]
    found = pair(ours(verdicts=by_id[1]), side("theirs", verdicts=by_id[0]))

    assert found.other_verdicts == others
    same = f"the same verdict on both sides of {3 - len(others)} of 3 instances"
    named = f"; not of {', '.join(others)}" if others else ""
    word = "missed" if others else "kept"
    assert f"B: {word}: {same}{named}\n" in printed(found, setup)


@pytest.mark.parametrize(
    ("grades", "graders", "bound_s"),
    [
        ([(0, 20), (0, 10), (10, 20)], 2, 20),
        ([(0, 20), (0, 10), (10, 20)], 1, 40),
        ([(5, 65), (0, 10), (0, 10)], 4, 60),  # none takes less than the longest
        ([], 2, 0),
    ],
)
def test_the_bound_is_what_the_gradings_alone_take(
    grades: Any, graders: int, bound_s: float
) -> None:
    assert compared.gradings_alone_s(side("theirs", grades=grades), graders) == bound_s


def test_the_table_tells_graders_the_bound_and_what_is_rays_own(setup: Any) -> None:
    text = printed(pair(ours(start_s=13.0, peak_mb=950.0)), setup)

    assert "3 answers each of 3 s" in text
    assert "graders: theirs 2, ours auto" in text
    for row in (
        ("bound: gradings alone, by 2, s", "20.0", "", ""),
        ("gradings at once, at most", "2", "2", ""),
        ("start less Ray's own s", "10.0", "8.0", "0.80"),
        ("memory less Ray's own MB", "300", "450", "1.50"),
        ("Ray's own: to an actor's answer s", "", "5.0", ""),
        ("Ray's own: peak PSS MB", "", "500", ""),
        ("host's load before, at the end", "0.4, 2.1", "0.4, 2.1", ""),
    ):
        line = next(line for line in text.splitlines() if row[0] in line)
        assert tuple(cell.strip() for cell in line.strip("│").split("│")) == row


def test_json_has_all_that_the_table_has(setup: Any) -> None:
    found = pair(ours(start_s=16.0, peak_mb=950.0, shortest_answer_s=float("inf")))

    said = json.loads(json.dumps(compared.as_json(found, setup), allow_nan=False))

    assert said["graders"] == {"theirs": 2, "ours": "auto"}
    assert said["ray_alone"] == {"start_s": 5.0, "peak_mb": 500.0}
    assert said["their_gradings_alone_s"] == 20
    assert said["theirs"]["verdicts"] == dict.fromkeys(IDS, True)
    assert said["ours"]["resolved"] == 3
    assert said["ours"]["shortest_answer_s"] is None
    assert said["figures"]["peak_less_ray_mb"] == {"theirs": 300, "ours": 450, "ratio": 1.5}
    assert {aim["what"]: aim["is_kept"] for aim in said["aims"]} == {
        "wall": True,
        "start": False,
        "memory": False,
    }
    assert said["problems"] == []
    assert said["other_verdicts"] == []
