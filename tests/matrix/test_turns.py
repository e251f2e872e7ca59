"""Which runs go together, and in which order."""

from __future__ import annotations

from itertools import product

import pytest

from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.matrix.cells import CellRun
from orchestrator.matrix.turns import make_turns, models_of

SCRIPTED = load_config(RunRequest("demo", agent="mini", run_id="m"))
GOLD = load_config(RunRequest("demo", agent="gold", run_id="m"))


def served(config: RunConfig = SCRIPTED) -> RunConfig:
    assert config.model is not None
    endpoint = config.model.endpoint.model_copy(update={"base_url": "http://gpu:8000/v1"})
    return config.model_copy(
        update={"model": config.model.model_copy(update={"endpoint": endpoint})}
    )


def run_of(benchmark: str, model: str | None, agent: str, config: RunConfig) -> CellRun:
    run_id = f"{benchmark}.{model}.{agent}"
    return CellRun(
        run_id=run_id, benchmark=benchmark, model=model, agent=agent, attempt=1, config=config
    )


RUNS = [
    run_of(benchmark, model, agent, served())
    for benchmark, model, agent in product(("lite", "verified"), ("g", "q", "p"), ("a", "b"))
]
PLAYED = [run_of("lite", "played", "a", SCRIPTED), run_of("lite", None, "gold", GOLD)]


def shape(runs: list[CellRun], absent: set[str], waiting: set[str]) -> list[tuple[object, str]]:
    """Of each turn: its model, and the models of its groups, a letter a run."""
    return [
        (turn.model, "|".join("".join(str(r.model)[0] for r in group) for group in turn.groups))
        for turn in make_turns(runs, absent, waiting)
    ]


def test_models_that_are_served_at_once_go_together_benchmark_by_benchmark() -> None:
    assert shape(RUNS, set(), set()) == [(None, "ggqqpp|ggqqpp")]


def test_models_in_turn_go_over_all_benchmarks_so_that_they_change_as_rarely_as_they_can() -> None:
    assert shape(RUNS, set(), {"g", "q", "p"}) == [
        ("g", "gg|gg"),
        ("q", "qq|qq"),
        ("p", "pp|pp"),
    ]


@pytest.mark.parametrize(
    ("absent", "waiting", "models"),
    [
        ({"g"}, set(), [None, "g"]),
        ({"g", "p"}, set(), [None, "g", "p"]),
        ({"g", "q", "p"}, set(), ["g", "q", "p"]),
        # the one that is up goes first: nothing has to be switched for it
        ({"g", "p"}, {"g", "q", "p"}, ["q", "g", "p"]),
        ({"g"}, {"q", "p"}, ["q", "p", "g"]),
    ],
)
def test_what_is_served_goes_before_what_is_not(
    absent: set[str], waiting: set[str], models: list[str | None]
) -> None:
    assert [model for model, _ in shape(RUNS, absent, waiting)] == models


def test_scripted_models_and_agents_without_one_wait_for_nobody() -> None:
    turns = make_turns([*PLAYED, *RUNS], {"g"}, {"g", "q", "p", "played"})

    assert turns[0].model is None
    assert list(turns[0].runs) == PLAYED
    assert "played" not in models_of([*PLAYED, *RUNS])


def test_every_run_has_one_turn() -> None:
    for absent, waiting in product(({"g"}, {"q", "p"}, set()), ({"g", "q", "p"}, set())):
        turns = make_turns([*PLAYED, *RUNS], absent, waiting)
        taken = [run.run_id for turn in turns for group in turn.groups for run in group]

        assert sorted(taken) == sorted(run.run_id for run in [*PLAYED, *RUNS])


def test_nothing_left_is_no_turn() -> None:
    assert make_turns([], set(), set()) == ()
