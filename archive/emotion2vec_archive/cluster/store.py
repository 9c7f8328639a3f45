"""The table as a folder of parts, on any file system that fsspec knows.

A part is there as a whole or not at all, and a recording's rows are in one part only: so whoever
dies, whenever, the folder is a valid table of what is done.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from emotion2vec_archive.cluster.parts import Done, version_of
from emotion2vec_archive.entry import Entry
from emotion2vec_archive.plan import Plan
from emotion2vec_archive.row import Row
from emotion2vec_archive.schema import columns_of, row_of
from emotion2vec_archive.table.build import schema_of
from emotion2vec_archive.table.formats import arrow_table

_SUFFIX = ".parquet"
_BATCH = 1024
"""Rows that are Python objects at once."""
_WORK = ".work"
"""Folder of what is not finished; readers of a folder of Parquet files pass over such names."""
_RECORDINGS = b"emotion2vec.recordings"
"""Key of a part's schema: JSON, by path the version of each recording and whether it failed."""

_PLAN = b"emotion2vec.plan"
"""The same of what the part was made by."""

Notes = dict[str, tuple[str, bool]]


class PartStore:
    """The parts in one folder. It can be sent to other processes."""

    def __init__(self, folder: str) -> None:
        """`folder`: a path or a URI such as s3://bucket/table."""
        self._files, self._folder = fsspec.core.url_to_fs(folder)

    def prepare(self) -> None:
        """Makes the folder, and clears away what workers that died have left in it.

        Raises:
            OSError: it can't be made.
        """
        if self._files.exists(self._work("")):
            self._files.rm(self._work(""), recursive=True)
        self._files.makedirs(self._work(""), exist_ok=True)

    def names(self) -> list[str]:
        """Of the parts, in their order."""
        names = self._names_in(self._folder)
        return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))

    def done(self) -> dict[str, Done]:
        """By path, what the parts have. Only their footers are read.

        Raises:
            OSError, pyarrow.ArrowInvalid: a part can't be read.
        """
        return {
            path: Done(name, version, is_failed)
            for name in self.names()
            for path, (version, is_failed) in _notes(self._schema(name)).items()
        }

    def read(self, name: str) -> pa.Table | None:
        """A part; None if it is not there.

        Raises:
            OSError, pyarrow.ArrowInvalid: it can't be read.
        """
        try:
            with self._files.open(self._path(name)) as file:
                return pq.read_table(file)
        except FileNotFoundError:
            return None

    def plan(self) -> dict[str, Any] | None:
        """What the parts were made by; None if there are none.

        Raises:
            OSError, pyarrow.ArrowInvalid: a part can't be read.
        """
        for name in self.names():
            found: dict[str, Any] = json.loads(self._schema(name).metadata[_PLAN])
            return found
        return None

    def rows(self) -> Iterator[Row]:
        """All rows, part by part.

        Raises:
            OSError, pyarrow.ArrowInvalid: a part can't be read.
        """
        for name in self.names():
            table = self.read(name)
            for batch in table.to_batches(_BATCH) if table is not None else ():
                yield from map(row_of, batch.to_pylist())

    def update(self, name: str, entries: Sequence[Entry], plan: Plan) -> None:
        """Writes entries into a part in one go, in the place of those of the same recordings.

        Raises:
            OSError: there is no room, or no right to.
        """
        noted: Notes = {
            entry.recording.path: (version_of(entry.recording), entry.has_failed)
            for entry in entries
        }
        table = _table(entries, plan)
        schema = table.schema
        old = self.read(name)
        if old is not None:
            kept = old.filter([path not in noted for path in _paths(old)])
            noted = _notes(old.schema) | noted
            table = pa.concat_tables([kept.cast(schema), table])
        metadata = {
            **schema.metadata,
            _PLAN: json.dumps(plan.to_dict()).encode(),
            _RECORDINGS: json.dumps(noted).encode(),
        }
        self._write(name, table.replace_schema_metadata(metadata))

    def begin(self, work: str) -> int:
        """Notes that some work is begun; returns how often it was before without being ended, which
        is how many workers it has cost."""
        begun = len(self._marks(work))
        self._files.pipe_file(self._work(f"{work}-{uuid.uuid4().hex}"), b"")
        return begun

    def end(self, work: str) -> None:
        """Takes back all that `begin` has noted of it."""
        for name in self._marks(work):
            self._files.rm_file(self._work(name))

    def _marks(self, work: str) -> list[str]:
        return [name for name in self._names_in(self._work("")) if name.startswith(f"{work}-")]

    def _names_in(self, folder: str) -> list[str]:
        """As they are now: what other processes wrote counts."""
        self._files.invalidate_cache(folder)
        try:
            found = self._files.ls(folder, detail=False)
        except FileNotFoundError:
            return []
        return [posixpath.basename(path) for path in found]

    def _write(self, name: str, table: pa.Table) -> None:
        content = io.BytesIO()
        pq.write_table(table, content, compression="zstd")
        if not isinstance(self._files, LocalFileSystem):
            # An object is there when all of it is.
            self._files.pipe_file(self._path(name), content.getvalue())
            return
        unfinished = Path(self._work(f"unfinished-{uuid.uuid4().hex}"))
        try:
            with unfinished.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path(name))
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _schema(self, name: str) -> pa.Schema:
        with self._files.open(self._path(name)) as file:
            return pq.read_schema(file)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}{_SUFFIX}"

    def _work(self, name: str) -> str:
        return f"{self._folder}/{_WORK}/{name}".rstrip("/")


def _table(entries: Sequence[Entry], plan: Plan) -> pa.Table:
    rows, embeddings = [], []
    for entry in entries:
        for number, row in enumerate(entry.rows):
            rows.append(columns_of(row))
            embeddings.append(entry.embeddings[number] if entry.embeddings else None)
    return arrow_table(schema_of(plan), rows, embeddings)


def _notes(schema: pa.Schema) -> Notes:
    found = json.loads((schema.metadata or {}).get(_RECORDINGS, b"{}"))
    return {path: (version, is_failed) for path, (version, is_failed) in found.items()}


def _paths(table: pa.Table) -> list[str]:
    """[R]: each row's recording, as `Recording.path` has it."""
    raw = table["path_bytes"].to_pylist()
    paths = table["path"].to_pylist()
    return [
        path if original is None else os.fsdecode(original)
        for path, original in zip(paths, raw, strict=True)
    ]
