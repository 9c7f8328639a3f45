"""The second table: one row a frame of 20 ms, always as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emotion2vec_archive.entry import Entry
from emotion2vec_archive.row import Row
from emotion2vec_archive.schema import columns_of

_GROUP = 100_000
"""Rows of a row group: 33 minutes of audio."""


def frames_schema(labels: Sequence[str]) -> pa.Schema:
    """`path` and `path_bytes` as in the table; `channel`; `time`, seconds at which the frame
    begins; and the probability of each label by its name, 0 to 1."""
    about = [
        ("path", pa.string()),
        ("path_bytes", pa.binary()),
        ("channel", pa.int32()),
        ("time", pa.float64()),
    ]
    return pa.schema([*about, *((label, pa.float32()) for label in labels)])


class FramesTable:
    """Writes the frames of entries."""

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self._schema = frames_schema(labels)
        self._labels = tuple(labels)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._count = 0

    def write(self, entry: Entry) -> None:
        """Adds the frames of one recording."""
        names = columns_of(Row(entry.recording.path, None))
        for channel, frames in enumerate(entry.frames):
            count = len(frames.probabilities)
            columns = [
                pa.repeat(pa.scalar(names[name], self._schema.field(name).type), count)
                for name in ("path", "path_bytes")
            ]
            columns.append(pa.array(np.full(count, channel, np.int32)))
            columns.append(pa.array(frames.times))
            for label in self._labels:
                values = frames.probabilities[:, frames.labels.index(label)]
                columns.append(pa.array(np.ascontiguousarray(values)))
            self._waiting.append(pa.table(columns, schema=self._schema))
            self._count += count
        if self._count >= _GROUP:
            self._flush()

    def close(self) -> None:
        """Writes what is left."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=_GROUP)
            self._waiting.clear()
            self._count = 0
