"""`images`: a benchmark's images, days ahead of the night."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import options as opt

if TYPE_CHECKING:
    from orchestrator.config import RunRequest


def register(app: typer.Typer) -> None:
    images = typer.Typer(
        help="A benchmark's images, days ahead of the night.",
        no_args_is_help=True,
    )
    images.command("plan")(plan)
    images.command("pull")(pull)
    images.command("list")(list_images)
    images.command("prune")(prune)
    images.command("mirror")(mirror)
    app.add_typer(images, name="images")


def plan(
    benchmark: opt.BenchmarkArg,
    cluster: opt.ClusterOption = "auto",
    instances: opt.InstancesOption = None,
    slice_: opt.SliceOption = None,
    dataset_dir: opt.DatasetDirOption = None,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """What a pull would bring, and how long it takes.

    Bytes and room, by registry, and the windows of its quota. Costs no pull.

    Example: python -m orchestrator images plan lite
    """
    from orchestrator.ahead.plan import make_pull_plan
    from orchestrator.display.terminal import print_line

    request = _request(benchmark, cluster, instances, slice_, dataset_dir, settings, config_dirs)
    console = opt.make_console(as_json=as_json)
    found = make_pull_plan(request, console)
    if as_json:
        opt.print_json(found.as_dict())
        return
    for line in found.lines():
        print_line(console, line)


def pull(
    benchmark: opt.BenchmarkArg,
    cluster: opt.ClusterOption = "auto",
    instances: opt.InstancesOption = None,
    slice_: opt.SliceOption = None,
    dataset_dir: opt.DatasetDirOption = None,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
) -> None:
    """Pull what is missing, as quota and disk allow.

    Where the quota is spent it goes on by itself at the next window. Ctrl-C ends it any time; the
    same command goes on from there. What is pulled here no run removes.

    Example: python -m orchestrator images pull lite
    """
    from orchestrator.ahead.pull import pull as pull_images

    request = _request(benchmark, cluster, instances, slice_, dataset_dir, settings, config_dirs)
    raise typer.Exit(pull_images(request, opt.make_console()))


def list_images(
    benchmark: opt.BenchmarkArg,
    cluster: opt.ClusterOption = "auto",
    instances: opt.InstancesOption = None,
    slice_: opt.SliceOption = None,
    dataset_dir: opt.DatasetDirOption = None,
    runs_dir: opt.RunsDirOption = Path("runs"),
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """The images that are here, and what they take.

    `own` is what would be free without an image: layers that no other one has.
    """
    from orchestrator.ahead.shelf import read_shelf
    from orchestrator.ahead.view import shelf_lines
    from orchestrator.display.terminal import print_line

    request = _request(
        benchmark, cluster, instances, slice_, dataset_dir, settings, config_dirs, runs_dir
    )
    console = opt.make_console(as_json=as_json)
    shelf = read_shelf(request, console)
    if as_json:
        opt.print_json(shelf.as_dict())
        return
    for line in shelf_lines(shelf):
        print_line(console, line)


def prune(
    benchmark: opt.BenchmarkArg,
    cluster: opt.ClusterOption = "auto",
    instances: opt.InstancesOption = None,
    slice_: opt.SliceOption = None,
    dataset_dir: opt.DatasetDirOption = None,
    graded: Annotated[
        str | None,
        typer.Option("--graded", help="Only images whose instances this run is through with."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    runs_dir: opt.RunsDirOption = Path("runs"),
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
) -> None:
    """Remove images that are here; asks first.

    Whoever pulled them. What a container uses, or a live run needs, stays.

    Example: python -m orchestrator images prune lite --instances 'django__.*'
    """
    from orchestrator.ahead.shelf import plan_prune, require_consent
    from orchestrator.ahead.shelf import prune as remove
    from orchestrator.ahead.view import prune_lines, pruned_lines
    from orchestrator.display.terminal import print_line
    from orchestrator.errors import EXIT_DONE, EXIT_FAILURES_LEFT

    request = _request(
        benchmark, cluster, instances, slice_, dataset_dir, settings, config_dirs, runs_dir
    )
    console = opt.make_console()
    run = opt.run_folder(graded, runs_dir) if graded else None
    pruning = plan_prune(request, run, console)
    for line in prune_lines(pruning):
        print_line(console, line)
    require_consent(pruning, yes=yes, is_terminal=sys.stdin.isatty())
    if not pruning.going or not (yes or typer.confirm("Remove them?")):
        return
    pruned = remove(pruning)
    for line in pruned_lines(pruned):
        print_line(console, line)
    raise typer.Exit(EXIT_FAILURES_LEFT if pruned.left else EXIT_DONE)


def mirror(
    benchmark: opt.BenchmarkArg,
    to: Annotated[
        str, typer.Option("--to", help="host[:port] of a registry of your own.", show_default=False)
    ],
    cluster: opt.ClusterOption = "auto",
    instances: opt.InstancesOption = None,
    slice_: opt.SliceOption = None,
    dataset_dir: opt.DatasetDirOption = None,
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
) -> None:
    """Copy images to a registry of your own.

    No engine is needed, and nothing stays on this host's disk. Goes on at the quota's next window;
    Ctrl-C ends it any time, and the same command goes on from there.

    Example: python -m orchestrator images mirror lite --to spark:5000
    """
    from orchestrator.ahead.mirror import mirror as copy_images

    request = opt.make_request(
        benchmark,
        cluster=cluster,
        instances=instances,
        slice_=slice_,
        dataset_dir=dataset_dir,
        settings=settings,
        config_dirs=config_dirs,
        more={"cluster.images.mirror": to},
    )
    raise typer.Exit(copy_images(request, opt.make_console()))


def _request(
    benchmark: str,
    cluster: str,
    instances: list[str] | None,
    slice_: str | None,
    dataset_dir: Path | None,
    settings: list[str] | None,
    config_dirs: list[Path] | None,
    runs_dir: Path = Path("runs"),
) -> RunRequest:
    return opt.make_request(
        benchmark,
        cluster=cluster,
        instances=instances,
        slice_=slice_,
        dataset_dir=dataset_dir,
        settings=settings,
        config_dirs=config_dirs,
        runs_dir=runs_dir,
    )
