"""MP4 (M4A, MOV, fragmented or not): which bytes are the packets of its audio track.

FFmpeg has a demuxer for it, and it is not used here, on purpose: it is ten thousand lines with
cover art, chapters, references to other files, encryption and image items, and it believes the
counts that it reads. A file of 2.5 KB that claims 178 million samples costs it gigabytes. This one
reads the few boxes that lead to the packets of the first audio track, touches nothing else, and
bounds every count by the bytes that are there before it allocates for it.

Sources: ISO/IEC 14496-12 (boxes), 14496-14 (esds), 14496-1 7.2.6 (descriptors), the ALAC magic
cookie description, QuickTime File Format (sound sample descriptions of version 1 and 2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from emotion2vec_runtime.audio.mp4_boxes import CUT, boxes, child, require
from emotion2vec_runtime.audio.mp4_packets import Int64, packet_places
from emotion2vec_runtime.audio.source import undecodable

_AAC_OBJECT_TYPES: Final = (0x40, 0x66, 0x67, 0x68)
"""MPEG-4 audio, and MPEG-2 AAC of the profiles Main, LC and SSR."""
_ALAC_COOKIE: Final = 36
_MAX_EDITS: Final = 16

Codec = Literal["aac", "alac"]


class Track(NamedTuple):
    """What a decoder needs of an audio track."""

    codec: Codec
    setup: bytes
    """FFmpeg's extradata: an AudioSpecificConfig for AAC, the whole `alac` box for ALAC."""
    skip: float
    """Seconds at the beginning not to play."""
    keep: float | None
    """Seconds to play after them; None for all."""
    packets: Iterator[memoryview]


def read_track(data: memoryview) -> Track:
    """The first audio track with its packets in order, up to where the file ends.

    Raises:
        InvalidRequestError: there is no index (a file cut short), no audio track, a codec other
            than AAC and ALAC, or a table that contradicts itself.
    """
    try:
        return _read_track(data)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise undecodable(CUT) from error


def _read_track(data: memoryview) -> Track:
    movie = child(data, b"moov")
    if movie is None:
        raise undecodable("the M4A file has no index, often its last part: send the whole file")
    track = _find_audio(movie)
    codec, setup = _read_codec(require(track, b"mdia", b"minf", b"stbl", b"stsd"))
    skip, keep = _read_edits(movie, track)
    return Track(codec, setup, skip, keep, _slices(data, *packet_places(data, movie, track)))


def _find_audio(movie: memoryview) -> memoryview:
    for box in boxes(movie):
        if box.name == b"trak" and bytes(require(box.body, b"mdia", b"hdlr")[8:12]) == b"soun":
            return box.body
    raise undecodable("the M4A file has no audio track: send one that has")


def _slices(data: memoryview, offsets: Int64, sizes: Int64) -> Iterator[memoryview]:
    """The packets, as far as the file holds them. They can't overlap: that would multiply it."""
    left = len(data)
    for offset, size in zip(map(int, offsets), map(int, sizes), strict=True):
        left -= size
        if offset < 0 or offset + size > len(data) or left < 0:
            return
        if size:
            yield data[offset : offset + size]


def _read_codec(body: memoryview) -> tuple[Codec, bytes]:
    entry = next(boxes(body[8:]), None)
    if entry is None:
        raise undecodable(CUT)
    # The configuration's place in the entry differs between MP4 and the QuickTime versions of it,
    # where it may lie in a further box; its name is looked for instead.
    content = bytes(entry.body)
    if entry.name == b"mp4a":
        return "aac", _read_esds(content)
    if entry.name == b"alac":
        at = content.find(struct.pack(">I", _ALAC_COOKIE) + b"alac")
        if at < 0 or len(content) < at + _ALAC_COOKIE:
            raise undecodable(CUT)
        return "alac", content[at : at + _ALAC_COOKIE]
    name = entry.name.decode("ascii", "replace")
    raise undecodable(f"MP4 with the codec {name!r} is not supported: use AAC or ALAC")


def _read_esds(content: bytes) -> bytes:
    at = content.find(b"esds")
    if at < 0:
        raise undecodable(CUT)
    elementary, _ = _descriptor(content[at + 8 :], 0x03)
    flags = elementary[2]
    start = 3 + (2 if flags & 0x80 else 0) + (2 if flags & 0x20 else 0)
    if flags & 0x40:
        start += 1 + elementary[start]
    config, _ = _descriptor(elementary[start:], 0x04)
    if config[0] not in _AAC_OBJECT_TYPES:
        raise undecodable(
            f"MP4 with audio of object type {config[0]:#04x} is not supported: use AAC or ALAC"
        )
    specific, _ = _descriptor(config[13:], 0x05)
    return specific


def _descriptor(content: bytes, tag: int) -> tuple[bytes, bytes]:
    """The first descriptor's content, which must have `tag`, and what follows it."""
    if content[0] != tag:
        raise undecodable(CUT)
    size, at = 0, 1
    for _ in range(4):
        octet = content[at]
        size, at = size << 7 | octet & 0x7F, at + 1
        if not octet & 0x80:
            break
    return content[at : at + size], content[at + size :]


def _read_edits(movie: memoryview, track: memoryview) -> tuple[float, float | None]:
    """The part of the track to play, in seconds: (skip, keep).

    Encoders use one edit to cut their run-in and the padding of the last packet. Of a list of
    several, only where the first one begins is heeded.
    """
    edits = child(track, b"edts", b"elst")
    if edits is None:
        return 0.0, None
    form = ">Qqi" if edits[0] else ">Iii"
    count = struct.unpack_from(">I", edits, 4)[0]
    rows = list(
        struct.iter_unpack(form, edits[8 : 8 + min(count, _MAX_EDITS) * struct.calcsize(form)])
    )
    played = [(duration, begin) for duration, begin, _ in rows if begin >= 0]
    if not played:
        return 0.0, None
    duration, begin = played[0]
    skip = begin / _timescale(require(track, b"mdia", b"mdhd"))
    if len(played) > 1 or duration == 0:
        return skip, None
    return skip, duration / _timescale(require(movie, b"mvhd"))


def _timescale(header: memoryview) -> int:
    scale: int = struct.unpack_from(">I", header, 20 if header[0] else 12)[0]
    if scale == 0:
        raise undecodable(CUT)
    return scale
