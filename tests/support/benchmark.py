"""Rows of a benchmark as its makers write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.errors import ConfigError

T = TypeVar("T")

MARKED = "echo '>>>>> Start Test Output'\ntrue\necho '>>>>> End Test Output'\n"
"""An eval script with the marks that the harness looks for."""


def row(instance_id: str = "a__b-1", **more: Any) -> dict[str, Any]:
    """One that nothing is wrong with, but for what is said."""
    return {
        "instance_id": instance_id,
        "repo": "a/b",
        "base_commit": "c0ffee00" * 5,
        "problem_statement": f"problem of {instance_id}",
        "patch": f"patch of {instance_id}",
        "version": "1.0",
        "FAIL_TO_PASS": '["t::one"]',
        "PASS_TO_PASS": "[]",
        "image": f"org/image.{instance_id.lower()}:latest",
        "eval_script": MARKED,
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
    } | more


def as_jsonl(path: Path, rows: list[Any]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")


def as_json(path: Path, rows: list[Any]) -> None:
    path.write_text(json.dumps(rows), encoding="utf-8")


def as_parquet(path: Path, rows: list[Any]) -> None:
    import pandas

    pandas.DataFrame(rows).to_parquet(path)


FORMATS = {".jsonl": as_jsonl, ".json": as_json, ".parquet": as_parquet}


def result_or_line(read: Callable[[], T]) -> T | str:
    """What is read, or the one line that says why it can't be. Nothing else may be raised."""
    try:
        return read()
    except ConfigError as error:
        line = str(error)
    assert "\n" not in line
    line.encode()  # it can be printed
    return line
