"""`images list` and `images prune`: what is here, and what may go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.fake_engine import IDS, IMAGES, FakeEngine, image_here

from orchestrator.ahead.shelf import plan_prune, prune, read_shelf, require_consent
from orchestrator.ahead.view import prune_lines, pruned_lines, shelf_lines
from orchestrator.errors import ConfigError
from orchestrator.file_locks import hold_lock
from orchestrator.journal import Journal
from orchestrator.paths import RunPaths
from orchestrator.types import Instance, PulledImage

Ask = Callable[..., Any]
MB = 10**6


@pytest.fixture
def full(engine: FakeEngine) -> FakeEngine:
    """All four are here: 10 MB each, on 100 MB that they share."""
    for number, image in enumerate(IMAGES):
        engine.here[image] = image_here({"base": 100 * MB, f"own {number}": 10 * MB})
    return engine


@pytest.fixture
def start_run(tmp_path: Path) -> Iterator[Callable[..., RunPaths]]:
    """Makes a run of instances that are all unfinished, which is live or dead."""
    with ExitStack() as live:

        def start(run_id: str, ids: tuple[str, ...], *, is_live: bool) -> RunPaths:
            paths = RunPaths(tmp_path / "runs" / run_id)
            paths.root.mkdir(parents=True)
            instances = [Instance(i, "a/b", "c", "p", f"org/image.{i}:latest") for i in ids]
            with Journal.create(paths.journal, run_id, instances) as journal:
                journal.add_pulled(PulledImage(instances[0].image))
                journal.add_pulled(PulledImage(instances[-1].image, node="elsewhere"))
            if is_live:
                live.enter_context(hold_lock(paths.driver_lock))
            return paths

        yield start


def test_totals_count_shared_layers_once(full: FakeEngine, ask: Ask) -> None:
    asked = ask()
    found = read_shelf(asked.request, asked.console).as_dict()

    assert (found["bytes"], found["freed_bytes"]) == (140 * MB, 140 * MB)
    assert [(r["bytes"], r["own_bytes"], r["shared_bytes"]) for r in found["here"]] == [
        (110 * MB, 10 * MB, 100 * MB)
    ] * 4


def test_what_images_of_others_have_is_not_free_when_these_go(full: FakeEngine, ask: Ask) -> None:
    full.here[IMAGES[0]] = image_here({"base": 100 * MB, "own 0": 10 * MB}, others=["base"])
    asked = ask()
    shelf = read_shelf(asked.request, asked.console)

    assert (shelf.bytes, shelf.freed_bytes) == (140 * MB, 40 * MB)


def test_the_only_image_has_its_layers_for_itself(engine: FakeEngine, ask: Ask) -> None:
    engine.here[IMAGES[0]] = image_here({"base": 100 * MB, "own 0": 10 * MB})
    asked = ask()

    assert read_shelf(asked.request, asked.console).own_bytes(IMAGES[0]) == 110 * MB


def test_runs_that_pulled_an_image_onto_this_host_are_named(
    full: FakeEngine, ask: Ask, start_run: Callable[..., RunPaths], tmp_path: Path
) -> None:
    start_run("night", IDS, is_live=False)
    corrupt = tmp_path / "runs" / "corrupt"
    corrupt.mkdir()
    (corrupt / "journal.sqlite").write_bytes(b"no database" * 99)
    asked = ask()
    rows = read_shelf(asked.request, asked.console).as_dict()["here"]

    assert [row["pulled_by"] for row in rows] == [["night"], [], [], []]


def test_people_see_a_row_an_image_and_the_totals(full: FakeEngine, ask: Ask) -> None:
    full.here[IMAGES[3]] = image_here(platform="linux/arm64", containers=("mine",))
    asked = ask()
    _, *rows, total = shelf_lines(read_shelf(asked.request, asked.console))

    assert rows[0] == f"  110 MB   10.0 MB  linux/amd64  dddddddddddd  {IMAGES[0]}"
    assert rows[3].endswith(f"{IMAGES[3]} (used by mine; of another platform)")
    assert total.startswith("4 of 4 images of")


def test_a_prune_removes_the_benchmarks_images_and_no_others(full: FakeEngine, ask: Ask) -> None:
    full.here["somebody/else:latest"] = image_here()
    asked = ask()
    pruning = plan_prune(asked.request, None, asked.console)

    assert (pruning.going, pruning.freed_bytes) == (IMAGES, 140 * MB)
    assert prune(pruning).images == IMAGES
    assert set(full.here) == {"somebody/else:latest"}


def test_only_what_is_selected_goes(full: FakeEngine, ask: Ask) -> None:
    asked = ask(selection__instances=IDS[:2])
    pruning = plan_prune(asked.request, None, asked.console)

    prune(pruning)

    assert set(full.here) == set(IMAGES[2:])


def test_what_a_container_uses_stays_also_if_it_begins_only_now(full: FakeEngine, ask: Ask) -> None:
    full.here[IMAGES[0]] = image_here(containers=("sandbox-1",))
    asked = ask()
    pruning = plan_prune(asked.request, None, asked.console)
    full.in_use = {IMAGES[1]}

    pruned = prune(pruning)

    assert set(full.here) == set(IMAGES[:2])
    assert "the container sandbox-1 uses it" in "\n".join(prune_lines(pruning))
    assert f"{IMAGES[1]} stays" in "\n".join(pruned_lines(pruned))
    assert pruned.freed_bytes == 20 * MB


def test_what_lies_there_for_another_platform_stays(full: FakeEngine, ask: Ask) -> None:
    full.here[IMAGES[0]] = image_here(platform="linux/arm64")
    asked = ask()

    assert plan_prune(asked.request, None, asked.console).going == IMAGES[1:]


def test_what_a_live_run_needs_stays_and_what_a_dead_one_needs_goes(
    full: FakeEngine, ask: Ask, start_run: Callable[..., RunPaths]
) -> None:
    start_run("dead", IDS[2:], is_live=False)
    start_run("live", IDS[:2], is_live=True)
    asked = ask()
    pruning = plan_prune(asked.request, None, asked.console)

    assert pruning.going == IMAGES[2:]
    assert prune_lines(pruning)[0] == "stay: 2 images: the run live, which is live, needs it"


def test_a_live_run_whose_journal_cannot_be_read_may_need_all(
    full: FakeEngine, ask: Ask, start_run: Callable[..., RunPaths]
) -> None:
    paths = start_run("live", IDS[:1], is_live=True)
    paths.journal.write_bytes(b"no database" * 99)
    asked = ask()

    assert plan_prune(asked.request, None, asked.console).going == ()


def test_graded_keeps_what_that_run_is_not_through_with(
    full: FakeEngine, ask: Ask, start_run: Callable[..., RunPaths]
) -> None:
    paths = start_run("night", IDS[:3], is_live=False)
    asked = ask()

    assert plan_prune(asked.request, paths.root, asked.console).going == IMAGES[3:]


def test_without_a_terminal_and_without_yes_nothing_is_removed(full: FakeEngine, ask: Ask) -> None:
    asked = ask()
    pruning = plan_prune(asked.request, None, asked.console)

    with pytest.raises(ConfigError, match="--yes"):
        require_consent(pruning, yes=False, is_terminal=False)
    require_consent(pruning, yes=True, is_terminal=False)


def test_where_nothing_is_here_there_is_nothing_to_remove(engine: FakeEngine, ask: Ask) -> None:
    asked = ask()
    pruning = plan_prune(asked.request, None, asked.console)

    assert prune_lines(pruning) == ["nothing to remove"]
    require_consent(pruning, yes=False, is_terminal=False)
