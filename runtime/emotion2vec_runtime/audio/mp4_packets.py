"""Where the packets of an MP4 track lie: the tables of the movie box, then those of its fragments.

Every count is bounded by the bytes that hold the numbers, or by `_MAX_PACKETS` where a file may
state one number for all packets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotion2vec_runtime.audio.mp4_boxes import boxes, child, require
from emotion2vec_runtime.audio.source import undecodable

Int64 = NDArray[np.int64]
Places = tuple[Int64, Int64]
"""Offset in the file and size of each packet."""

_MAX_PACKETS: Final = 1 << 20
"""6 hours of AAC at 48 kHz."""


def packet_places(data: memoryview, movie: memoryview, track: memoryview) -> Places:
    """The places of all packets of `track`, in order. They may lie beyond the file's end."""
    places = [_read_table(require(track, b"mdia", b"minf", b"stbl"))]
    header = require(track, b"tkhd")
    number = struct.unpack_from(">I", header, 20 if header[0] else 12)[0]
    default_size = _default_size(movie, number)
    total = places[0][0].size
    for box in boxes(data):
        if box.name == b"moof":
            for run in _read_fragment(box.body, box.offset, number, default_size):
                places.append(run)
                total += run[0].size
                _check_count(total)
    return np.concatenate([run[0] for run in places]), np.concatenate([run[1] for run in places])


def _check_count(count: int) -> None:
    if count > _MAX_PACKETS:
        raise undecodable("the M4A file claims more packets than any audio has: write it again")


def _read_table(table: memoryview) -> Places:
    """Offset and size of each packet that the movie box itself lists; none in a fragmented file."""
    sizes = _read_sizes(require(table, b"stsz"))
    chunks = _read_chunks(table)
    runs = _numbers(require(table, b"stsc"), 4, 3)
    if not sizes.size or not chunks.size or not len(runs):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    firsts = np.append(np.clip(runs[:, 0] - 1, 0, chunks.size), chunks.size)
    firsts[0] = 0
    in_chunk = np.repeat(np.minimum(runs[:, 1], sizes.size), np.diff(firsts))
    ends = np.minimum(np.cumsum(in_chunk), sizes.size)
    starts = np.append(0, ends[:-1])
    chunk = np.repeat(np.arange(chunks.size), ends - starts)
    before = np.cumsum(sizes) - sizes
    listed = before[: chunk.size]
    offsets = chunks[chunk] + listed - listed[starts[chunk]]
    return offsets, sizes[: chunk.size]


def _read_sizes(body: memoryview) -> Int64:
    size, count = struct.unpack_from(">II", body, 4)
    _check_count(count)
    return np.full(count, size, np.int64) if size else _numbers(body, 8, 1, count)[:, 0]


def _read_chunks(table: memoryview) -> Int64:
    short = child(table, b"stco")
    if short is not None:
        return _numbers(short, 4, 1)[:, 0]
    body = require(table, b"co64")
    count = struct.unpack_from(">I", body, 4)[0]
    return np.frombuffer(body, ">i8", count, 8).astype(np.int64)


def _numbers(body: memoryview, at: int, columns: int, count: int | None = None) -> Int64:
    """[count, columns] of 32 bits. `count`, where not given, is read at `at`; they follow it."""
    if count is None:
        count = struct.unpack_from(">I", body, at)[0]
    values = np.frombuffer(body, ">u4", count * columns, at + 4)
    return values.astype(np.int64).reshape(-1, columns)


def _default_size(movie: memoryview, number: int) -> int:
    """Bytes of a packet of track `number` in fragments that state none."""
    extends = child(movie, b"mvex")
    for box in boxes(extends) if extends is not None else ():
        if box.name == b"trex":
            track, _, _, size = struct.unpack_from(">4I", box.body, 4)
            if track == number:
                return int(size)
    return 0


def _read_fragment(
    body: memoryview, start: int, number: int, default_size: int
) -> Iterator[Places]:
    for box in boxes(body):
        if box.name != b"traf":
            continue
        header = require(box.body, b"tfhd")
        flags, track = struct.unpack_from(">II", header)
        if track != number:
            continue
        base, size = _read_fragment_header(header, flags, start, default_size)
        end = base
        for run in boxes(box.body):
            if run.name == b"trun":
                places, end = _read_run(run.body, base, end, size)
                yield places


def _read_fragment_header(header: memoryview, flags: int, start: int, size: int) -> tuple[int, int]:
    """Base of the offsets (the fragment's own beginning where none is stated), default size."""
    at = 8
    if flags & 0x1:
        start, at = struct.unpack_from(">Q", header, at)[0], at + 8
    at += (4 if flags & 0x2 else 0) + (4 if flags & 0x8 else 0)
    if flags & 0x10:
        size = struct.unpack_from(">I", header, at)[0]
    return start, size


def _read_run(body: memoryview, base: int, start: int, size: int) -> tuple[Places, int]:
    """The packets of one run and where it ends, which is where the next begins by default."""
    flags, count = struct.unpack_from(">II", body)
    _check_count(count)
    at = 8
    if flags & 0x1:
        start, at = base + struct.unpack_from(">i", body, at)[0], at + 4
    at += 4 if flags & 0x4 else 0
    columns = [bit for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit]
    if 0x200 in columns:
        rows = np.frombuffer(body, ">u4", count * len(columns), at).reshape(count, -1)
        sizes = rows[:, columns.index(0x200)].astype(np.int64)
    else:
        sizes = np.full(count, size, np.int64)
    ends = start + np.cumsum(sizes)
    return (ends - sizes, sizes), start + int(sizes.sum())
