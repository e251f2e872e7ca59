"""Options that several commands share, and the request that they make together."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.plugins import BACKENDS
from orchestrator.text_files import surrogate_problem

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.config import RunConfig, RunRequest
    from orchestrator.run.session import Finished

T = TypeVar("T")


def _possible(runs_dir: Path) -> Path:
    """Raises ConfigError for a path that can't be looked at, such as one that is too long."""
    try:
        runs_dir.exists()
    except OSError as error:
        raise ConfigError(f"--runs-dir {runs_dir}: {error.strerror}") from None
    return runs_dir


BenchmarkArg = Annotated[
    str,
    typer.Argument(
        help="A benchmark profile (see `benchmarks`), a hub dataset id, a local .parquet, .jsonl "
        "or .json file, or the folder of an official task repo.",
        show_default=False,
    ),
]
ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="A model profile (see `models`) or a YAML file.")
]
AgentOption = Annotated[
    str | None,
    typer.Option("--agent", "-a", help="An agent profile (see `agents`) or a YAML file."),
]
ClusterOption = Annotated[
    str,
    typer.Option(
        "--cluster",
        "-c",
        help="A cluster profile (see `clusters`): where and how sandboxes run; auto takes what "
        "suits this system.",
    ),
]
RunIdOption = Annotated[
    str | None, typer.Option("--run-id", help="Name of the run; made up if absent.")
]
RunsDirOption = Annotated[
    Path,
    typer.Option("--runs-dir", help="Where the runs' folders lie.", callback=_possible),
]
InstancesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--instances",
        "-i",
        help="Ids, regular expressions, or @file; repeatable, commas separate.",
        metavar="IDS",
    ),
]
SliceOption = Annotated[
    str | None, typer.Option("--slice", help="START:STOP of the selected instances.")
]
ShuffleOption = Annotated[bool, typer.Option("--shuffle", help="Shuffle before the slice.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of --shuffle.")]
DatasetDirOption = Annotated[
    Path | None,
    typer.Option("--dataset-dir", help="Folder with the benchmark's file; the hub is not asked."),
]
WorkersOption = Annotated[
    str | None, typer.Option("--workers", "-w", help="Rollouts at once: a number, or auto.")
]
SandboxOption = Annotated[
    str | None,
    typer.Option(
        "--sandbox",
        help=f"auto, {', '.join(BACKENDS)}, or package.module:Class; "
        "a run warns where its sandboxes do not isolate.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Any key of `config show`, as rollout.max_steps=50; repeatable.",
        metavar="KEY=VALUE",
    ),
]
ConfigDirOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--config-dir",
        help="Folder with profiles of your own, as ./configs has them.",
        metavar="FOLDER",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def make_request(
    benchmark: str,
    *,
    model: str | None = None,
    agent: str | None = None,
    cluster: str = "auto",
    run_id: str | None = None,
    runs_dir: Path = Path("runs"),
    instances: list[str] | None = None,
    slice_: str | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    dataset_dir: Path | None = None,
    sandbox: str | None = None,
    settings: list[str] | None = None,
    config_dirs: list[Path] | None = None,
    more: dict[str, Any] | None = None,
    predictions: dict[str, str] | None = None,
) -> RunRequest:
    """The request that the options stand for; flags go over `--set`."""
    from orchestrator.config import RunRequest

    given = parse_settings(settings)
    flags: dict[str, Any] = {
        "selection.instances": _split(instances) or None,
        "selection.slice": slice_,
        "selection.shuffle": shuffle or None,
        "selection.seed": seed,
        "benchmark.dataset_dir": str(dataset_dir.resolve()) if dataset_dir else None,
        "cluster.sandbox.kind": sandbox,
        **(more or {}),
    }
    given |= {key: value for key, value in flags.items() if value is not None}
    return RunRequest(
        benchmark=benchmark,
        model=model,
        agent=agent,
        cluster=cluster,
        run_id=run_id,
        runs_dir=str(runs_dir),
        settings=given,
        config_dirs=tuple(config_dirs or ()),
        predictions=predictions,
    )


def model_request(
    model: str, settings: list[str] | None, config_dirs: list[Path] | None, who: str
) -> RunRequest:
    """A request with the model's profile and settings; everything else is the demo's.

    `who` depends on the model alone. Raises ConfigError: a setting of something else.
    """
    from orchestrator.config.load import parse_setting

    for text in settings or []:
        if not parse_setting(text)[0].startswith("model."):
            raise ConfigError(f"--set {text}: {who} depends on the model.* keys alone")
    return make_request(
        "demo", model=model, agent="mini", settings=settings, config_dirs=config_dirs
    )


