"""Rows as a parquet file, by pandas. An empty table has its columns and their types too."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

TYPES: Mapping[str, str] = {
    "str": "str",
    "RequestResult": "str",
    "int": "int64",
    "float": "float64",
    "bool": "bool",
    "int | None": "Int64",
    "float | None": "Float64",
    "bool | None": "boolean",
}
"""Pandas' type by that of a column."""


def parquet_bytes(
    columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]], times: Sequence[str]
) -> bytes:
    """`columns` are names and types, `times` those of them that hold seconds since the epoch."""
    import pandas  # takes a second to import

    table = pandas.DataFrame(
        {name: _column(name, kind, rows, times) for name, kind in columns.items()}
    )
    data = io.BytesIO()
    table.to_parquet(data, index=False)
    return data.getvalue()


def _column(name: str, kind: str, rows: Sequence[Mapping[str, Any]], times: Sequence[str]) -> Any:
    import pandas

    values = [row[name] for row in rows]
    if name in times:
        moments = [datetime.fromtimestamp(seconds, UTC) for seconds in values]
        return pandas.Series(pandas.to_datetime(moments, utc=True)).astype("datetime64[us, UTC]")
    return pandas.Series(values, dtype=TYPES[kind])
