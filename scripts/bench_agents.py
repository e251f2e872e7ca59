#!/usr/bin/env python3
"""A small night of ours beside the agents' own batch runners: wall time, memory, verdicts.

    scripts/bench_agents.py [--only A|B] [--dataset FILE] [--instances N|ID[,ID...]] [--slots 4]
        [--graders N] [--our-graders N|auto] [--calls 3] [--delay 1] [--official-stop] [--json]

    A   `sweagent run-batch`, then `swebench eval`   beside `launch --agent sweagent`
    B   `mini-extra swebench`, then `swebench eval`  beside `launch --agent mini`

All solve the same instances in Docker, the demo's or real rows of a file, with the same scripted
model. A side in which a rollout takes fewer or more answers, or is not resolved, is worth nothing.
What helps the others was given to them:

- Neither waits for the network, nor for prices. All modules were imported once before.
- SWE-agent's batch has our templates, parser and tools, no random delays, and the server for its
  containers from the folder where ours has it, so that it installs nothing.
- mini-swe-agent submits in one step, though its own prompt asks for three.
- Both submit binary patches: of text ones they lose a file's CRLF line ends.
- They grade with as many workers as they roll out with, or as `--graders` says. Ours grades
  meanwhile, with as many as it chooses, or as `--our-graders` says.
- The demo's images end at once when the harness stops them. Official ones do not: their first
  process sits a SIGTERM out, and the harness waits 15 s for each; `--official-stop` is like that.

Images of real rows have to be there: nothing is pulled while a side is measured, nor before.
Ours asks the model one question beforehand, starts Ray and a gateway, and all of that counts. What
Ray takes by itself is measured beside it, and stands below the table.
Memory counts all processes that a side has on the host at a moment (`watched_processes`), Ray's and
the `docker` command's included. Docker's engine, and what runs in containers, is not in it.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from batch_runners import OFFLINE, PLATFORM, mini_batch, ours, sweagent_batch
from compared_sides import Pair, as_json, print_pair, problems_of
from ray_alone import measure_ray
from rich.console import Console
from watched_processes import CommandFailed, say
from watched_side import PARTS, Measured, Setup

from orchestrator.agents.sweagent.installation import require_installation
from orchestrator.backends.docker.bring import ensure_image
from orchestrator.backends.docker.engine import connect
from orchestrator.backends.docker.images import find_images
from orchestrator.backends.images import is_built_here
from orchestrator.config import RunRequest, load_config
from orchestrator.config.cluster import Images
from orchestrator.config.load import DATASET_FILES
from orchestrator.config.schema import Benchmark, Selection
from orchestrator.dataset import Dataset, load_dataset
from orchestrator.dataset.load import rows_of
from orchestrator.errors import ConfigError, OrchestratorError, PrerequisiteError

DEMO = "demo"
PAIRS: Mapping[str, tuple[Callable[[Setup], Measured], str]] = {
    "A": (sweagent_batch, "sweagent"),
    "B": (mini_batch, "mini"),
}


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--only", choices=PAIRS)
    add("--dataset", metavar="FILE", help="real rows instead of the demo's, as `launch` takes them")
    add("--instances", type=chosen, default=12, help="the first so many (12), or ID[,ID...]")
    add("--slots", type=one_or_more, default=4, help="rollouts at once")
    add("--graders", type=one_or_more, help="gradings at once of theirs; as many as slots")
    add("--our-graders", type=one_or_auto, default="auto", help="gradings at once of ours, or auto")
    add("--calls", type=two_or_more, default=3, help="answers that a rollout takes")
    add("--delay", type=seconds, default=1.0, help="seconds before every answer")
    add("--base", default=os.environ.get("SWE_ORCHESTRATOR_DEMO_BASE"))
    stop = "the demo's images sit out a SIGTERM, as official ones do"
    add("--official-stop", action="store_true", help=stop)
    add("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    options.graders = options.graders or options.slots
    if options.dataset and options.official_stop:
        parser.error("--official-stop is for the demo; a dataset's images stop as they do")
    return options


def one_or_more(text: str) -> int:
    return at_least(1, text)


def two_or_more(text: str) -> int:
    return at_least(2, text)  # one mends the bug and one submits


def at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not {least} or more")
    return int(text)


def one_or_auto(text: str) -> int | str:
    if text != "auto" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number")
    return text if text == "auto" else one_or_more(text)


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return number


def chosen(text: str) -> int | tuple[str, ...]:
    """So many, or which."""
    if text.lstrip("+-").isdecimal():
        return one_or_more(text)
    ids = tuple(word.strip() for word in text.split(",") if word.strip())
    if not ids:
        raise argparse.ArgumentTypeError(f"{text!r} names no instance")
    return ids


def main() -> int:
    options = read_arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up as Ctrl-C does
    keys = [options.only] if options.only else list(PAIRS)
    folder, is_good = Path(tempfile.mkdtemp(prefix="bench-")), True
    try:
        setup = prepare(options, folder, with_sweagent="A" in keys)
        is_good = False
        pairs = measure(keys, setup, official_stop=options.official_stop)
        is_good = show(pairs, setup, is_json=options.json)
    except KeyboardInterrupt:
        say("interrupted")
        is_good = True
        return 130
    except OrchestratorError as error:
        say(str(error))
        return error.exit_code
    except CommandFailed as error:
        say(str(error))
        return 1
    finally:
        if is_good:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"not comparable; what the sides left is in {folder}")
    return 0 if is_good else 1


def measure(keys: Sequence[str], setup: Setup, *, official_stop: bool) -> dict[str, Pair]:
    """Ray stands between the two, so that what disturbs one disturbs all. Raises CommandFailed."""
    pairs = {}
    with stopped_as_official_images(setup) if official_stop else nullcontext():
        for key in keys:
            their_side, agent = PAIRS[key]
            theirs = their_side(setup)
            ray = measure_ray(setup.folder / f"ray-alone-{key}")
            pairs[key] = Pair(theirs, ours(setup, agent), ray)
    return pairs


def show(pairs: Mapping[str, Pair], setup: Setup, *, is_json: bool) -> bool:
    """Print all; the answer is whether the sides can be compared."""
    if is_json:
        print(json.dumps({key: as_json(pair, setup) for key, pair in pairs.items()}, indent=1))
    else:
        for key, pair in pairs.items():
            print_pair(key, pair, setup, Console(width=100))
        print("; ".join(f"{part}: {what}" for part, what in PARTS.items()))
    return not any(problems_of(pair, setup) for pair in pairs.values())


def prepare(options: argparse.Namespace, folder: Path, *, with_sweagent: bool) -> Setup:
    """The dataset as a file, images, and a first import of all that will be imported.

    Raises:
        OrchestratorError: no such file or instance, or something that a side needs is missing.
        CommandFailed: something can't be imported.
    """
    dataset = load_rows(options.dataset, options.instances)
    (folder / "dataset").mkdir()
    rows = folder / "dataset" / "test.jsonl"
    # mini-swe-agent makes a name up for an image unless it is told
    named = (dict(row) | {"image_name": row["image"]} for row in rows_of(dataset))
    rows.write_text("".join(f"{json.dumps(row)}\n" for row in named), encoding="utf-8")
    imports = [
        [sys.executable, "-c", "import ray, orchestrator.run.session, swebench, litellm, datasets"]
    ]
    if with_sweagent:
        python = str(require_installation(PLATFORM).paths.python)
        imports.append([python, "-c", "import sweagent.run.run_batch"])
    require_images(dataset, options.base)
    say("imports everything once")
    for command in imports:
        env = {**os.environ, **OFFLINE}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode != 0:
            raise CommandFailed(f"{done.stderr}\n{shlex.join(command)} ended with an error")
    benchmark = str(rows) if options.dataset else DEMO
    return Setup(
        dataset=dataset,
        benchmark=benchmark,
        config=load_config(RunRequest(benchmark, model="scripted")),
        folder=folder,
        slots=options.slots,
        graders=options.graders,
        our_graders=options.our_graders,
        calls=options.calls,
        delay_s=options.delay,
    )


def load_rows(file: str | None, wanted: int | tuple[str, ...]) -> Dataset:
    """The demo's, or those of a file. Raises ConfigError: no such file, or no such instance."""
    if file is not None and not file.lower().endswith(DATASET_FILES):
        raise ConfigError(f"--dataset {file}: is no {' or '.join(DATASET_FILES)} file")
    if file is not None and not os.path.isfile(os.path.expanduser(file)):
        raise ConfigError(f"--dataset {file}: no such file")
    source = f"bundled:{DEMO}" if file is None else file
    benchmark = Benchmark(name="bench", source=source)
    if not isinstance(wanted, int):
        return load_dataset(benchmark, Selection(instances=wanted))
    dataset = load_dataset(benchmark, Selection(slice=f"0:{wanted}"))
    if len(dataset.instances) < wanted:
        raise ConfigError(f"--instances {wanted}: there are only {len(dataset.instances)}")
    return dataset


def require_images(dataset: Dataset, base: str | None) -> None:
    """Build the demo's. Raises PrerequisiteError where one of the others is not there."""
    client = connect()
    others = []
    for instance in dataset.instances:
        if is_built_here(instance):
            ensure_image(client, instance, Images(base=base), PLATFORM)
        else:
            others.append(instance.image)
    missing = sorted(set(others) - set(find_images(client, others, PLATFORM)))
    if missing:
        more = f", and {len(missing) - 1} more are missing" if len(missing) > 1 else ""
        raise PrerequisiteError(
            f"the image {missing[0]} is not here{more}: pull before you measure, by",
            f"`docker pull --platform {PLATFORM} {missing[0]}`",
        )


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


if __name__ == "__main__":
    sys.exit(main())
