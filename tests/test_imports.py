"""Who may import whom, and how large a module may be: read from the source, not from memory."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import orchestrator

PACKAGE = Path(orchestrator.__file__).parent
TASKS = ("/demo/tasks/", "/smoke/tasks/")
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if not any(t in p.as_posix() for t in TASKS))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """Dotted names that a module imports anywhere in it, `from a import b` as a and a.b.

    They are absolute but for the runner's, which works where our package is not installed.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            if node.level:
                assert path.name == "runner.py", f"{path}: imports are absolute"
                module = f"{name_of(path.with_name('__init__.py'))}.{module}"
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def importers_of(wanted: str) -> set[str]:
    return {
        name_of(path)
        for path in MODULES
        if any(name == wanted or name.startswith(f"{wanted}.") for name in imports_of(path))
    }


def test_only_those_who_may_see_the_answers_import_them() -> None:
    importers = importers_of("orchestrator.answers")

    assert {"orchestrator.dataset", "orchestrator.agents.gold"} <= importers
    for name in importers - {"orchestrator.dataset", "orchestrator.agents.gold"}:
        assert name.startswith(("orchestrator.grading.", "orchestrator.testing.")), name


def test_only_the_ray_engine_imports_ray() -> None:
    assert importers_of("ray") == {"orchestrator.driver.ray"}


@pytest.mark.parametrize(
    ("leaf", "allowed"),
    [("types", set()), ("paths", set()), ("errors", {"orchestrator.types"})],
)
def test_leaves_import_nothing_of_ours(leaf: str, allowed: set[str]) -> None:
    ours = {n for n in imports_of(PACKAGE / f"{leaf}.py") if n.startswith("orchestrator")}

    assert {n for n in ours if not any(n == a or n.startswith(f"{a}.") for a in allowed)} == set()


def test_services_do_not_import_the_program_or_the_command_line() -> None:
    above = ("orchestrator.cli", "orchestrator.run", "orchestrator.preview")
    for path in MODULES:
        name = name_of(path)
        if name.startswith(above) or name == "orchestrator.__main__":
            continue
        reached = {n for n in imports_of(path) if n in above or n.startswith("orchestrator.cli.")}
        assert reached == set(), name


def test_agents_do_not_know_each_other() -> None:
    for path in (PACKAGE / "agents").glob("*.py"):
        if path.stem in ("__init__", "base"):
            continue
        others = {n for n in imports_of(path) if n.startswith("orchestrator.agents")}
        assert all(n.startswith("orchestrator.agents.base") for n in others), path


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_what_runs_in_sweagents_environment_imports_nothing_of_ours_but_its_own_part() -> None:
    for name in ("runner", "shell", "forkserver"):
        found = imports_of(PACKAGE / "agents" / "sweagent" / f"{name}.py")
        ours = {n for n in found if n.startswith("orchestrator")}
        assert all(n.startswith("orchestrator.agents.sweagent.shell") for n in ours), name
