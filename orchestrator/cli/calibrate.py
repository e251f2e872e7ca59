"""`calibrate`: which instances of a benchmark this host can grade."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import options as opt


def register(app: typer.Typer) -> None:
    app.command("calibrate")(calibrate)


def calibrate(
    benchmark: opt.BenchmarkArg,
    grades: Annotated[
        int,
        typer.Option("--runs", min=1, help="Grades of each gold patch, in all."),
    ] = 1,
    again: Annotated[
        bool,
        typer.Option("--again", help="Grade each `--runs` times more, to find what flickers."),
    ] = False,
    cluster: opt.ClusterOption = "auto",
    instances: opt.InstancesOption = None,
    slice_: opt.SliceOption = None,
    dataset_dir: opt.DatasetDirOption = None,
    workers: opt.WorkersOption = None,
    sandbox: opt.SandboxOption = None,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Grade a benchmark's gold patches here, to know what this host can't grade.

    What was graded before is kept, by instance, image and processors, and not graded again. The
    reports of later runs on this host show the rate without what can't be graded beside the whole.

    Examples:

        python -m orchestrator calibrate lite

        python -m orchestrator calibrate lite -i 'sympy__.*' --again
    """
    from orchestrator.calibrate.rounds import calibrate as run_rounds
    from orchestrator.calibrate.view import (
        calibration_dict,
        calibration_lines,
        render_calibration,
    )
    from orchestrator.display.terminal import print_line

    request = opt.make_request(
        benchmark,
        cluster=cluster,
        instances=instances,
        slice_=slice_,
        dataset_dir=dataset_dir,
        sandbox=sandbox,
        settings=settings,
        config_dirs=config_dirs,
        more={"cluster.workers": opt.as_workers(workers)},
    )
    console = opt.make_console(as_json=as_json)
    found = run_rounds(request, console, grades=grades, again=again)
    if as_json:
        opt.print_json(calibration_dict(found))
    else:
        if (table := render_calibration(found)) is not None:
            console.print(table, highlight=False)
        for line in calibration_lines(found):
            print_line(console, line)
    raise typer.Exit(found.exit_code)
