"""Two or more compared: figures a second time by statsmodels, refusals, and no nonsense."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.published import REAL_RESULTS, write_made_up

from orchestrator.compare.build import Comparison, build_comparison
from orchestrator.compare.markdown import render_comparison_markdown
from orchestrator.compare.page import render_comparison_page
from orchestrator.compare.read import read_sides
from orchestrator.compare.sides import Costs, Side
from orchestrator.compare.view import render_comparison
from orchestrator.errors import ConfigError


def side(name: str, verdicts: str, **more: Any) -> Side:
    """`+-?` an instance: resolved, not, without a verdict."""
    share = {"+": 1.0, "-": 0.0, "?": None}
    return Side(name, "a run", {f"i-{n}": share[v] for n, v in enumerate(verdicts)}, **more)


def texts(found: Comparison) -> tuple[str, str, str]:
    """On the terminal, in Markdown, as a page."""
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(render_comparison(found))
    console.file.close()
    here = Path("/runs")
    return (
        console.export_text(),
        render_comparison_markdown(found, here),
        render_comparison_page(found, here),
    )


def checked(file: Path) -> None:
    """All pairs of a file's systems, by statsmodels."""
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.proportion import proportion_confint

    data = json.loads(file.read_text(encoding="utf-8"))
    n, systems = data["instances"], {k: set(v) for k, v in data["systems"].items()}
    found = build_comparison(read_sides([f"published:{file}"], file.parent))
    for each in found.sides:
        count = len(systems[each.name])
        assert (each.instances, each.resolved) == (n, count)
        assert each.ci95 == pytest.approx(proportion_confint(count, n, method="wilson"))
    for pair in found.pairs:
        one, other = systems[pair.one], systems[pair.other]
        table = [[len(one & other), len(one - other)], [len(other - one), n - len(one | other)]]
        paired = pair.paired
        assert [[paired.both, paired.better], [paired.worse, paired.neither]] == table
        assert paired.p == pytest.approx(min(1.0, mcnemar(table, exact=True).pvalue))
        assert paired.difference == pytest.approx((len(one) - len(other)) / n)
    theirs = multipletests([pair.paired.p for pair in found.pairs], method="holm")[1]
    assert [pair.p_holm for pair in found.pairs] == pytest.approx(theirs)
    assert sum(solved.count for solved in found.solved) == n


@pytest.mark.slow
def test_figures_of_published_results_are_those_of_statsmodels(tmp_path: Path) -> None:
    checked(write_made_up(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(not REAL_RESULTS.exists(), reason="the real published results are not here")
def test_figures_of_the_ten_published_systems_are_those_of_statsmodels() -> None:
    checked(REAL_RESULTS)


@pytest.mark.parametrize(
    ("one", "other", "p", "difference"),
    [
        ("+", "+", 1.0, 0.0),
        ("-", "-", 1.0, 0.0),
        ("+", "-", 1.0, 1.0),
        ("+" * 40, "+" * 40, 1.0, 0.0),
        ("-" * 40, "-" * 40, 1.0, 0.0),
        ("+" * 40, "-" * 40, 2 * 0.5**40, 1.0),
        ("+-" * 20, "-+" * 20, 1.0, 0.0),
    ],
)
def test_no_pair_is_nonsense(one: str, other: str, p: float, difference: float) -> None:
    costs = Costs(tokens=100, seconds=9.0)
    found = build_comparison([side("a", one, costs=costs), side("b", other, costs=costs)])
    (pair,) = found.pairs

    assert pair.paired.p == pytest.approx(p)
    assert pair.paired.difference == difference
    low, high = pair.paired.ci95
    assert -1 <= low <= difference <= high <= 1
    assert low < high
    json.dumps(found.as_dict(), allow_nan=False)
    for each in found.sides:
        assert (each.tokens_per_resolved is None) == (each.resolved == 0)
    for text in texts(found):
        assert "nan" not in text.replace("instance", "")
        assert "None" not in text.replace("'none'", "")


def test_six_instances_that_all_differ_are_called_a_difference_and_five_are_not() -> None:
    assert "a is better" in texts(build_comparison([side("a", "+" * 6), side("b", "-" * 6)]))[0]
    five = texts(build_comparison([side("a", "+" * 5), side("b", "-" * 5)]))[0]
    assert "no proof that there is none" in " ".join(five.split())
    assert "5 instances could show no difference at all: it takes 6" in " ".join(five.split())


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ("+", "-", "1 instance could show no difference at all: it takes 6 that all differ"),
        (
            "+" * 40,
            "+" * 40,
            "40 instances could hardly show any difference where none of them differ",
        ),
        (
            "+" * 40,
            "+" * 37 + "-" * 3,
            "40 instances could hardly show any difference where 3 of them differ",
        ),
    ],
)
def test_why_no_difference_could_be_shown_is_told(one: str, other: str, says: str) -> None:
    for text in texts(build_comparison([side("a", one), side("b", other)])):
        assert says in " ".join(text.split())


