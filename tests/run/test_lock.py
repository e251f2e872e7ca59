"""lock.json: written once, read by every later session, also where an older version wrote it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.specs import EMULATED

from orchestrator.agents import load_agent_kind
from orchestrator.backends import Host
from orchestrator.config import RunConfig
from orchestrator.dataset import Dataset
from orchestrator.doctor.examine import Checked
from orchestrator.endpoint.servers import Serving
from orchestrator.errors import ConfigError, JournalError
from orchestrator.paths import RunPaths
from orchestrator.run.lock import RunLock, SandboxLock, make_lock

OLDER = {
    "run_id": "old",
    "versions": {"swebench": "5.0.2", "sweagent_commit": "0f3acafacabc"},
    "dataset": {"source": "bundled:demo", "split": "test", "instances": 12, "sha256": "c84d"},
    "images": {},
    "sandbox": {"kind": "process", "engine": "", "platform": "linux/amd64", "network": True},
    "serving": [{"base_url": "http://h/v1", "version": "0.32"}],
    "request_fields": {"model": "scripted"},
    "a key of another version": 1,
}


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


def test_a_lock_says_what_the_number_depends_on(demo_config: RunConfig, demo: Dataset) -> None:
    checked = Checked(
        Host("process", 8.0, 2, isolates=False),
        serving=(Serving("http://h/v1", {"version": "0.32"}),),
    )
    assert demo_config.agent is not None
    lock = make_lock(demo_config, demo, checked, load_agent_kind(demo_config.agent, {}))

    assert lock.dataset.sha256 == demo.sha256
    assert lock.dataset.of_benchmark == demo.of_benchmark > 0, "parts of it have an interval"
    assert {"python", "swebench", "ray"} <= set(lock.versions)
    assert (lock.sandbox.kind, lock.sandbox.host_cpus) == ("process", 2)
    assert lock.sandbox.network, "what isolates nothing has a route out"
    assert lock.serving == ({"base_url": "http://h/v1", "version": "0.32"},)
    assert lock.request_fields["model"] == "scripted"


def test_what_is_written_is_read(paths: RunPaths) -> None:
    lock = RunLock.model_validate(OLDER)
    lock.write(paths)

    assert RunLock.read(paths) == lock


def test_a_lock_of_an_older_version_is_read(paths: RunPaths) -> None:
    paths.lock.write_text(json.dumps(OLDER), encoding="utf-8")

    lock = RunLock.read(paths)

    assert lock.versions["sweagent_commit"] == "0f3acafacabc"
    assert lock.sandbox.kind == "process"


def test_a_run_without_a_lock_has_an_empty_one(paths: RunPaths) -> None:
    assert RunLock.read(paths) == RunLock()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"versions": 3}'])
def test_a_lock_that_can_not_be_read_is_reported_in_one_line(paths: RunPaths, text: str) -> None:
    paths.lock.write_text(text, encoding="utf-8")

    with pytest.raises(JournalError, match=r"lock\.json can't be read \(.*\); restore it\.$"):
        RunLock.read(paths)


def test_other_rows_than_the_run_began_with_are_refused(paths: RunPaths, demo: Dataset) -> None:
    lock = RunLock.model_validate({"dataset": {"sha256": demo.sha256}})
    lock.require_same_dataset(demo, paths)
    RunLock().require_same_dataset(demo, paths)

    with pytest.raises(ConfigError, match="is not the one that it was started with"):
        lock.require_same_dataset(replace(demo, sha256="other"), paths)


def test_a_server_that_shows_itself_as_another_is_warned_of() -> None:
    def facts(version: str, root: str, length: int | None) -> dict[str, object]:
        kind = "vLLM" if root == "m" else "SGLang"
        entry = {"root": root, "max_model_len": length}
        return {"server": kind, "version": version, "model": entry}

    lock = RunLock(serving=({"base_url": "http://a/v1", **facts("0.32", "m", 32768)},))
    moved = Serving("http://b/v1", facts("0.32", "m", 32768))
    other = Serving("http://b/v1", facts("0.33", "n", 8192))
    silent = Serving("http://b/v1", {"model": None})

    assert list(lock.serving_changes([moved, silent])) == []
    assert list(RunLock().serving_changes([other])) == []
    said = " ".join(lock.serving_changes([moved, other]))
    assert "http://b/v1 shows version 0.33, and the run began with 0.32" in said
    assert "shows the kind SGLang, and the run began with vLLM" in said
    assert "the model of n" in said
    assert "a context of 8192" in said


def test_a_lock_says_on_which_engine_and_processors_the_sandboxes_were(
    demo_config: RunConfig, demo: Dataset, paths: RunPaths
) -> None:
    host = replace(EMULATED, kind="process")
    make_lock(demo_config, demo, Checked(host), None).write(paths)

    sandbox = RunLock.read(paths).sandbox

    assert (sandbox.engine_name, sandbox.architecture) == ("OrbStack", "linux/arm64")
    assert sandbox.emulation == "linux/amd64 images on a linux/arm64 engine, OrbStack"
    assert RunLock.model_validate(OLDER).sandbox.emulation == ""


@pytest.mark.parametrize(
    ("began", "goes_on", "warned"),
    [
        ("linux/amd64", "linux/arm64", True),
        ("linux/arm64", "linux/amd64", True),
        ("linux/arm64", "linux/arm64/v8", False),
        ("", "linux/arm64", False),
        ("linux/arm64", "", False),
    ],
)
def test_a_run_that_goes_on_with_other_processors_is_told_so(
    began: str, goes_on: str, warned: bool
) -> None:
    lock = SandboxLock(kind="docker", platform="linux/amd64", architecture=began)

    said = list(lock.host_changes(replace(EMULATED, architecture=goes_on)))

    assert len(said) == warned
    assert all(began in warning and goes_on in warning for warning in said)


def test_a_lock_knows_the_images_of_the_start_by_instance_and_the_platform() -> None:
    lock = RunLock(
        images={"x/a:latest": "x/a@sha256:aa"},
        image_names={"a-1": "x/a:latest", "a-2": "x/a:latest", "b-1": "x/b:latest"},
        sandbox=SandboxLock(platform="linux/arm64", architecture="linux/arm64"),
    )

    assert lock.images_at_start == {"a-1": "x/a@sha256:aa", "a-2": "x/a@sha256:aa"}
    assert lock.sandbox.images_platform == "linux/arm64"
    assert RunLock.model_validate(OLDER).images_at_start == {}
    assert RunLock.model_validate(OLDER).sandbox.images_platform == "", "it had no images"
