"""`grade`: the official harness on a run's patches, or on anybody's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import options as opt


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
        typer.Option(
            "--predictions",
            "-p",
            help="A .jsonl or .json file of one model's, with the official keys.",
        ),
    ] = None,
    cluster: opt.ClusterOption = "auto",
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
    from orchestrator.predictions import read_predictions
    from orchestrator.run.session import grade_predictions, resume

    console = opt.make_console(as_json=as_json)
    if predictions is None:
        finished = resume(opt.run_folder(target, runs_dir), console, only_grades=True)
    else:
        given = read_predictions(predictions, f"--predictions {predictions}")
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