def load_model(
    model: str, settings: list[str] | None, config_dirs: list[Path] | None, command: str
) -> RunConfig:
    """A configuration with the model's profile and settings; everything else is the demo's.

    `command` is the one that asks the model's server and nothing else.

    Raises:
        ConfigError: no such profile, a setting of something else, or no server to ask.
        PrerequisiteError: the profile's address is a placeholder still.
    """
    from orchestrator.config import load_config
    from orchestrator.config.address import require_address

    request = model_request(model, settings, config_dirs, command)
    config = load_config(request)
    if config.scripted:
        raise ConfigError(
            f"model {model!r} is played by a script, there is no server to ask: name another "
            "(see `models`), or --set model.endpoint.base_url=http://HOST:PORT/v1"
        )
    require_address(config, request)
    return config


def parse_settings(texts: list[str] | None) -> dict[str, Any]:
    """Dotted key to value, as `--set` was given. Raises ConfigError."""
    from orchestrator.config.load import parse_setting

    return dict(parse_setting(text) for text in texts or [])


def make_console(*, as_json: bool = False) -> Console:
    """For people; it keeps off standard output where JSON goes there.

    Names and errors are printed as they are: `[x]` and `:x:` in them are no markup.
    """
    from rich.console import Console

    stream = sys.stderr if as_json else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # not every terminal's encoding has every character
    return Console(stderr=as_json, markup=False, emoji=False)


@contextmanager
def redrawn(console: Console, words: Callable[[T], str]) -> Iterator[Callable[[T], None]]:
    """A line that says how something stands, on a terminal; nothing elsewhere."""
    if not console.is_terminal:
        yield lambda state: None
        return
    with console.status("") as status:
        yield lambda state: status.update(words(state))


def require_text_arguments(arguments: Sequence[str]) -> None:
    """Raises ConfigError where one is no text in UTF-8: nothing could be written of it."""
    for argument in arguments:
        if surrogate_problem(argument):
            raise ConfigError(f"the argument {argument!r} is no text in UTF-8")


def require_working_folder() -> None:
    """Raises PrerequisiteError where the one that this process was started in is gone."""
    try:
        os.getcwd()
    except OSError as error:
        raise PrerequisiteError(
            f"the folder that this command was started in can't be used ({error.strerror}).",
            "Change to another one first: `cd ~`.",
        ) from None


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def report_and_exit(finished: Finished, console: Console, *, as_json: bool) -> NoReturn:
    """Print how a session ended, and leave with its exit code."""
    from orchestrator.display.summary import summarize

    if as_json:
        print_json(finished.report.as_dict())
    else:
        summarize(finished.report, finished.paths, console)
    raise typer.Exit(finished.exit_code)


def as_workers(text: str | None) -> int | str | None:
    """As a number where it is one; the schema says what else is wrong with it."""
    return int(text) if text and text.isdecimal() else text


def matrix_folder(run: str, runs_dir: Path) -> Path | None:
    """The folder of a matrix given by its id, or by its path; None where it is none."""
    from orchestrator.paths import MatrixPaths

    folders = (runs_dir / run, Path(run))
    return next((f for f in folders if os.path.isfile(MatrixPaths(f).record)), None)


def run_folder(run: str, runs_dir: Path) -> Path:
    """The folder of a run given by its id, or by its path."""
    from orchestrator.config.keys import nearest

    for folder in (runs_dir / run, Path(run)):
        if os.path.isfile(folder / "run.yaml"):
            return folder
    if matrix_folder(run, runs_dir) is not None:
        raise ConfigError(
            f"{run!r} is a matrix, and this works on one run: `status {run}` names those it has"
        )
    for folder in (runs_dir / run, Path(run)):
        if os.path.isdir(folder):
            raise ConfigError(f"{folder} is no run: it has no run.yaml")
    found = (*runs_dir.glob("*/run.yaml"), *runs_dir.glob("*/matrix.yaml"))
    known = sorted(path.parent.name for path in found)
    hint = nearest(run, known) if known else f"; {runs_dir} holds no runs"
    raise ConfigError(f"no run {run!r} in {runs_dir}{hint}")


def _split(texts: list[str] | None) -> tuple[str, ...]:
    """Commas separate, unless they stand in brackets as in a regular expression."""
    found: list[str] = []
    for text in texts or []:
        depth, part = 0, ""
        for character in text:
            depth += (character in "([{") - (character in ")]}")
            if character == "," and depth <= 0:
                found.append(part)
                part = ""
            else:
                part += character
        found.append(part)
    return tuple(part.strip() for part in found if part.strip())
