"""`launch` and `resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import matrix
from orchestrator.cli import options as opt


def register(app: typer.Typer) -> None:
    app.command("launch")(launch)
    app.command("resume")(resume)


def launch(
    benchmark: opt.BenchmarkArg,
    model: opt.ModelOption = None,
    agent: opt.AgentOption = None,
    cluster: opt.ClusterOption = "auto",
    run_id: opt.RunIdOption = None,
    runs_dir: opt.RunsDirOption = Path("runs"),
    instances: opt.InstancesOption = None,
    slice_: opt.SliceOption = None,
    shuffle: opt.ShuffleOption = False,
    seed: opt.SeedOption = None,
    dataset_dir: opt.DatasetDirOption = None,
    workers: opt.WorkersOption = None,
    sandbox: opt.SandboxOption = None,
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", help="Join a Ray cluster; local by default.")
    ] = None,
    attempts: Annotated[
        int,
        typer.Option(
            "--attempts",
            min=1,
            help="Runs over all instances, for pass@k: how often is an instance resolved again?",
        ),
    ] = 1,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """Run a benchmark: rollouts, grades, report.

    Examples:

        python -m orchestrator launch demo

        python -m orchestrator launch lite --model qwen3.5-35b

        python -m orchestrator launch lite -m gemma-4-26b -i 'django__.*' --slice 0:20 --dry-run

        python -m orchestrator launch lite --model qwen3.5-35b --slice 0:50 --attempts 4
    """
    request = opt.make_request(
        benchmark,
        model=model,
        agent=agent,
        cluster=cluster,
        run_id=run_id,
        runs_dir=runs_dir,
        instances=instances,
        slice_=slice_,
        shuffle=shuffle,
        seed=seed,
        dataset_dir=dataset_dir,
        sandbox=sandbox,
        settings=settings,
        config_dirs=config_dirs,
        more={"cluster.workers": opt.as_workers(workers), "cluster.ray_address": ray_address},
    )
    if attempts > 1:
        from orchestrator.config.matrix import repeated

        file = repeated(request, attempts)
        matrix.launch_or_preview(file, run_id, request, dry_run=dry_run, as_json=as_json)
        return
    console = opt.make_console(as_json=as_json)
    if dry_run:
        from orchestrator.run.preview import make_preview, render_preview

        preview = make_preview(request)
        if as_json:
            opt.print_json(preview.as_dict())
        else:
            console.print(render_preview(preview))
        return
    from orchestrator.run.begun import begun_for

    with begun_for(request) as begun:
        from orchestrator.run.session import launch as launch_run  # what is begun starts meanwhile

        finished = launch_run(request, console, begun)
    opt.report_and_exit(finished, console, as_json=as_json)


def resume(
    run: Annotated[
        str,
        typer.Argument(help="A run's id, or its folder; a matrix's too.", show_default=False),
    ],
    runs_dir: opt.RunsDirOption = Path("runs"),
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Rollouts at once, this time.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="From now on, a key on which no result depends: where the model's server is, "
            "slots, retries, how long is waited, as model.endpoint.base_url=URL; repeatable.",
        ),
    ] = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Go on with a run: redo failures and what never started, and nothing else."""
    console = opt.make_console(as_json=as_json)
    given = opt.parse_settings(settings)
    if (root := opt.matrix_folder(run, runs_dir)) is not None:
        from orchestrator.matrix.night import resume_matrix

        ended = resume_matrix(root, console, workers=workers, settings=given)
        matrix.report_and_exit(ended, console, as_json=as_json)
    from orchestrator.run.session import resume as resume_run

    folder = opt.run_folder(run, runs_dir)
    finished = resume_run(folder, console, workers=workers, settings=given)
    opt.report_and_exit(finished, console, as_json=as_json)
