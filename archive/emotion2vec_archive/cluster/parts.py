"""What is left to do, in parts: each is one file of the table, and one task of a worker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from emotion2vec_archive.recording import Recording

MOST_RECORDINGS = 64
MOST_BYTES = 128 << 20
"""Of the recordings of one part: some minutes of work, which is what a dead worker costs."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the table, and the recordings whose rows are to be made for it.

    The file may be there already: its rows of other recordings stay, its old rows of these go.
    """

    name: str
    recordings: tuple[Recording, ...]


class Done(NamedTuple):
    """What the table has of a recording."""

    part: str
    version: str
    """Of the recording, as in `Recording.version`."""
    is_failed: bool


def plan(
    recordings: Iterable[Recording],
    done: Mapping[str, Done],
    *,
    retry_failed: bool = False,
    most: int = MOST_RECORDINGS,
) -> Iterator[Part]:
    """The parts that are left, those that are there already first.

    Args:
        recordings: all of them.
        done: by path, what the table has.
        retry_failed: whether to try again what failed.
        most: recordings of one part.
    """
    fresh: list[Recording] = []
    stale: dict[str, list[Recording]] = {}
    for recording in recordings:
        known = done.get(recording.path)
        if known is None:
            fresh.append(recording)
        elif known.version != version_of(recording) or (known.is_failed and retry_failed):
            stale.setdefault(known.part, []).append(recording)
    for name, changed in sorted(stale.items()):
        yield Part(name, tuple(changed))
    for together in _packed(fresh, most):
        yield Part(_name(together), together)


def version_of(recording: Recording) -> str:
    """What differs where a recording has changed."""
    return f"{recording.size} {recording.version}"


def _packed(recordings: Iterable[Recording], most: int) -> Iterator[tuple[Recording, ...]]:
    held: list[Recording] = []
    size = 0
    for recording in recordings:
        if held and (len(held) == most or size + (recording.size or 0) > MOST_BYTES):
            yield tuple(held)
            held, size = [], 0
        held.append(recording)
        size += recording.size or 0
    if held:
        yield tuple(held)


def _name(recordings: Iterable[Recording]) -> str:
    """The same for the same recordings, so that a task that runs twice writes one file."""
    digest = hashlib.sha256()
    for recording in recordings:
        text = f"{recording.path}\0{version_of(recording)}\0"
        digest.update(text.encode("utf-8", "surrogateescape"))
    return f"part-{digest.hexdigest()[:24]}"
