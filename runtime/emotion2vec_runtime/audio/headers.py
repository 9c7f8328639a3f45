"""What the first bytes of a container say of its length, where FFmpeg does not tell."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from emotion2vec_runtime.audio.containers.formats import Format
from emotion2vec_runtime.audio.sniff import mpeg_frame_rate, mpeg_frame_samples

_UNKNOWN_32: Final = (0, 0xFFFFFFFF, 0x7FFFFFFF)
"""Left behind by writers that could not seek back."""
_SEGMENT: Final = b"\x18\x53\x80\x67"
_TAG_WITHIN = 64
"""Bytes from an MP3's beginning within which its length stands, behind the first frame's header."""


class Length(NamedTuple):
    """What a container says of its length."""

    is_told: bool = False
    """Whether what FFmpeg tells is the file's own word, and not an estimate."""
    seconds: float | None = None
    """Where FFmpeg tells it only of a file that it can seek in."""
    padding: tuple[float, float] = (0.0, 0.0)
    """Where, in seconds from the first frame, an encoder filled its last frames up with silence, of
    which FFmpeg tells under the same condition."""


def length(head: bytes, form: Format) -> Length:
    """What the container says that begins with `head`, behind any tags."""
    if form is Format.MP3:
        return _mp3_length(head)
    if form is Format.MP4:
        # A fragmented one tells of the fragments that have come.
        return Length(is_told=b"mvex" not in head and b"moof" not in head)
    return Length(is_told=form.states_length)


def _mp3_length(head: bytes) -> Length:
    # The tag of Xing, and behind it LAME's: how many frames there are, and how many samples of
    # them the encoder added in front and behind (gabriel.mp3-tech.org/mp3infotag.html).
    at = max(head.find(b"Xing", 0, _TAG_WITHIN), head.find(b"Info", 0, _TAG_WITHIN))
    if at < 0 or len(head) < at + 12 or not head[at + 7] & 1:
        return Length()
    frames = int.from_bytes(head[at + 8 : at + 12], "big")
    flags = head[at + 7]
    lame = at + 8 + sum(size for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)) if flags & bit)
    delays = int.from_bytes(head[lame + 21 : lame + 24].ljust(3, b"\0"), "big")
    before, behind = delays >> 12, delays & 0xFFF
    samples, rate = mpeg_frame_samples(head), mpeg_frame_rate(head)
    total = frames * samples
    if total <= before + behind:
        return Length()
    # The decoder is late by 529 samples, so that much less of its last ones is silence.
    end = (total - max(0, behind - 529)) / rate
    return Length(True, (total - before - behind) / rate, (end, total / rate))


def must_be_whole(head: bytes, form: Format) -> bool:
    """Whether it can't be read from front to back, as it arrives."""
    if form is not Format.MP4:
        return form.must_be_whole
    at = 0
    while at + 8 <= len(head):
        size, name = struct.unpack_from(">I4s", head, at)
        if name in (b"moov", b"moof"):
            return False
        if name == b"mdat" or size < 8:
            return True
        at += size
    return True


def stated_bytes(head: bytes, form: Format) -> int | None:
    """How many bytes the container says that it has; None where it does not say."""
    match form:
        case Format.WAV | Format.AVI if head[:4] == b"RIFF":
            return _after_header(head, 4, "<I")
        case Format.AIFF:
            return _after_header(head, 4, ">I")
        case Format.W64:
            return _number(head, 16, "<Q")
        case Format.MATROSKA:
            return _matroska_bytes(head)
        case _:
            return None


def _after_header(head: bytes, at: int, kind: str) -> int | None:
    size = _number(head, at, kind)
    return None if size is None or size in _UNKNOWN_32 else at + 4 + size


def _number(head: bytes, at: int, kind: str) -> int | None:
    if len(head) < at + struct.calcsize(kind):
        return None
    return int(struct.unpack_from(kind, head, at)[0])


def _matroska_bytes(head: bytes) -> int | None:
    # RFC 8794: an element's size has as many bytes as its first one has leading zeros, and one
    # more; all other bits set mean that it is unknown.
    at = head.find(_SEGMENT)
    if at < 0 or len(head) < at + 12:
        return None
    at += len(_SEGMENT)
    count = 9 - head[at].bit_length()
    if count > 8:
        return None
    size = int.from_bytes(head[at : at + count], "big") & (1 << 7 * count) - 1
    return None if size == (1 << 7 * count) - 1 else at + count + size
