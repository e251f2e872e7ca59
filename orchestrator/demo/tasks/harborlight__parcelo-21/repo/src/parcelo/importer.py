"""The day's list, from CSV."""

from __future__ import annotations

import csv
from pathlib import Path

from .model import Parcel

REQUIRED = ("id", "weight_g", "zone")


class ImportProblem(ValueError):
    """A row that can't be used; the message starts with its line number."""


def read_parcels(path: str | Path) -> list[Parcel]:
    """Every parcel of a CSV file in UTF-8, in the order of the file."""
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        return [_parcel(reader.line_num, row) for row in reader]


def _parcel(line_number: int, row: dict[str, str]) -> Parcel:
    for column in REQUIRED:
        if not row[column]:
            raise ImportProblem(f"line {line_number}: no {column}")
    try:
        return Parcel(
            id=row["id"].strip(),
            weight_g=int(row["weight_g"]),
            zone=row["zone"].strip().lower(),
            priority=int(row.get("priority") or 0),
        )
    except ValueError as error:
        raise ImportProblem(f"line {line_number}: {error}") from None
