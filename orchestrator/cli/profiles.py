"""`config show`, `benchmarks` and `clusters`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from orchestrator.cli import options as opt


def register(app: typer.Typer) -> None:
    config = typer.Typer(help="The configuration that a launch would use.", no_args_is_help=True)
    config.command("show")(show)
    app.add_typer(config, name="config")
    app.command("benchmarks")(benchmarks)
    app.command("clusters")(clusters)


def show(
    benchmark: opt.BenchmarkArg,
    model: opt.ModelOption = None,
    agent: opt.AgentOption = None,
    cluster: opt.ClusterOption = "auto",
    settings: opt.SetOption = None,
    config_dirs: opt.ConfigDirOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """The merged configuration, and where each value comes from."""
    from rich.table import Table

    from orchestrator.config import provenance

    request = opt.make_request(
        benchmark,
        model=model,
        agent=agent,
        cluster=cluster,
        settings=settings,
        config_dirs=config_dirs,
    )
    values = provenance(request)
    if as_json:
        rows = {key: {"value": value, "from": origin} for key, (value, origin) in values.items()}
        opt.print_json(rows)
        return
    table = Table("key", "value", "from")
    for key, (value, origin) in values.items():
        text = str(value)
        table.add_row(key, text if len(text) <= 60 else f"{text[:57]}...", _short(origin))
    opt.make_console().print(table)


def benchmarks(config_dirs: opt.ConfigDirOption = None, as_json: opt.JsonOption = False) -> None:
    """The benchmarks that have a profile."""
    print_profiles("benchmarks", ("source", "split"), config_dirs, as_json=as_json)


CLUSTER_KEYS = {
    "sandbox.memory_request_gb": "GB each",
    "sandbox.memory_gb": "at most",
    "grading.slots": "grades",
    "images.budget_gb": "GB of images",
}
"""In which clusters differ most, and how a table says that."""


def clusters(config_dirs: opt.ConfigDirOption = None, as_json: opt.JsonOption = False) -> None:
    """The clusters that have a profile: where sandboxes run. Says which one `auto` takes here."""
    from orchestrator.config import list_profiles
    from orchestrator.config.cluster_choice import choose_cluster
    from orchestrator.display.terminal import print_line

    choice = choose_cluster(list_profiles("clusters", tuple(config_dirs or ())))
    rows = list_rows("clusters", tuple(CLUSTER_KEYS), config_dirs)
    if as_json:
        opt.print_json([row | {"auto": row["name"] == choice.name} for row in rows])
        return
    print_rows(rows, CLUSTER_KEYS)
    print_line(opt.make_console(), f"--cluster auto takes {choice.name} here, as {choice.because}")


def print_profiles(
    kind: str, keys: tuple[str, ...], dirs: list[Path] | None, *, as_json: bool
) -> None:
    """All profiles of a kind, with these keys of each."""
    rows = list_rows(kind, keys, dirs)
    if as_json:
        opt.print_json(rows)
    else:
        print_rows(rows, dict(zip(keys, keys, strict=True)))


def list_rows(kind: str, keys: tuple[str, ...], dirs: list[Path] | None) -> list[dict[str, Any]]:
    """One row a profile: name, description, `keys`, file. One that can't be read hides no other."""
    from orchestrator.config import list_profiles
    from orchestrator.config.yaml_files import read_yaml
    from orchestrator.errors import ConfigError

    rows: list[dict[str, Any]] = []
    for name, path in list_profiles(kind, tuple(dirs or ())).items():
        try:
            data = read_yaml(path, str(path)) or {}
        except ConfigError as error:
            data = {"description": f"can't be read: {error}"}
        if not isinstance(data, dict):
            data = {"description": f"can't be read: {path} is not a mapping of keys to values"}
        row = {"name": name, "description": data.get("description", "")}
        row |= {key: _value_at(data, key) for key in keys}
        rows.append(row | {"file": str(path)})
    return rows


def _value_at(data: dict[str, Any], key: str) -> Any:
    """Of a dotted key; None where the profile leaves it to the default."""
    found: Any = data
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def print_rows(rows: list[dict[str, Any]], titles: Mapping[str, str]) -> None:
    """`titles` are those of columns, by key."""
    from rich.table import Column, Table

    table = Table(Column("name", no_wrap=True), "description", *titles.values())
    for row in rows:
        cells = ["" if row[key] is None else row[key] for key in ("description", *titles)]
        table.add_row(row["name"], *map(_cell, cells))
    opt.make_console().print(table)


def _cell(value: Any) -> str:
    """A model's endpoint by its address, a list by its items."""
    if isinstance(value, dict):
        return str(value.get("base_url", ""))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(origin: str) -> str:
    path = Path(origin)
    return "/".join(path.parts[-2:]) if path.suffix == ".yaml" else origin
