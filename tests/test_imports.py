"""Who may import whom, and how large a module may be: read from the source, not from memory."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import orchestrator

PACKAGE = Path(orchestrator.__file__).parent
TASKS = ("/demo/tasks/", "/smoke/tasks/")
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if not any(t in p.as_posix() for t in TASKS))

ORDER = (
    *(
        "text",
        "types",
        "errors",
        "paths",
        "user_paths",
        "text_files",
        "file_locks",
        "stop_signals",
        "host_id",
    ),
    *("kept_files", "predictions", "gold_answers", "plugins"),
    "network",
    *("config", "dataset", "verdict"),
    *("endpoint", "serving", "images", "backends", "agents", "scripted"),
    *("gateway", "journal", "evidence", "report", "page", "exports", "bench", "diagnose"),
    *("worker", "driver", "display", "doctor"),
    *("run", "made_up", "matrix", "compare", "calibrate", "ahead", "setup", "cli", "__main__"),
)
"""Rooms and leaves of the package: each imports only itself and what stands before it."""
BUNDLED = ("demo", "smoke")
"""Folders of data."""

ANSWERS_ARE_OPENED_BY = {
    "orchestrator.dataset.load",
    "orchestrator.agents.gold",
    "orchestrator.backends.grading",
    "orchestrator.evidence.gold",
    "orchestrator.scripted.endpoint",
}
FOR_ALL_PLUGINS = ("orchestrator.agents.runners", "orchestrator.agents.installing")
"""Folders of a room that serve its plugins."""
LINE = "orchestrator.agents.runners.line"
"""What the fork server offers in the environments of agents."""
IN_AGENTS_ENVIRONMENTS = {
    "runners": ("forkserver", "line"),
    "openhands": ("runner", "model", "terminal", "editor", "reporting"),
    "sweagent": ("runner", "shell", "litellm_later"),
}
"""Modules that run where our package is not installed."""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """`backends` of orchestrator.backends.docker.sandbox; empty for the package itself."""
    return module.removeprefix("orchestrator").strip(".").partition(".")[0]


@cache
def imports_of(path: Path) -> set[str]:
    """Dotted names that a module imports anywhere in it, `from a import b` as a and a.b.

    They are absolute but for those of what works where our package is not installed.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            if node.level:
                own = IN_AGENTS_ENVIRONMENTS.get(path.parent.name, ())
                assert path.stem in own, f"{path}: imports are absolute"
                module = f"{name_of(path.with_name('__init__.py'))}.{module}"
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def ours(path: Path) -> set[str]:
    return {n for n in imports_of(path) if n.partition(".")[0] == "orchestrator"}


def importers_of(wanted: str) -> set[str]:
    return {
        name_of(path)
        for path in MODULES
        if any(name == wanted or name.startswith(f"{wanted}.") for name in imports_of(path))
    }


def test_every_part_of_the_package_has_its_place_in_the_order() -> None:
    rooms = {room_of(name_of(path)) for path in MODULES} - {"", *BUNDLED}

    assert rooms == set(ORDER)


def test_a_module_imports_only_its_own_part_and_those_before_it() -> None:
    later: dict[str, set[str]] = {}
    for path in MODULES:
        room = room_of(name_of(path))
        if room in ORDER:
            allowed = {"", "__version__", *ORDER[: ORDER.index(room) + 1]}
            later[name_of(path)] = {n for n in ours(path) if room_of(n) not in allowed}

    assert len(later) > 100
    assert {name: found for name, found in later.items() if found} == {}


def test_only_those_who_may_see_the_answers_import_them() -> None:
    assert importers_of("orchestrator.gold_answers") == ANSWERS_ARE_OPENED_BY


def test_whole_rows_are_given_only_to_who_keeps_them_with_the_run() -> None:
    assert importers_of("orchestrator.dataset.kept") == {
        "orchestrator.run.calibrations",  # for their digests alone
        "orchestrator.run.folder",
        "orchestrator.run.lock",
    }


def test_rows_with_their_answers_are_read_only_to_be_kept_and_to_make_a_run_up() -> None:
    assert importers_of("orchestrator.dataset.load.rows_of") == {
        "orchestrator.dataset.kept",
        "orchestrator.made_up.write",
    }


def test_only_the_ray_executor_and_what_connects_it_import_ray() -> None:
    assert importers_of("ray") == {
        f"orchestrator.driver.{name}"
        for name in ("ray_executor", "ray_connection", "ray_head", "ray_preload")
    }


@pytest.mark.parametrize("room", ["agents", "backends"])
def test_plugins_do_not_know_each_other_and_nobody_knows_them(room: str) -> None:
    """What lies in a folder of a room is imported by name from the room's map, and by itself."""
    folders = {p.name for p in (PACKAGE / room).iterdir() if (p / "__init__.py").is_file()}
    plugins = {f"orchestrator.{room}.{folder}" for folder in folders} - set(FOR_ALL_PLUGINS)
    assert plugins

    for inside in plugins:
        outside = {name for name in importers_of(inside) if not name.startswith(inside)}
        assert outside == set(), inside


def test_a_module_has_at_most_400_lines() -> None:
    lines = {name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES}

    assert {name: count for name, count in lines.items() if count > 400} == {}


@pytest.mark.parametrize("folder", IN_AGENTS_ENVIRONMENTS)
def test_what_runs_in_an_agents_environment_imports_nothing_of_ours_but_its_own_part(
    folder: str,
) -> None:
    names = IN_AGENTS_ENVIRONMENTS[folder]
    own = tuple(f"orchestrator.agents.{folder}.{name}" for name in names)
    for name in names:
        for imported in ours(PACKAGE / "agents" / folder / f"{name}.py"):
            assert imported == LINE or imported.startswith((*own, f"{LINE}.")), name


def test_no_two_classes_have_one_name_but_for_those_of_plugins() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        if room_of(name_of(path)) not in ("agents", "backends", *BUNDLED):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(name_of(path))

    assert {name: where for name, where in places.items() if len(where) > 1} == {}
