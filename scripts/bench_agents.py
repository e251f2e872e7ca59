#!/usr/bin/env python3
"""A small night of ours beside the agents' own batch runners: wall time, memory, verdicts.

    scripts/bench_agents.py [--only A|B] [--instances 12] [--slots 4] [--delay 1.0] [--json]

    A   `sweagent run-batch`, then `swebench eval`   beside `launch demo --agent sweagent`
    B   `mini-extra swebench`, then `swebench eval`  beside `launch demo --agent mini`

All solve the demo's bugs in Docker with the same scripted model, in as many steps, and a side that
does not resolve every one is worth nothing. What helps the others was given to them:

- Neither waits for the network, nor for prices. All modules were imported once before.
- SWE-agent's batch has our templates, parser and tools, no random delays, and the server for its
  containers from the folder where ours has it, so that it installs nothing.
- mini-swe-agent submits in one step, though its own prompt asks for three.
- Both submit binary patches: of text ones they lose a file's CRLF line ends.
- They grade with as many workers as they roll out with; ours with half as many, meanwhile.
- The demo's images end at once when the harness stops them. Official ones do not: their first
  process sits a SIGTERM out, and the harness waits 15 s for each; `--official-stop` is like that.

Ours asks the model one question beforehand, starts Ray and a gateway, and all of that counts.
Memory is the sum of the proportional set sizes (PSS: of a page that n processes share, each has one
n-th; elsewhere than on Linux the resident sizes) of all processes that a side has on the host at a
moment, Ray's and the `docker` command's included. Docker's engine, and what runs in containers, is
not in it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from watched_side import PARTS, Measured, Setup, Side, SideFailed, say

from orchestrator.agents.base import tools_mount
from orchestrator.agents.sweagent.bundles import find_bundle
from orchestrator.agents.sweagent.installation import require_installation
from orchestrator.agents.sweagent.paths import SweAgentPaths
from orchestrator.agents.sweagent.server import RUNTIME_PATH, SERVER
from orchestrator.backends.docker.bring import ensure_image
from orchestrator.backends.docker.engine import connect
from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.cluster import Images
from orchestrator.config.load import list_profiles
from orchestrator.config.schema import Benchmark
from orchestrator.dataset import load_dataset
from orchestrator.errors import OrchestratorError
from orchestrator.gold_answers import unseal
from orchestrator.report.markdown import bar
from orchestrator.scripted.endpoint import MODEL

AIM_WALL = 0.75
PLATFORM = "linux/amd64"
TOOLS = Path(sys.executable).parent
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1"}
STAGE = "mkdir -p .git/info && echo '* -diff' >.git/info/attributes && git add -A"
DIFF = "git diff --cached --binary"
MINI_SUBMIT = f"{STAGE} && echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && {DIFF}"
SWEAGENT_SUBMIT = f"{STAGE} && {DIFF} >/root/model.patch && echo '<<SWE_AGENT_SUBMISSION>>'"
"""Others take the patch from what a submission leaves or prints; ours harvests it from outside."""


# the sides


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
            "--slice": f"0:{len(setup.dataset.instances)}",
            "--workers": setup.slots,
            "--set": f"cluster.grading.slots={max(1, setup.slots // 2)}",
        }
        side.run(sys.executable, "-m", "orchestrator", "launch", "demo", *words(options))
        return side.measured()


def sweagent_batch(setup: Setup) -> Measured:
    """`sweagent run-batch` with our profile's settings, then `swebench eval`."""
    with Side(setup, "sweagent run-batch", SWEAGENT_SUBMIT) as side:
        paths = require_installation(PLATFORM).paths
        config = load_config(RunRequest("demo", agent="sweagent"))
        batch = {
            "instances": sweagent_instances(setup, side, config, paths),
            "agent": sweagent_settings(side, config, paths),
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
        limits = load_config(RunRequest("demo")).rollout
        settings = {
            "agent": {"step_limit": limits.max_steps},
            "model": {
                "model_name": f"openai/{MODEL}",
                "model_class": "litellm_textbased",
                "cost_tracking": "ignore_errors",
                "model_kwargs": {"api_base": side.base_url, "api_key": "none"},
            },
            "environment": {"run_args": ["--rm", "--label", side.label]},
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
        "--workers": setup.slots,
        "--timeout": 60,
    }
    dataset = setup.folder / "dataset" / "test.jsonl"
    side.run(TOOLS / "swebench", "eval", dataset, *words(options), **OFFLINE)


def sweagent_instances(
    setup: Setup, side: Side, config: RunConfig, paths: SweAgentPaths
) -> dict[str, Any]:
    """Where its rollouts work: containers that start the server as `swerex-remote`."""
    server = side.folder / "swerex-remote"
    python = shlex.join(["/opt/miniconda3/bin/python", "-I", "-c", SERVER, RUNTIME_PATH])
    server.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    server.chmod(0o755)
    runtime = f"{paths.runtime(PLATFORM)}:{RUNTIME_PATH}:ro"
    mounts = (runtime, f"{server}:/usr/local/bin/{server.name}:ro", tools_mount())
    max_steps = config.rollout.max_steps
    rows = [
        {
            "image_name": instance.image,
            "problem_statement": instance.problem_statement,
            "instance_id": instance.instance_id,
            "repo_name": "testbed",
            # variables of our templates
            "extra_fields": {"max_steps": max_steps, "steps_left": max_steps},
        }
        for instance in setup.dataset.instances
    ]
    (side.folder / "instances.json").write_text(json.dumps(rows))
    deployment = {
        "type": "docker",
        "docker_args": ["--label", side.label, *(w for m in mounts for w in ("-v", m))],
        "pull": "never",
        "python_standalone_dir": "",
    }
    path = str(side.folder / "instances.json")
    return {"type": "file", "path": path, "deployment": deployment}


def sweagent_settings(side: Side, config: RunConfig, paths: SweAgentPaths) -> dict[str, Any]:
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
            "per_instance_call_limit": rollout.max_steps,
            "max_input_tokens": 0,
        },
    }


