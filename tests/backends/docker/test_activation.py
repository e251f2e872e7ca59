"""What an image's environment exports, asked for once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.specs import sandbox_spec

from orchestrator.backends import ExecResult, SandboxSpec
from orchestrator.backends.docker.activation import activated_environment
from orchestrator.errors import SandboxUnavailable
from orchestrator.types import Instance

IMAGE = f"sha256:{'1' * 64}"
CONTAINER: dict[str, Any] = {"Image": IMAGE, "Config": {"Env": ["PATH=/bin"]}}


@dataclass
class Shell:
    output: bytes = b"PATH=/opt/bin:/bin\0A=b=c\nd\0HOSTNAME=1\0PWD=/\0SHLVL=1\0"
    exit_code: int = 0
    asked: list[str] = field(default_factory=list)

    def __call__(self, command: str) -> ExecResult:
        self.asked.append(command)
        return ExecResult(self.output, self.exit_code)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def spec(tmp_path: Path) -> SandboxSpec:
    return sandbox_spec(Instance("a__b-1", "a/b", "c0ffee", "an issue", "image"), tmp_path)


def test_it_is_asked_for_once_for_all_containers_of_an_image(spec: SandboxSpec) -> None:
    shell = Shell()

    first, second = (activated_environment(CONTAINER, spec, shell) for _ in range(2))

    assert first == second == {"PATH": "/opt/bin:/bin", "A": "b=c\nd"}
    assert len(shell.asked) == 1


@pytest.mark.parametrize(
    ("container", "settings"),
    [
        (CONTAINER | {"Image": f"sha256:{'2' * 64}"}, {}),
        (CONTAINER | {"Config": {"Env": ["PATH=/bin", "HTTP_PROXY=http://a"]}}, {}),
        (CONTAINER, {"platform": "linux/arm64"}),
        (CONTAINER, {"mounts": ("/srv:/opt/miniconda3",)}),
        (CONTAINER, {"env": {"TOKEN": "of another run"}}),
    ],
    ids=["image", "environment", "platform", "mounts", "settings"],
)
def test_it_is_asked_for_again_where_something_differs(
    container: dict[str, Any], settings: dict[str, Any], spec: SandboxSpec
) -> None:
    shell = Shell()
    activated_environment(CONTAINER, spec, shell)

    activated_environment(container, replace(spec, **settings), shell)

    assert len(shell.asked) == 2


def test_of_an_image_that_only_has_a_name_nothing_is_kept(spec: SandboxSpec, cache: Path) -> None:
    shell = Shell()
    for _ in range(2):
        activated_environment({"Image": "image:latest"}, spec, shell)

    assert len(shell.asked) == 2
    assert not cache.exists()


def test_what_failed_is_not_kept(spec: SandboxSpec) -> None:
    with pytest.raises(SandboxUnavailable, match="conda activate testbed"):
        activated_environment(CONTAINER, spec, Shell(b"no such environment", 90))

    assert activated_environment(CONTAINER, spec, Shell())["A"] == "b=c\nd"


def test_where_the_file_is_damaged_it_is_asked_for_again(spec: SandboxSpec, cache: Path) -> None:
    shell = Shell()
    activated_environment(CONTAINER, spec, shell)
    (path,) = (one for one in cache.rglob("*") if one.is_file())
    path.write_bytes(path.read_bytes()[:-3])

    assert activated_environment(CONTAINER, spec, shell)["A"] == "b=c\nd"
    assert len(shell.asked) == 2
