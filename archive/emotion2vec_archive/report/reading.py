"""A table of `emotion2vec score` as it lies on disk: Parquet, in one file or in parts, CSV, JSON
lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import json as arrow_json
from pyarrow import parquet

from emotion2vec_archive.report.scores import ReportError
from emotion2vec_archive.schema import EMBEDDING, VERSION, VERSION_KEY, table_schema
from emotion2vec_archive.table.spreadsheet import from_text

_PREFIX = "score_"


def read_table(path: Path) -> pa.Table:
    """A table, without its embeddings.

    Raises:
        ReportError: there is none, or it is none of ours.
    """
    try:
        table = _read(path)
    except FileNotFoundError as error:
        raise ReportError(f"{path}: there is no such table") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise ReportError(f"{path} can't be read as a table of scores: {reason}") from error
    missing = [name for name in table_schema(()).names if name not in table.column_names]
    if missing:
        raise ReportError(
            f"{path} is no table of emotion2vec score: it has no column {', '.join(missing)}"
        )
    if not len(table):
        raise ReportError(f"{path} has no rows: there is nothing to report on")
    return table


def _read(path: Path) -> pa.Table:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _of_csv(path)
    if suffix in (".jsonl", ".ndjson"):
        with path.open(encoding="utf-8") as file:
            schema = _as_text(json.loads(next(file, "{}")))
        options = arrow_json.ParseOptions(explicit_schema=schema)
        return _without_embeddings(arrow_json.read_json(path, parse_options=options))
    dataset = parquet.ParquetDataset(path)
    # Other programs that add a column drop what we noted of the schema.
    version = (dataset.schema.metadata or {}).get(VERSION_KEY, b"%d" % VERSION)
    if version != b"%d" % VERSION:
        found = version.decode("ascii", "replace")
        raise ValueError(f"its schema has version {found}, and this program reads {VERSION}")
    return dataset.read([name for name in dataset.schema.names if name != EMBEDDING])


def _of_csv(path: Path) -> pa.Table:
    with path.open(encoding="utf-8", newline="") as file:
        schema = _as_text(next(csv.reader(file), []))
    lists = [field for field in schema if pa.types.is_nested(field.type)]
    types = {field.name: field.type for field in schema} | {
        field.name: pa.string() for field in lists
    }
    options = arrow_csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=True
    )
    table = _without_embeddings(
        arrow_csv.read_csv(
            path,
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=options,
        )
    )
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):  # the JSON of lists stays as it is
            texts = table[place].to_pylist()
            shown = [None if text is None else from_text(text) for text in texts]
            table = table.set_column(place, field.name, pa.array(shown, field.type))
    for field in lists:
        values = [json.loads(text) if text else [] for text in table[field.name].to_pylist()]
        place = table.column_names.index(field.name)
        table = table.set_column(place, field.name, pa.array(values, field.type))
    return table


def _as_text(columns: Iterable[str]) -> pa.Schema:
    """Our types of the columns that a text format has; bytes are text there."""
    names = list(columns)
    labels = [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]
    fields = (field for field in table_schema(labels) if field.name in names)
    return pa.schema(
        field.with_type(pa.string()) if pa.types.is_binary(field.type) else field
        for field in fields
    )


def _without_embeddings(table: pa.Table) -> pa.Table:
    return table.drop_columns([EMBEDDING]) if EMBEDDING in table.column_names else table