# around them

PAIRS: Mapping[str, tuple[Callable[[Setup], Measured], str]] = {
    "A": (sweagent_batch, "sweagent"),
    "B": (mini_batch, "mini"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=PAIRS)
    parser.add_argument("--instances", type=int, default=12, help="the demo's first so many")
    parser.add_argument("--slots", type=int, default=4, help="rollouts at once")
    parser.add_argument("--delay", type=float, default=1.0, help="seconds before every answer")
    parser.add_argument("--base", default=os.environ.get("SWE_ORCHESTRATOR_DEMO_BASE"))
    parser.add_argument(
        "--official-stop",
        action="store_true",
        help="images that sit out a SIGTERM, as official ones",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up as Ctrl-C does
    chosen = [options.only] if options.only else list(PAIRS)
    folder, is_good = Path(tempfile.mkdtemp(prefix="bench-")), False
    try:
        setup = prepare(options, folder, with_sweagent="A" in chosen)
        pairs = {}
        with stopped_as_official_images(setup) if options.official_stop else nullcontext():
            for key in chosen:
                theirs, agent = PAIRS[key]
                pairs[key] = (theirs(setup), ours(setup, agent))
        if options.json:
            print(json.dumps({key: as_json(*pair) for key, pair in pairs.items()}, indent=1))
        else:
            for key, pair in pairs.items():
                print_pair(key, setup, *pair)
            print("; ".join(f"{part}: {what}" for part, what in PARTS.items()))
        is_good = all(m.is_whole for pair in pairs.values() for m in pair)
    except KeyboardInterrupt:
        say("interrupted")
        is_good = True
        return 130
    except (OrchestratorError, SideFailed) as error:
        say(str(error))
    finally:
        if is_good:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"NOT COMPARABLE: not every side resolved every instance; see {folder}")
    return 0 if is_good else 1


def prepare(options: argparse.Namespace, folder: Path, *, with_sweagent: bool) -> Setup:
    """Images, the dataset as a file, and a first import of all that will be imported."""
    imports = [
        [sys.executable, "-c", "import ray, orchestrator.run.session, swebench, litellm, datasets"]
    ]
    if with_sweagent:
        python = str(require_installation(PLATFORM).paths.python)
        imports.append([python, "-c", "import sweagent.run.run_batch"])
    whole = load_dataset(Benchmark(name="demo", source="bundled:demo"))
    dataset = replace(whole, instances=whole.instances[: options.instances])
    client = connect()
    for instance in dataset.instances:
        ensure_image(client, instance, Images(base=options.base), PLATFORM)
    (folder / "dataset").mkdir()
    rows = (unseal(dataset.answers[i.instance_id]).row for i in dataset.instances)
    (folder / "dataset" / "test.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    say("imports everything once")
    for command in imports:
        subprocess.run(command, env={**os.environ, **OFFLINE}, check=True, capture_output=True)
    return Setup(dataset, options.slots, options.delay, folder)


@contextmanager
def stopped_as_official_images(setup: Setup) -> Iterator[None]:
    """The instances' images without the demo's STOPSIGNAL, under the same names."""
    client = connect()
    names = [instance.image for instance in setup.dataset.instances]
    originals = {name: client.images.get(name) for name in names}
    derived = []
    try:
        for name in names:
            recipe = io.BytesIO(f"FROM {name}\nSTOPSIGNAL SIGTERM\n".encode())
            derived.append(client.images.build(fileobj=recipe, tag=name, rm=True)[0])
        yield
    finally:
        for name, image in originals.items():
            image.tag(*name.rsplit(":", 1))
        for image in derived:
            client.images.remove(image.id)


def words(options: Mapping[str, object]) -> list[object]:
    return [word for pair in options.items() for word in pair]


def write(path: Path, data: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(data)))


def as_json(theirs: Measured, our: Measured) -> dict[str, Any]:
    ratio = our.wall_s / theirs.wall_s
    whole = theirs.is_whole and our.is_whole
    return {
        "theirs": asdict(theirs),
        "ours": asdict(our),
        "wall_ratio": ratio if whole else None,
        "memory_ratio": our.peak_mb / theirs.peak_mb if whole else None,
    }


def print_pair(key: str, setup: Setup, theirs: Measured, our: Measured) -> None:
    model_s = our.calls * setup.delay_s / setup.slots
    table = Table(
        title=f"{key}: {our.instances} instances, {setup.slots} slots, answers take "
        f"{setup.delay_s:g} s ({model_s:.0f} s in all); aim: wall {AIM_WALL:g}"
    )
    table.add_column("")
    for head in (theirs.name, our.name, "ours / theirs"):
        table.add_column(head, justify="right")
    both = (theirs, our)
    if not (theirs.is_whole and our.is_whole):
        verdict = "[red]NOT COMPARABLE[/red]"
    else:
        verdict = "kept" if our.wall_s < AIM_WALL * theirs.wall_s else "missed"
    table.add_row("resolved", *(f"{m.resolved} of {m.instances}" for m in both), verdict)
    table.add_row("model calls", *(str(m.calls) for m in both))
    table.add_row("wall s", *numbers(theirs.wall_s, our.wall_s, ".1f"))
    for part in PARTS:
        table.add_row(f"  {part} s", *numbers(theirs.parts_s[part], our.parts_s[part], ".1f"))
    table.add_row("peak PSS MB", *numbers(theirs.peak_mb, our.peak_mb, ".0f"))
    table.add_row("processes then", *(str(m.processes) for m in both))
    table.add_row("containers left over", *(str(m.left_over) for m in both))
    console = Console(width=100)
    console.print(table)
    for m in both:
        line = bar(round(10 * m.wall_s), round(10 * max(m.wall_s for m in both)), 40)
        console.print(f"{m.name:>20} {line} {m.wall_s:.0f} s")


def numbers(theirs: float, our: float, form: str) -> tuple[str, str, str]:
    """A ratio to next to nothing is left out."""
    ratio = f"{our / theirs:.2f}" if theirs >= 0.5 else ""
    return format(theirs, form), format(our, form), ratio


if __name__ == "__main__":
    sys.exit(main())
