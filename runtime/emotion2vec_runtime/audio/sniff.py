"""Which container bytes are, by their first bytes and never by a name.

Fixed signatures: RIFF/WAVE (also RF64 and BW64 of EBU Tech 3306 / ITU-R BS.2088), FLAC (RFC 9639),
Ogg (RFC 3533), ISO base media `ftyp` (ISO/IEC 14496-12). MPEG audio and AAC in ADTS have none, only
a sync word of 11 or 12 bits that noise holds too; for them a second frame must follow the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from emotion2vec_runtime.audio.samples import Buffer
from emotion2vec_runtime.audio.spec import Encoding

_ID3_HEADER = 10
_MAX_ID3_TAGS = 4
_PADDING: Final = re.compile(rb"\0*")

# ISO/IEC 11172-3 and 13818-3, layer III: kbit/s by index for MPEG 1 and for MPEG 2 and 2.5.
_BITRATES_1: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_2: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


class Sniffed(NamedTuple):
    """A recognised container. `start` is where it begins, behind any ID3 tags."""

    encoding: Encoding
    start: int
    is_adts: bool = False
    """M4A only: AAC frames without the MP4 around them."""


def sniff(data: Buffer) -> Sniffed | None:
    """The container of `data`; None when it is none that the server reads."""
    found = sniff_signature(data)
    if found is not None:
        return found
    start = _skip_id3(data)
    if start and bytes(data[start : start + 4]) == b"fLaC":
        return Sniffed(Encoding.FLAC, start)
    if _has_two_frames(data, start, _mp3_frame_size):
        return Sniffed(Encoding.MP3, start)
    if _has_two_frames(data, start, _adts_frame_size):
        return Sniffed(Encoding.M4A, start, is_adts=True)
    return None


def sniff_signature(data: Buffer) -> Sniffed | None:
    """As `sniff`, but only by signatures that no sound can hold by chance."""
    head = bytes(data[:12])
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return Sniffed(Encoding.WAV, 0)
    if head[:4] == b"fLaC":
        return Sniffed(Encoding.FLAC, 0)
    if head[:5] == b"OggS\0":
        return Sniffed(Encoding.OGG, 0)
    if head[4:8] == b"ftyp":
        return Sniffed(Encoding.M4A, 0)
    return None


def _skip_id3(data: Buffer) -> int:
    """Where the audio begins: behind ID3v2 tags (id3.org, 2.4.0) and the zeros after them."""
    start = 0
    for _ in range(_MAX_ID3_TAGS):
        head = bytes(data[start : start + _ID3_HEADER])
        if len(head) < _ID3_HEADER or head[:3] != b"ID3":
            break
        size = 0
        for octet in head[6:10]:
            size = size << 7 | octet & 0x7F
        footer = _ID3_HEADER if head[5] & 0x10 else 0
        start += _ID3_HEADER + size + footer
    if start == 0 or start >= len(data):
        return start
    padding = _PADDING.match(data, start)
    return padding.end() if padding else start


def _has_two_frames(data: Buffer, start: int, frame_size: Callable[[bytes], int]) -> bool:
    """Whether frames follow each other at `start`; one is enough where the bytes end after it.

    `frame_size` tells the bytes of the frame that begins with these seven, 0 for none.
    """
    first = frame_size(bytes(data[start : start + 7]))
    if not first:
        return False
    rest = bytes(data[start + first : start + first + 7])
    return len(rest) < 7 or frame_size(rest) > 0


def _mp3_frame_size(head: bytes) -> int:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return 0
    kbits = (_BITRATES_1 if version == 3 else _BITRATES_2)[bitrate]
    samples = 1152 if version == 3 else 576
    return samples * kbits * 125 // _MPEG_RATES[version][rate] + padding


def _adts_frame_size(head: bytes) -> int:
    # ISO/IEC 14496-3, 1.A.3.2: 12 bits of sync, layer 0, a rate index below 13.
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size > 7 else 0
