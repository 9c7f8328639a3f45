"""The columns of the table, in one place: names, types, units.

Version 1. Columns may be added at the end within a version; whatever else changes raises it. It
stands in the metadata of a Parquet file's schema as `emotion2vec.schema_version`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from emotion2vec_client.readings import Alert, LabelReading, Stretch

from emotion2vec_archive.row import Row

VERSION = 1
VERSION_KEY = b"emotion2vec.schema_version"
LABELS_KEY = b"emotion2vec.labels"
"""JSON list of the model's labels, in its order."""

_SPAN = pa.struct(
    [
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("label", pa.string()),
        ("probability", pa.float32()),
    ]
)
_WARNING = pa.struct([("code", pa.string()), ("message", pa.string())])

# Name, type, meaning. Times are seconds from the beginning of the recording.
_ABOUT = (
    ("path", pa.string(), "as given; bytes that are no UTF-8 show as U+FFFD"),
    ("path_bytes", pa.binary(), "the path itself where it is no UTF-8, else null"),
    ("bytes", pa.int64(), "size of the file"),
    ("channel", pa.int32(), "0, 1, ... with --per channel, else null"),
    ("segment", pa.int32(), "0, 1, ... with --per segment, else null"),
    ("start", pa.float64(), "s: where the row begins"),
    ("end", pa.float64(), "s: where it ends"),
    ("duration", pa.float64(), "s: length of the whole recording"),
    ("sample_rate", pa.int32(), "Hz, of the file; null where the server does not say"),
    ("channels", pa.int32(), "of the file; null where the server does not say"),
    ("label", pa.string(), "of the highest score; null for models without a classifier"),
    ("confidence", pa.float32(), "the highest score, 0 to 1"),
)
# One column a label, named PREFIX_LABEL.
_OF_LABEL = (
    ("score", pa.float32(), "probability over the row, 0 to 1; they sum to 1"),
    ("peak", pa.float32(), "highest probability of its frames, averaged over 0.25 s"),
    ("share", pa.float32(), "share of the time in which it leads, 0 to 1"),
    ("longest", pa.float32(), "s: longest stretch in which it leads"),
)
_FINDINGS = (
    ("alerts", pa.list_(_SPAN), "anger or disgust that lasts 2 s or more: start, end, label"),
    ("stretches", pa.list_(_SPAN), "the leading labels over time, without flicker"),
    ("mostly_silent", pa.bool_(), "whether the server warned of silence"),
    ("warnings", pa.list_(_WARNING), "the server's doubts: code, message"),
    ("error_code", pa.string(), "why it was not scored, else null"),
    ("error", pa.string(), "the same in words"),
    ("model", pa.string(), "name of the model"),
    ("model_version", pa.string(), "its version"),
    ("precision", pa.string(), "such as fp32"),
    ("utterance", pa.int32(), "0, 1, ... with --per utterance, else null"),
    ("ended_by", pa.string(), "what ended it: silence, longest or audio"),
)
EMBEDDING = "embedding"
EMBEDDING_ROW = "embedding_row"


def table_schema(
    labels: Sequence[str], embedding_size: int = 0, *, embedding_rows: bool = False
) -> pa.Schema:
    """The schema of a table.

    Args:
        labels: of the model, in its order; empty for a model without a classifier.
        embedding_size: of the column `embedding`; 0 for none.
        embedding_rows: whether there is `embedding_row`, which counts into a file of embeddings.
    """
    fields = [_field(*column) for column in _ABOUT]
    for prefix, kind, meaning in _OF_LABEL:
        fields += [_field(f"{prefix}_{label}", kind, meaning) for label in labels]
    fields += [_field(*column) for column in _FINDINGS]
    if embedding_size:
        kind = pa.list_(pa.float32(), embedding_size)
        fields.append(_field(EMBEDDING, kind, "mean of the frames' embeddings"))
    if embedding_rows:
        fields.append(_field(EMBEDDING_ROW, pa.int64(), "row in the file of embeddings"))
    return pa.schema(fields, {VERSION_KEY: str(VERSION).encode()})


def _field(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, metadata={"description": meaning})


def columns_of(row: Row) -> dict[str, Any]:
    """A row by the names of the schema; embeddings are added by who has them."""
    raw = os.fsencode(row.path)
    text = raw.decode("utf-8", "replace")
    return {
        "path": text,
        "path_bytes": None if text.encode() == raw else raw,
        **{name: getattr(row, name) for name, *_ in (*_ABOUT[2:], *_FINDINGS[4:])},
        **dict(_label_columns(row)),
        # Without readings nothing was looked for, which is not the same as nothing found.
        "alerts": [asdict(alert) for alert in row.alerts] if row.readings else None,
        "stretches": [asdict(one) for one in row.stretches] if row.readings else None,
        "mostly_silent": row.mostly_silent,
        "warnings": [{"code": code, "message": message} for code, message in row.warnings],
    }


def _label_columns(row: Row) -> Iterator[tuple[str, float]]:
    for label, score in row.scores.items():
        yield f"score_{label}", score
    for label, reading in row.readings.items():
        yield f"peak_{label}", reading.peak
        yield f"share_{label}", reading.share
        yield f"longest_{label}", reading.longest


def row_of(columns: dict[str, Any]) -> Row:
    """The row that `columns_of` has taken apart."""
    raw = columns["path_bytes"]
    same = {name: columns[name] for name, *_ in (*_ABOUT[2:], *_FINDINGS[4:])}
    scores = _with_prefix(columns, "score_")
    readings = {
        label: LabelReading(label, peak, columns[f"share_{label}"], columns[f"longest_{label}"])
        for label, peak in _with_prefix(columns, "peak_").items()
    }
    return Row(
        path=columns["path"] if raw is None else os.fsdecode(raw),
        scores=scores,
        readings=readings,
        alerts=tuple(Alert(**alert) for alert in columns["alerts"] or ()),
        stretches=tuple(Stretch(**stretch) for stretch in columns["stretches"] or ()),
        mostly_silent=columns["mostly_silent"],
        warnings=tuple((one["code"], one["message"]) for one in columns["warnings"] or ()),
        **same,
    )


def _with_prefix(columns: dict[str, Any], prefix: str) -> dict[str, float]:
    """By label, what is there."""
    return {
        name.removeprefix(prefix): value
        for name, value in columns.items()
        if name.startswith(prefix) and value is not None
    }
