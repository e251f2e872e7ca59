"""The sides of scripts/bench_agents.py: the agents' own batch runners, and `launch`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from watched_side import Measured, Setup, Side

from orchestrator.agents.base import tools_mount
from orchestrator.agents.sweagent.bundles import find_bundle
from orchestrator.agents.sweagent.installation import require_installation
from orchestrator.agents.sweagent.paths import SweAgentPaths
from orchestrator.agents.sweagent.server import RUNTIME_PATH
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.load import list_profiles
from orchestrator.scripted.endpoint import MODEL

PLATFORM = "linux/amd64"
TOOLS = Path(sys.executable).parent
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1"}
STAGE = "mkdir -p .git/info && echo '* -diff' >.git/info/attributes && git add -A"
DIFF = "git diff --cached --binary"
MINI_SUBMIT = f"{STAGE} && echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && {DIFF}"
SWEAGENT_SUBMIT = f"{STAGE} && {DIFF} >/root/model.patch && echo '<<SWE_AGENT_SUBMISSION>>'"
"""Others take the patch from what a submission leaves or prints; ours harvests it from outside."""
REX_SERVER = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("swerex.server", run_name="__main__")
"""
"""SWE-ReX's own, from the folder of its packages."""


def ours(setup: Setup, agent: str) -> Measured:
    """`launch`, with a model profile that names the bench's endpoint."""
    with Side(setup, f"ours {agent}") as side:
        profile = yaml.safe_load(list_profiles("models")["scripted"].read_text())
        profile["endpoint"] |= {"base_url": side.base_url, "admission": "fixed"}
        write(side.folder / "configs/models/bench.yaml", {**profile, "personas": {}})
        options = {
            "--agent": agent,
            "--model": "bench",
            "--config-dir": side.folder / "configs",
            "--run-id": side.id,
            "--runs-dir": side.folder / "runs",
            "--sandbox": "docker",
            "--instances": ids_file(setup, side),
            "--workers": setup.slots,
            "--set": f"cluster.grading.slots={setup.our_graders}",
        }
        command = (sys.executable, "-m", "orchestrator", "launch", setup.benchmark)
        side.run(*command, *words(options), "--set", f"rollout.max_steps={max_steps(setup)}")
        return side.measured()


def ids_file(setup: Setup, side: Side) -> str:
    """As the command line takes them."""
    path = side.folder / "instances.txt"
    ids = [instance.instance_id for instance in setup.dataset.instances]
    path.write_text("\n".join(ids), encoding="utf-8")
    return f"@{path}"


def sweagent_batch(setup: Setup) -> Measured:
    """`sweagent run-batch` with our profile's settings, then `swebench eval`."""
    with Side(setup, "sweagent run-batch", SWEAGENT_SUBMIT) as side:
        paths = require_installation(PLATFORM).paths
        config = load_config(RunRequest(setup.benchmark, agent="sweagent", model="scripted"))
        batch = {
            "instances": sweagent_instances(setup, side, paths),
            "agent": sweagent_settings(setup, side, config, paths),
            "output_dir": str(side.folder / "out"),
            "num_workers": setup.slots,
            "random_delay_multiplier": 0,
        }
        write(side.folder / "batch.yaml", batch)
        program = paths.venv / "bin" / "sweagent"
        side.run(program, "run-batch", "--config", side.folder / "batch.yaml", **OFFLINE)
        evaluate(setup, side)
        return side.measured()


