"""The journal beside the table: what has been scored, safe as soon as it is.

A text file that only grows. Its first line says how the table is made; each other one is the entry
of a recording. A line is the CRC-32 of its JSON, a blank, and the JSON; so one that was cut short
or damaged is found out, and costs its own recording a second scoring. The last entry of a path
counts: a file that has changed has an entry of its time.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from emotion2vec_archive.entry import Entry, from_json, to_json
from emotion2vec_archive.recording import Recording

SUFFIX = ".journal"


class JournalError(Exception):
    """The journal can't be used; the message says why and what to do."""


class State(Enum):
    """What the journal knows of a recording."""

    NEW = "new"
    DONE = "done"
    FAILED = "failed"
    CHANGED = "changed"
    """It was scored, or failed, when its contents were others."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the last entry of a path stands, and what the next run asks of it."""

    offset: int
    size: int | None
    version: str
    has_failed: bool


class Journal:
    """The journal of one table. A context manager, which keeps other runs from it."""

    def __init__(self, table: Path, plan: dict[str, Any]) -> None:
        """Opens the journal of `table`, or begins it.

        Args:
            table: the output that it stands beside.
            plan: what makes rows comparable: a table is made by one plan from end to end.

        Raises:
            JournalError: another run has it, or it was begun with another plan, or the table is
                there without it.
            OSError: it can't be read or written.
        """
        self.path = table.with_name(table.name + SUFFIX)
        self.damaged = 0
        """Entries that can't be read and are scored again."""
        self._places: dict[str, _Place] = {}
        self._lock = FileLock(f"{self.path}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise JournalError(f"another run writes {table}: wait for its end") from None
        try:
            if table.exists() and not self.path.exists():
                raise JournalError(
                    f"{table} is there, but not the journal {self.path.name} that it was made "
                    "from: name another output, or move the table away"
                )
            self._fd = os.open(
                self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644
            )
            self._end = self._read(plan)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._places)

    def state(self, recording: Recording) -> State:
        """What is known of a recording."""
        place = self._places.get(recording.path)
        if place is None:
            return State.NEW
        if (place.size, place.version) != (recording.size, recording.version):
            return State.CHANGED
        return State.FAILED if place.has_failed else State.DONE

    def append(self, entry: Entry) -> None:
        """Adds an entry. A process that is killed then does not lose it; a power cut may until
        `sync`.

        Raises:
            OSError: it can't be written, as on a full disk; the journal is as it was before.
        """
        offset = self._end
        self._write(to_json(entry))
        self._note(entry.recording, offset, has_failed=entry.has_failed)

    def sync(self) -> None:
        """Has what was added outlive a power cut. Blocks.

        Raises:
            OSError: the disk fails.
        """
        os.fsync(self._fd)

    def entries(self) -> Iterator[Entry]:
        """The last entry of each path, in the order of the paths."""
        with self.path.open("rb") as file:
            for path in sorted(self._places):
                file.seek(self._places[path].offset)
                fields = _checked(file.readline())
                if fields is None:
                    raise JournalError(f"{self.path} has been changed by others: run again")
                yield from_json(fields)

    def close(self) -> None:
        """Gives the journal free for other runs."""
        if hasattr(self, "_fd"):
            os.close(self._fd)
            del self._fd
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, plan: dict[str, Any]) -> int:
        """Takes in what is there, cuts off a line that has no end; returns where it ends."""
        end = 0
        head: dict[str, Any] | None = None
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                fields = _checked(line)
                if fields is None:
                    self.damaged += 1
                elif "plan" in fields:
                    head = fields["plan"]
                else:
                    recording = Recording(fields["path"], fields["size"], fields["version"])
                    has_failed = any("error_code" in row for row in fields["rows"])
                    self._note(recording, end, has_failed=has_failed)
                end += len(line)
        os.ftruncate(self._fd, end)
        self._end = end
        if head is None:
            if self._places:
                raise JournalError(f"the beginning of {self.path} is damaged: name another output")
            self._write({"plan": plan})
        else:
            self._compare(head, plan)
        return self._end

    def _compare(self, ours: dict[str, Any], asked: dict[str, Any]) -> None:
        others = [name for name in ours.keys() | asked.keys() if ours.get(name) != asked.get(name)]
        if others:
            changes = ", ".join(
                f"{name} {ours.get(name)!r}, not {asked.get(name)!r}" for name in sorted(others)
            )
            raise JournalError(
                f"{self.path.name} was begun with {changes}: ask for the same, or name another "
                "output"
            )

    def _note(self, recording: Recording, offset: int, *, has_failed: bool) -> None:
        place = _Place(offset, recording.size, recording.version, has_failed)
        self._places[recording.path] = place

    def _write(self, fields: dict[str, Any]) -> None:
        text = json.dumps(fields, separators=(",", ":")).encode("ascii")
        line = memoryview(b"%08x %b\n" % (zlib.crc32(text), text))
        os.lseek(self._fd, self._end, os.SEEK_SET)
        written = 0
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._end)
            raise
        self._end += len(line)


def _checked(line: bytes) -> dict[str, Any] | None:
    """The JSON of a line; None if it is damaged."""
    sum_, _, text = line.rstrip(b"\n").partition(b" ")
    if sum_ != b"%08x" % zlib.crc32(text):
        return None
    fields: dict[str, Any] = json.loads(text)
    return fields
