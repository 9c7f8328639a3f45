"""From the journal to the table and what lies beside it; each file is replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pyarrow as pa
from emotion2vec_client.results import Float32

from emotion2vec_archive.entry import Entry
from emotion2vec_archive.plan import Embeddings, Plan
from emotion2vec_archive.row import Row
from emotion2vec_archive.schema import EMBEDDING_ROW, LABELS_KEY, columns_of, table_schema
from emotion2vec_archive.table.embeddings import EmbeddingFile
from emotion2vec_archive.table.formats import TableWriter, open_table
from emotion2vec_archive.table.frames import FramesTable
from emotion2vec_archive.table.output import replacing

_GROUP = 10_000
"""Rows that are in memory at once: a row group of Parquet."""


def build(table: Path, plan: Plan, entries: Iterable[Entry], see: Callable[[Row], object]) -> None:
    """Writes the table, and the files of embeddings and frames where the plan has them.

    Args:
        table: where to; its ending says the format.
        plan: which columns there are.
        entries: in the order of the rows.
        see: is shown each row.

    Raises:
        OSError: a file can't be written; those of the run before are there still.
    """
    with ExitStack() as stack:
        frames = vectors = None
        if plan.frames:
            path = stack.enter_context(replacing(frames_path(table)))
            frames = stack.enter_context(closing(FramesTable(path, plan.labels)))
        if plan.embeddings is Embeddings.NPY:
            path = stack.enter_context(replacing(embeddings_path(table)))
            vectors = stack.enter_context(closing(EmbeddingFile(path, plan.embedding_size)))
        path = stack.enter_context(replacing(table))
        writer = open_table(path, table.suffix.lower(), schema_of(plan))
        stack.enter_context(closing(writer))
        group = _Group(writer, vectors)
        for entry in entries:
            if frames is not None:
                frames.write(entry)
            for number, row in enumerate(entry.rows):
                see(row)
                group.add(row, entry.embeddings[number] if entry.embeddings else None)
        group.flush()


def frames_path(table: Path) -> Path:
    """Where the frames of a table are."""
    return table.with_name(f"{table.stem}.frames.parquet")


def embeddings_path(table: Path) -> Path:
    """Where the embeddings of a table are, if not in a column."""
    return table.with_name(f"{table.stem}.embeddings.npy")


def schema_of(plan: Plan) -> pa.Schema:
    """The schema of a plan's table."""
    schema = table_schema(
        plan.labels,
        plan.embedding_size if plan.embeddings is Embeddings.COLUMN else 0,
        embedding_rows=plan.embeddings is Embeddings.NPY,
    )
    labels = json.dumps(plan.labels).encode()
    return schema.with_metadata({**schema.metadata, LABELS_KEY: labels})


class _Group:
    """Rows on their way into the table."""

    def __init__(self, writer: TableWriter, vectors: EmbeddingFile | None) -> None:
        self._writer = writer
        self._vectors = vectors
        self._rows: list[dict[str, Any]] = []
        self._embeddings: list[Float32 | None] = []

    def add(self, row: Row, embedding: Float32 | None) -> None:
        columns = columns_of(row)
        if self._vectors is not None and embedding is not None:
            columns[EMBEDDING_ROW] = self._vectors.write(embedding)
        self._rows.append(columns)
        self._embeddings.append(embedding)
        if len(self._rows) == _GROUP:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._writer.write(self._rows, self._embeddings)
        self._rows, self._embeddings = [], []
