from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from support.pages import CONFIG, Page, page_of, subject_of
from support.rows import asked, decision, failed, graded, rolled, sampled, state

from orchestrator.config import RunRequest, load_config
from orchestrator.config.schema import Predictions
from orchestrator.evidence.facts import Cause, Finding
from orchestrator.journal import SessionRow
from orchestrator.report.published import Published
from orchestrator.types import Outcome, Usage

pytestmark = pytest.mark.slow

GOLD = load_config(RunRequest("demo", run_id="r1", agent="gold"))
PREDICTED = CONFIG.model_copy(
    update={"agent": None, "model": None, "predictions": Predictions(name="they")}
)
NIGHT = state(
    rolled(
        "a-1",
        usage=Usage(3, 100, 10, model_s=20, held_s=5),
        phases_s={"image": 1, "sandbox": 2, "agent": 60, "harvest": 1, "remove": 1},
        started_at=1000,
        ended_at=1065,
    ),
    failed("b-1", 1),
    rolled("b-1", 2, outcome=Outcome.STEP_LIMIT, salvaged=True),
    rolled("a-2", patch="", outcome=Outcome.GAVE_UP),
    grades=[graded("a-1", True), graded("b-1", False, attempt=2)],
    sessions=[SessionRow(1000, 1100, 1100)],
    ids=("a-1", "b-1", "a-2"),
    requests=[asked("a-1", prompt_tokens=100, completion_tokens=10)],
    samples=[sampled(1010), sampled(1020, down_s=10.0, outages=1), sampled(1030)],
)
ONE = state(rolled("a"), grades=[graded("a", True)], ids=("a",))
LOOPED = Finding("b-1", Cause.LOOPED, "it did x 9 times")
OTHERS = [Published("x" * 90, 1, 300, "them"), Published("y\ud800\u202e", 300, 300)]
RUNS = {
    "a night": subject_of(NIGHT, findings={"b-1": LOOPED}),
    "nothing done": subject_of(state()),
    "no instance": subject_of(state(ids=())),
    "one instance": subject_of(ONE),
    "none resolved": subject_of(
        state(*map(rolled, "abc"), grades=[graded(i, False) for i in "abc"])
    ),
    "all resolved": subject_of(state(*map(rolled, "abc"), grades=[graded(i, True) for i in "abc"])),
    "all failed": subject_of(state(*map(failed, "abc"))),
    "gold": subject_of(ONE, GOLD),
    "predictions": subject_of(state(rolled("a"), grades=[graded("a", False)]), PREDICTED),
    "no samples": subject_of(replace(NIGHT, samples=())),
    "decided": subject_of(state(failed("a"), ids=("a",), decisions=[decision("a")])),
    "not graded": subject_of(state(rolled("a"), ids=("a",))),
    "grade failed": subject_of(state(rolled("a"), grades=[graded("a", None)], ids=("a",))),
    "beside others": subject_of(ONE, published=OTHERS),
    "odd names": subject_of(state(ids=("<b>&-1", "ü-\u202e2", "e\x1b[31m-3", "a" * 200 + "-4"))),
}
every_run = pytest.mark.parametrize("run", RUNS)
Pages = Callable[[str], Page]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """The page of one of RUNS, which is made once."""
    return cache(lambda run: page_of(RUNS[run], tmp_path_factory.mktemp("run")))


@every_run
def test_every_run_has_a_page_whose_links_lead_somewhere(run: str, page: Pages) -> None:
    found = page(run)

    assert len(found.ids) == len(set(found.ids))
    inside = [t.removeprefix("#") for t in found.targets if re.match("#[^/]", t)]
    assert inside
    assert set(inside) <= set(found.ids)
    # a run's own files beside it, instances by their hash, and nothing of anybody else
    rest = {t for t in found.targets if not t.startswith("#")}
    assert rest <= {"run.yaml", "lock.json", "report.json"}


@every_run
def test_headings_go_down_one_level_at_a_time(run: str, page: Pages) -> None:
    levels = page(run).headings

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_same_journal_gives_the_same_bytes(tmp_path: Path) -> None:
    first, _, again = (page_of(RUNS[run], tmp_path) for run in ("a night", "gold", "a night"))

    assert first.html == again.html


def test_a_page_loads_nothing_and_says_so_to_the_browser(page: Pages) -> None:
    html = page("a night").html

    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;;")
    assert "http" not in policy[1]
    assert not re.search(r'(src|href)="(https?:)?//', html)
    assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", html)


def test_the_number_is_large_where_it_may_be_quoted(page: Pages) -> None:
    found = page("one instance")

    assert '<p class="rate"><strong>100.0%</strong></p>' in found.html
    assert "1 of 1 instance resolved" in found.text
    assert "Valid: every instance has a verdict" in found.text


def test_the_reason_comes_before_the_number_where_it_may_not_be_quoted(page: Pages) -> None:
    found = page("all failed")

    assert 'class="rate"' not in found.html
    quarantined = found.text.index("Quarantined 3 of 3 instances have no verdict")
    assert quarantined < found.text.index("0 of 3 instances resolved")
    assert "not to be quoted" in found.text


def test_what_was_never_tried_is_unfinished_and_not_suspect(page: Pages) -> None:
    found = page("nothing done")

    assert "Unfinished 3 of 3 instances have no verdict" in found.text
    assert "there is no number yet" in found.text
    assert "interval" not in found.text
    assert "Quarantined" not in found.text


def test_published_results_stand_on_the_same_axis_and_are_said_not_to_be_ours(
    page: Pages,
) -> None:
    found = page("beside others")

    assert "were not reproduced here. Not all are of the same 1 instance as this run." in found.text
    assert "x" * 90 in found.text  # whole in the table, cut in the picture
    assert "them" in found.text


def test_sections_with_nothing_to_say_are_left_out(page: Pages) -> None:
    found = page("gold")

    assert {"causes", "warnings", "spending"}.isdisjoint(found.ids)
    assert {"result", "funnel", "repositories", "night", "instances", "setup"} <= set(found.ids)
    assert "Nothing was sampled" in found.text


def test_names_of_others_stay_text(page: Pages) -> None:
    found = page("odd names")

    assert "<b>&-1" in found.text
    assert "\u202e" not in found.html


def test_pages_of_a_few_instances_are_small(page: Pages) -> None:
    of_instances = len(page("a night").html.encode("utf-8"))

    assert of_instances < 1_000_000  # DataTables is two thirds of it


def test_a_valid_run_with_warnings_sends_its_reader_to_them_first(tmp_path: Path) -> None:
    plain = page_of(subject_of(ONE), tmp_path).text
    warned = page_of(subject_of(ONE, notes=["look at this"]), tmp_path)

    assert "Valid: every instance has a verdict." in plain
    assert "Before you quote the number, read what is worth knowing" in warned.text
    assert "#warnings" in warned.targets
