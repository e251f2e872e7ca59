"""`grade`: the official harness on a run's patches, or on anybody's predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import options as opt

if TYPE_CHECKING:
    from orchestrator.types import Prediction


def register(app: typer.Typer) -> None:
    app.command("grade")(grade)


def grade(
    target: Annotated[
        str,
        typer.Argument(
            help="A run's id; with --predictions the benchmark that they are for.",
            show_default=False,
        ),
    ],
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", "-p", help="A .jsonl or .json file with official keys."),
    ] = None,
    cluster: opt.ClusterOption = "local",
    run_id: opt.RunIdOption = None,
    runs_dir: opt.RunsDirOption = Path("runs"),
    instances: opt.InstancesOption = None,
    slice_: opt.SliceOption = None,
    dataset_dir: opt.DatasetDirOption = None,
    sandbox: opt.SandboxOption = None,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Grade what is ungraded, or whose patch has changed; starts no rollout.

    Examples:

        python -m orchestrator grade RUN

        python -m orchestrator grade lite --predictions preds.jsonl
    """
    from orchestrator.run.session import grade_predictions, resume

    console = opt.make_console(as_json=as_json)
    if predictions is None:
        finished = resume(opt.run_folder(target, runs_dir), console, only_grades=True)
    else:
        given = read_predictions(predictions)
        name = given[0].model_name_or_path
        request = opt.make_request(
            target,
            cluster=cluster,
            run_id=run_id,
            runs_dir=runs_dir,
            instances=instances,
            slice_=slice_,
            dataset_dir=dataset_dir,
            sandbox=sandbox,
            settings=settings,
            config_dirs=config_dirs,
            predictions={
                "name": name,
                "description": f"Made elsewhere; read from {predictions.name}.",
            },
        )
        finished = grade_predictions(request, given, console)
    opt.report_and_exit(finished, console, as_json=as_json)


def read_predictions(path: Path) -> list[Prediction]:
    """Official predictions: .jsonl, or .json with a list or a mapping by instance id.

    Raises:
        ConfigError: not such a file, no predictions, or two for one instance.
    """
    from orchestrator.errors import ConfigError
    from orchestrator.types import Prediction

    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            rows = json.loads(text)
            rows = list(rows.values()) if isinstance(rows, dict) else rows
        found = [
            Prediction(
                str(row["instance_id"]),
                str(row["model_name_or_path"]),
                str(row["model_patch"] or ""),
            )
            for row in rows
        ]
    except OSError as error:
        raise ConfigError(f"--predictions {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--predictions {path}: every prediction needs instance_id, model_name_or_path and "
            f"model_patch ({type(error).__name__}: {error})"
        ) from None
    if not found:
        raise ConfigError(f"--predictions {path} holds none")
    ids = [prediction.instance_id for prediction in found]
    doubled = next((i for i in ids if ids.count(i) > 1), None)
    if doubled is not None:
        raise ConfigError(f"--predictions {path} holds more than one for {doubled}")
    if len({prediction.model_name_or_path for prediction in found}) > 1:
        raise ConfigError(f"--predictions {path} holds predictions of more than one model")
    return found
