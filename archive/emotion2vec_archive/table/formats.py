"""The table as Parquet, CSV or JSON lines, by the ending of its name."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from emotion2vec_client.results import Float32

from emotion2vec_archive.schema import EMBEDDING
from emotion2vec_archive.table.spreadsheet import as_text


class TableWriter(Protocol):
    """Writes the rows of a table, a group at a time."""

    def write(self, rows: Sequence[dict[str, Any]], embeddings: Sequence[Float32 | None]) -> None:
        """`rows` by the columns of the schema; `embeddings` one a row where they are a column."""

    def close(self) -> None: ...


class ParquetTable:
    """One row group for each group."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def write(self, rows: Sequence[dict[str, Any]], embeddings: Sequence[Float32 | None]) -> None:
        self._writer.write_table(arrow_table(self._schema, rows, embeddings))

    def close(self) -> None:
        self._writer.close()


class CsvTable:
    """Lists as JSON, bytes as base64; empty is null; no text that opens as a formula. UTF-8."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, schema.names)
        self._writer.writeheader()

    def write(self, rows: Sequence[dict[str, Any]], embeddings: Sequence[Float32 | None]) -> None:  # noqa: ARG002 - there is no such column
        self._writer.writerows({name: _cell(row[name]) for name in row} for row in rows)

    def close(self) -> None:
        self._file.close()


class JsonLinesTable:
    """One object a line, with all columns; bytes as base64. UTF-8."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._names = schema.names
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def write(self, rows: Sequence[dict[str, Any]], embeddings: Sequence[Float32 | None]) -> None:  # noqa: ARG002 - there is no such column
        for row in rows:
            fields = {name: _json(row.get(name)) for name in self._names}
            self._file.write(json.dumps(fields, ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        self._file.close()


FORMATS: dict[str, Callable[[Path, pa.Schema], TableWriter]] = {
    ".parquet": ParquetTable,
    ".csv": CsvTable,
    ".jsonl": JsonLinesTable,
    ".ndjson": JsonLinesTable,
}


def arrow_table(
    schema: pa.Schema, rows: Sequence[dict[str, Any]], embeddings: Sequence[Float32 | None]
) -> pa.Table:
    """Rows by the columns of the schema; `embeddings` one a row where they are a column."""
    columns = [
        _embeddings(embeddings, field.type)
        if field.name == EMBEDDING
        else pa.array([row.get(field.name) for row in rows], field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def open_table(path: Path, suffix: str, schema: pa.Schema) -> TableWriter:
    """A writer to `path` of the format that `suffix` names."""
    return FORMATS[suffix](path, schema)


def _embeddings(embeddings: Sequence[Float32 | None], kind: pa.DataType) -> pa.Array:
    """A column of fixed-size lists, without a Python object a value."""
    blank = np.zeros(kind.list_size, np.float32)
    values = np.concatenate([blank if one is None else one for one in embeddings])
    missing = pa.array([one is None for one in embeddings])
    return pa.FixedSizeListArray.from_arrays(pa.array(values), type=kind, mask=missing)


def _json(value: Any) -> Any:
    """A value as JSON has it; of floats the digits that 32 bits hold."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, list):
        return [_json(one) for one in value]
    if isinstance(value, dict):
        return {key: _json(one) for key, one in value.items()}
    return value


def _cell(value: Any) -> Any:
    value = _json(value)
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return as_text(value)
    return str(value).lower() if isinstance(value, bool) else value