def test_of_many_pairs_it_is_told_which_numbers_are_corrected_for_that() -> None:
    sides = [side("a", "+" * 8 + "-" * 32), side("b", "-" * 40), side("c", "-" * 40)]

    for text in texts(build_comparison(sides)):
        told = " ".join(text.split())
        assert "p is corrected for all 3 pairs (Holm)" in told
        assert "smallest differences are of each pair alone" in told
        assert "a is better (p 0.023 corrected, 0.0078 alone)" in told
    for text in texts(build_comparison(sides[:2])):
        told = " ".join(text.split())
        assert "corrected" not in told
        assert "a is better (p 0.0078)" in told


def test_who_is_better_at_more_instances_and_has_the_lower_rate_is_not_called_better() -> None:
    often = Side("a", "runs", {f"i-{n}": 0.1 if n < 20 else 0.0 for n in range(26)}, attempts=10)
    once = Side("b", "runs", {f"i-{n}": 0.0 if n < 20 else 1.0 for n in range(26)}, attempts=10)

    for text in texts(build_comparison([often, once])):
        assert "a is better at more instances, though not by its rate" in " ".join(text.split())


def test_an_instance_without_a_verdict_on_a_side_is_left_out_and_told() -> None:
    found = build_comparison([side("a", "+?+-"), side("b", "++?-")])

    assert found.instances == 2
    assert [each.left_out for each in found.sides] == [2, 2]
    assert found.warnings == ("2 instances left out: without a verdict on some side",)


def test_other_instances_are_refused_until_told_to_take_the_common_ones() -> None:
    sides = [side("a", "++-+"), side("b", "+-")]

    with pytest.raises(ConfigError, match=r"different instances: a has 4, b has 2.*--on common"):
        build_comparison(sides)
    found = build_comparison(sides, "common")
    assert (found.instances, found.sides[0].left_out) == (2, 2)


def test_a_subset_and_published_results_are_compared_on_what_the_subset_has() -> None:
    run = side("run", "++-")
    published = Side("theirs", "published results", {"i-0": 1.0, "elsewhere": 1.0}, unnamed=298)

    with pytest.raises(ConfigError, match="--on common"):
        build_comparison([run, published])
    found = build_comparison([run, published], "common")
    assert found.instances == 3
    assert (found.pairs[0].paired.better, found.pairs[0].paired.both) == (1, 1)


def test_what_published_results_never_met_is_no_zero_of_theirs() -> None:
    report = side("report", "+" * 50)
    published = Side("theirs", "published results", {"elsewhere": 1.0}, unnamed=49)
    published = replace(published, benchmark_names=frozenset({"lite test"}))

    with pytest.raises(ConfigError, match=r"theirs has met 50 .*can't have met all 50 of"):
        build_comparison([report, published], "common")
    known = replace(report, benchmark_names=frozenset({"lite test"}))
    larger = replace(published, unnamed=299)
    doubt = "nobody says which benchmark report is of"
    assert doubt in " ".join(build_comparison([report, larger], "common").warnings)
    assert doubt not in " ".join(build_comparison([known, larger], "common").warnings)


def test_what_a_resolved_instance_took_is_said_to_be_of_the_whole_side() -> None:
    costs = Costs(tokens=100, seconds=9.0)
    whole, part = side("a", "++-+", costs=costs), side("b", "+-")

    (warning,) = build_comparison([whole, part], "common").warnings
    assert "of all instances that a side has met" in warning
    assert build_comparison([whole, side("b", "+--+")]).warnings == ()


