"""`doctor`: what is wrong here, before the night."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import options as opt


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    benchmark: Annotated[
        str, typer.Argument(help="What a launch would run: see `launch`.")
    ] = "lite",
    model: opt.ModelOption = None,
    agent: opt.AgentOption = None,
    cluster: opt.ClusterOption = "auto",
    runs_dir: opt.RunsDirOption = Path("runs"),
    instances: opt.InstancesOption = None,
    slice_: opt.SliceOption = None,
    dataset_dir: opt.DatasetDirOption = None,
    sandbox: opt.SandboxOption = None,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Check what a night needs: this host, its engine, images, dataset, network, model server.

    Each check passes, warns or fails, with what mends it. Starts nothing and changes nothing;
    without --model no server is asked. Ends with 3 where something fails.

    Examples:

        python -m orchestrator doctor

        python -m orchestrator doctor lite --model qwen3.5-35b
    """
    from orchestrator.doctor.run import examine_request, exit_code
    from orchestrator.doctor.view import as_dict

    request = opt.make_request(
        benchmark,
        model=model,
        agent=agent or (None if model else "gold"),
        cluster=cluster,
        runs_dir=runs_dir,
        instances=instances,
        slice_=slice_,
        dataset_dir=dataset_dir,
        sandbox=sandbox,
        settings=settings,
        config_dirs=config_dirs,
    )
    console = opt.make_console(as_json=as_json)
    if model is None and agent is None:
        console.print("No model is named, so no server is asked: --model NAME does that.")
    found = examine_request(request, console)
    if as_json:
        opt.print_json(as_dict(found))
    raise typer.Exit(exit_code(found))
