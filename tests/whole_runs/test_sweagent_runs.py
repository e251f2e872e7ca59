"""Runs with the real SWE-agent in real containers, as people start them, and what disturbs them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from support.commands import CommandLine, Ended, personas, wait_until
from support.processes import runners

from orchestrator.agents.sweagent.paths import SweAgentFolder
from orchestrator.backends.docker.engine import LABEL
from orchestrator.dataset import Dataset
from orchestrator.errors import EXIT_DONE, EXIT_FAILURES_LEFT, EXIT_PREREQUISITE
from orchestrator.scripted.endpoint import ScriptedEndpoint

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.ray, pytest.mark.sweagent]
TWO = "orchard__ledger-12,orchard__ledger-31"
FOUR = f"{TWO},tidepool__cronwise-8,harborlight__parcelo-14"


def resolved(ended: Ended) -> int:
    assert ended.exit_code == EXIT_DONE, ended.stderr
    assert ended.report["valid"]
    return int(ended.report["resolved"])


def test_who_plays_gold_resolves_every_instance_and_who_never_submits_too(
    orchestrate: CommandLine,
) -> None:
    """With function calls, so that they are counted; tests/agents plays this in every protocol."""
    roles = personas(
        tidepool__cronwise_8="never_submits", orchard__ledger_12="edits", orchard__ledger_47="wrong"
    )
    limits = ["--set", "rollout.max_steps=8"]

    ended = orchestrate.launch("docker", "a-run", "--agent", "sweagent-tools", *roles, *limits)

    assert resolved(ended) == 11
    report = ended.report
    assert report["outcomes"] == {"submitted": 11, "step_limit": 1}
    assert report["unresolved_ids"] == ["orchard__ledger-47"]
    assert report["salvaged_ids"] == ["tidepool__cronwise-8"]
    calls = report["tool_calls"]
    assert (calls["calls"], calls["broken"]) == (report["steps"], 0)


@pytest.fixture
def endpoint(demo: Dataset) -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint(demo.instances, demo.answers, delay_s=0.5) as endpoint:
        yield endpoint


@pytest.fixture
def profile(endpoint: ScriptedEndpoint, tmp_path: Path) -> Path:
    """A model's profile that leads to the endpoint."""
    path = tmp_path / "m.yaml"
    settings = {"base_url": endpoint.base_url, "max_outage_s": 600, "admission": "fixed"}
    path.write_text(json.dumps({"served_name": "scripted", "endpoint": settings}))
    return path


def test_more_than_a_minute_without_a_model_server_loses_no_rollout(
    orchestrate: CommandLine, endpoint: ScriptedEndpoint, profile: Path
) -> None:
    words = ["--agent", "sweagent", "--model", str(profile), "--instances", FOUR]

    def go_away_in_mid_run() -> None:
        wait_until(lambda: endpoint.requests >= 6, "a run that is under way")
        endpoint.go_away(62)

    threading.Thread(target=go_away_in_mid_run, daemon=True).start()
    ended = orchestrate.launch("docker", "a-run", *words)

    assert resolved(ended) == 4
    run_dir = orchestrate.runs_dir / "a-run"
    assert len(attempts(run_dir)) == 4, "nothing was done twice"
    lines = (run_dir / "predictions.jsonl").read_text().splitlines()
    assert all(json.loads(line)["model_patch"] for line in lines)
    assert ended.report["model_traffic"]["held_s"] > 2 * 50, "two of four at the least"


def attempts(run_dir: Path) -> list[dict[str, Any]]:
    """What every attempt of the run came to."""
    return [json.loads(p.read_text()) for p in sorted(run_dir.glob("rollouts/*/*/result.json"))]


def test_killed_runner_is_a_failure_that_is_redone(
    sockets: str, orchestrate: CommandLine, endpoint: ScriptedEndpoint, profile: Path
) -> None:
    words = ["--agent", "sweagent", "--model", str(profile), "--instances", TWO]
    delays = ["--set", "rollout.retry_delay_s=0.1"]
    command = orchestrate.launch_words("docker", "a-run", *words, *delays)
    driver = orchestrate.start(*command, "--json")

    wait_until(lambda: endpoint.requests >= 3, "a run that is under way")
    runners(sockets)[0].kill()
    stdout, stderr = driver.communicate(timeout=200)

    ended = Ended(driver.returncode, stdout, stderr)
    assert resolved(ended) == 2
    tried = attempts(orchestrate.runs_dir / "a-run")
    assert len(tried) == 3
    assert [t["failure"]["kind"] for t in tried if t["failure"]] == ["agent_crashed"]