@pytest.mark.parametrize("on", ["same", "common"])
@pytest.mark.parametrize(
    ("sides", "problem"),
    [
        (
            [
                side("a", "+", benchmark="lite", benchmark_names=frozenset({"lite test"})),
                side("b", "+", benchmark="verified", benchmark_names=frozenset({"v test"})),
            ],
            "different benchmarks",
        ),
        ([side("a", "?"), side("b", "+")], "no instance has a verdict on all sides"),
        (
            [Side("a", "published", {"x": 1.0}, 3), Side("b", "published", {"y": 1.0}, 8)],
            "different numbers of instances",
        ),
    ],
)
def test_what_can_not_be_compared_is_refused_whatever_is_told(
    sides: list[Side], problem: str, on: Any
) -> None:
    with pytest.raises(ConfigError, match=problem):
        build_comparison(sides, on)


def test_what_differs_between_the_locks_comes_before_any_number_and_the_model_first() -> None:
    facts = {"rollout.max_steps": "75", "model.name": "g", "version of ray": "2"}
    other = facts | {"rollout.max_steps": "50", "model.name": "q"}
    found = build_comparison([side("a", "+-", facts=facts), side("b", "-+", facts=other)])

    assert list(found.differences) == ["model.name", "rollout.max_steps"]
    for text in texts(found):
        assert text.index("rollout.max_steps") < text.index("95% interval")
        assert "version of ray" not in text


def test_instances_that_flipped_link_to_both_trajectories_side_by_side() -> None:
    sides = [
        side(
            name,
            verdicts,
            trajectories={"i-0": (f"/runs/{name}/rollouts/i-0/1/trajectory.json",)},
            pages={"i-1": (f"/runs/{name}/report.html#/i-1",)},
        )
        for name, verdicts in (("a", "+-+"), ("b", "-++"))
    ]
    found = build_comparison(sides)

    assert [each.instance_id for each in found.flipped] == ["i-0", "i-1"]
    _, markdown, page = texts(found)
    for link in ("a/rollouts/i-0/1/trajectory.json", "b/report.html#/i-1"):
        assert f"({link})" in markdown
        assert f'href="{link}"' in page


def test_names_of_others_stay_text_in_a_page_and_in_a_table() -> None:
    bad = "<script>alert(1)</script>|x"
    _, markdown, page = texts(build_comparison([side(bad, "+-"), side("b", "-+")]))

    assert "<script>alert" not in page
    assert "<script>" not in markdown


def test_three_sides_are_counted_by_who_alone_resolved_what() -> None:
    found = build_comparison([side("a", "++--"), side("b", "+-+-"), side("c", "+---")])

    assert {each.by: each.count for each in found.solved} == {
        ("a", "b", "c"): 1,
        ("a",): 1,
        ("b",): 1,
        (): 1,
    }
    assert len(found.pairs) == 3


def test_where_nothing_came_out_differently_no_table_is_empty() -> None:
    _, markdown, _ = texts(build_comparison([side("a", "++--"), side("b", "++--")]))

    assert "No instance did." in markdown


def test_where_the_interval_and_the_test_disagree_the_test_goes_first() -> None:
    doubtful = build_comparison([side("a", "++++++++----"), side("b", "-------+---+")])

    assert doubtful.pairs[0].paired.ci95[0] > 0
    assert "so go by p" in " ".join(texts(doubtful)[0].split())
    assert "go by p" not in texts(build_comparison([side("a", "+" * 9), side("b", "-" * 9)]))[0]


def test_wide_tables_can_be_scrolled_by_keys_and_one_is_no_plural() -> None:
    sides = [
        side(name, verdict, pages={"i-0": (f"/runs/{name}/report.html#/i-0",)})
        for name, verdict in (("a", "+"), ("b", "-"))
    ]
    _, markdown, page = texts(build_comparison(sides))

    assert page.count('class="scrolls" tabindex="0" role="region"') == page.count("<table")
    assert ">trajectory</a>" in page
    assert "On 1 instance<" in page
    assert "On 1 instance\n" in markdown


def test_what_follows_from_having_no_model_or_another_agent_is_not_told_as_a_difference() -> None:
    gold = {"model": "None", "agent.kind": "gold", "agent.name": "gold"}
    mini = {"model.name": "m", "model.recipe": "r", "agent.kind": "mini", "agent.steps": "3"}
    mini |= {"agent.name": "mini"}
    found = build_comparison([side("a", "+", facts=gold), side("b", "-", facts=mini)])

    assert list(found.differences) == ["model.name", "agent.kind", "agent.name"]
    assert found.differences["model.name"] == {"a": "not there", "b": "m"}
