"""Boxes of ISO/IEC 14496-12: a size, a name and a body, which may hold further boxes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from emotion2vec_runtime.audio.source import undecodable

CUT = "the M4A file is cut short or damaged: send the whole file"
_MAX_BOXES = 100_000


class Box(NamedTuple):
    """A box without its header, which begins at `offset`."""

    name: bytes
    body: memoryview
    offset: int


def boxes(data: memoryview) -> Iterator[Box]:
    """The boxes that stand side by side in `data`; one that is cut short ends there."""
    start = 0
    for _ in range(_MAX_BOXES):
        if start + 8 > len(data):
            return
        size, name = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1:
            size, header = struct.unpack_from(">Q", data, start + 8)[0], 16
        elif size == 0:
            size = len(data) - start
        if size < header:
            return
        yield Box(name, data[start + header : start + size], start)
        start += size
    raise undecodable("the M4A file has too many parts: write it again")


def child(data: memoryview, *path: bytes) -> memoryview | None:
    """The first box at `path`, one name a level."""
    found: memoryview | None = data
    for name in path:
        if found is None:
            return None
        found = next((box.body for box in boxes(found) if box.name == name), None)
    return found


def require(data: memoryview, *path: bytes) -> memoryview:
    found = child(data, *path)
    if found is None:
        raise undecodable(CUT)
    return found