def mini_batch(setup: Setup) -> Measured:
    """`mini-extra swebench` with its own prompt for plain text, then `swebench eval`."""
    with Side(setup, "mini-extra swebench", MINI_SUBMIT) as side:
        settings = {
            "agent": {"step_limit": max_steps(setup)},
            "model": {
                "model_name": f"openai/{MODEL}",
                "model_class": "litellm_textbased",
                "cost_tracking": "ignore_errors",
                "model_kwargs": {"api_base": side.base_url, "api_key": "none"},
            },
            "environment": {
                "cwd": "/testbed",
                "run_args": ["--rm", "--platform", PLATFORM, "--label", side.label],
            },
        }
        write(side.folder / "bench.yaml", settings)
        options = {
            "--subset": setup.folder / "dataset",
            "--split": "test",
            "--workers": setup.slots,
            "--output": side.folder / "out",
        }
        configs = ("--config", "swebench_backticks.yaml", "--config", side.folder / "bench.yaml")
        here = {"MSWEA_GLOBAL_CONFIG_DIR": str(side.folder)}
        side.run(TOOLS / "mini-extra", "swebench", *words(options), *configs, **OFFLINE, **here)
        evaluate(setup, side)
        return side.measured()


def evaluate(setup: Setup, side: Side) -> None:
    options = {
        "--run-id": side.id,
        "--predictions": side.folder / "out" / "preds.json",
        "--workers": setup.graders,
        "--timeout": setup.config.cluster.grading.timeout_s,
    }
    dataset = setup.folder / "dataset" / "test.jsonl"
    side.run(TOOLS / "swebench", "eval", dataset, *words(options), **OFFLINE)


def max_steps(setup: Setup) -> int:
    """One more than a rollout takes: whoever ends at a limit has not submitted."""
    return max(setup.config.rollout.max_steps, setup.calls + 1)


def sweagent_instances(setup: Setup, side: Side, paths: SweAgentPaths) -> dict[str, Any]:
    """Where its rollouts work: containers that start the server as `swerex-remote`."""
    server = side.folder / "swerex-remote"
    words = ["/opt/miniconda3/bin/python", "-I", "-c", REX_SERVER, RUNTIME_PATH]
    server.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    server.chmod(0o755)
    runtime = f"{paths.runtime(PLATFORM)}:{RUNTIME_PATH}:ro"
    mounts = (runtime, f"{server}:/usr/local/bin/{server.name}:ro", tools_mount())
    steps = max_steps(setup)
    rows = [
        {
            "image_name": instance.image,
            "problem_statement": instance.problem_statement,
            "instance_id": instance.instance_id,
            "repo_name": "testbed",
            # variables of our templates
            "extra_fields": {"max_steps": steps, "steps_left": steps},
        }
        for instance in setup.dataset.instances
    ]
    (side.folder / "instances.json").write_text(json.dumps(rows), encoding="utf-8")
    deployment = {
        "type": "docker",
        "docker_args": ["--label", side.label, *(w for m in mounts for w in ("-v", m))],
        "platform": PLATFORM,
        "pull": "never",
        "python_standalone_dir": "",
    }
    path = str(side.folder / "instances.json")
    return {"type": "file", "path": path, "deployment": deployment}


def sweagent_settings(
    setup: Setup, side: Side, config: RunConfig, paths: SweAgentPaths
) -> dict[str, Any]:
    """What our agent profile says, in SWE-agent's words."""
    agent, rollout = config.agent, config.rollout
    bundles = [str(find_bundle(name, paths.tools)) for name in agent.bundles]
    return {
        "templates": {
            "system_template": agent.system_template,
            "instance_template": agent.instance_template,
            "next_step_template": agent.observation_template,
            "max_observation_length": agent.observation_chars,
        },
        "tools": {
            "bundles": [{"path": path} for path in bundles],
            "parse_function": {"type": agent.protocol},
            "format_error_template": agent.format_error_template,
            "execution_timeout": int(rollout.command_timeout_s),
            "env_variables": {"PAGER": "cat", "MANPAGER": "cat", "GIT_PAGER": "cat"},
        },
        "model": {
            "name": f"openai/{MODEL}",
            "api_base": side.base_url,
            "api_key": "none",
            "per_instance_cost_limit": 0,
            "total_cost_limit": 0,
            "per_instance_call_limit": max_steps(setup),
            "max_input_tokens": 0,
        },
    }


def words(options: Mapping[str, object]) -> list[object]:
    return [word for pair in options.items() for word in pair]


def write(path: Path, data: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(data)), encoding="utf-8")