def test_killed_driver_takes_the_runners_with_it(
    sockets: str, orchestrate: CommandLine, endpoint: ScriptedEndpoint, profile: Path
) -> None:
    words = ["--agent", "sweagent", "--model", str(profile), "--instances", TWO]
    driver = orchestrate.start(*orchestrate.launch_words("docker", "a-run", *words))
    wait_until(lambda: endpoint.requests >= 3, "a run that is under way")
    at_work = runners(sockets)
    assert at_work
    with open(SweAgentFolder.of_user().in_use) as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()

    wait_until(lambda: not any(r.is_running() for r in at_work), "the runners' end", 60)
    assert resolved(orchestrate("resume", "a-run", "--json")) == 2


def test_a_run_is_not_resumed_with_another_sweagent(orchestrate: CommandLine) -> None:
    words = ["--agent", "sweagent", "--instances", "orchard__ledger-12"]
    given = ("model.endpoint.max_tries=1", "rollout.retries.request_refused=0")
    settings = [word for setting in given for word in ("--set", setting)]
    settings += personas(orchard__ledger_12="crashes_late")
    assert orchestrate.launch("docker", "a-run", *words, *settings).exit_code == EXIT_FAILURES_LEFT
    lock = orchestrate.runs_dir / "a-run" / "lock.json"
    facts = json.loads(lock.read_text())
    facts["versions"]["sweagent_commit"] = "c0ffee"
    lock.write_text(json.dumps(facts))

    ended = orchestrate("resume", "a-run")

    assert ended.exit_code == EXIT_PREREQUISITE
    assert "This run began with SWE-agent c0ffee; " in ended.stderr


def test_sandboxes_have_no_route_out_and_nothing_installed(
    orchestrate: CommandLine, endpoint: ScriptedEndpoint, profile: Path
) -> None:
    """Looked at from outside while agents work in them."""
    words = ["--agent", "sweagent", "--model", str(profile), "--instances", "orchard__ledger-12"]
    endpoint.delay_s = 3
    driver = orchestrate.start(*orchestrate.launch_words("docker", "a-run", *words))
    wait_until(lambda: endpoint.requests >= 2, "a run that is under way")
    client = docker.from_env()
    run_dir = (orchestrate.runs_dir / "a-run").resolve()
    (sandbox,) = client.containers.list(filters={"label": f"{LABEL}.run-dir={run_dir}"})
    try:
        interfaces = say(sandbox, "ls /sys/class/net")
        routes = say(sandbox, "cat /proc/net/route").splitlines()[1:]
        reached = say(sandbox, "bash -c 'echo > /dev/tcp/192.0.2.1/80 2>&1; echo $?'")
        writable = say(sandbox, "sh -c 'touch /opt/swe-orchestrator/runtime/x 2>&1; echo $?'")
        changed = {str(entry["Path"]) for entry in sandbox.diff()}
        mounts = {m["Destination"]: m["RW"] for m in sandbox.attrs["Mounts"]}
    finally:
        client.close()
        endpoint.delay_s = 0
        driver.communicate(timeout=200)

    assert interfaces.split() == ["lo"]
    assert routes == []
    assert "Network is unreachable" in reached
    assert "Read-only" in writable
    assert mounts == {"/opt/swe-orchestrator/runtime": False, "/opt/swe-orchestrator/tools": False}
    ours = ("/root", "/tmp", "/testbed", "/opt/swe-orchestrator", "/run", "/var/tmp", "/.swe-")
    foreign = {path for path in changed if not path.startswith(ours)}
    assert foreign <= {"/opt", "/var"}, "folders that hold the mounts"
    assert not any("site-packages" in path or path.endswith(".whl") for path in changed)
    bundles = {path for path in changed if path.startswith("/root/tools/")}
    assert bundles, "what SWE-agent uploads: scripts"


def say(container: Any, command: str) -> str:
    output: bytes = container.exec_run(command).output
    return output.decode()


def test_trajectories_are_kept_in_both_forms(orchestrate: CommandLine) -> None:
    words = ["--agent", "sweagent", "--instances", "orchard__ledger-12"]
    started = time.time()

    assert resolved(orchestrate.launch("docker", "a-run", *words)) == 1

    folder = orchestrate.runs_dir / "a-run" / "rollouts" / "orchard__ledger-12" / "1"
    theirs = json.loads((folder / "orchard__ledger-12.traj").read_text())
    steps = json.loads((folder / "trajectory.json").read_text())["steps"]
    assert theirs["info"]["exit_status"] == "submitted"
    assert theirs["info"]["model_stats"]["api_calls"] == len(steps) == 3
    assert [step["action"] for step in steps][::2] == ["git status --short && ls", "submit"]
    assert all(step["thought"] and step["prompt_tokens"] > 100 for step in steps)
    assert all(started < step["time"] < time.time() for step in steps)
