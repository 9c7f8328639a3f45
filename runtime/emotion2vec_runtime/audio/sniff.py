"""Which container bytes are, by their first bytes and never by a name.

Most have a signature: RIFF/WAVE (also RF64 and BW64 of EBU Tech 3306 / ITU-R BS.2088), FLAC (RFC
9639), Ogg (RFC 3533), ISO base media (ISO/IEC 14496-12) and QuickTime, Matroska (RFC 8794), AIFF,
CAF, AU, Wave64, ASF, AMR (RFC 4867). MPEG audio, AAC in ADTS and in LATM, AC-3 and MPEG transport
streams have none, only a sync word that noise holds too; for them frames must follow one another.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from emotion2vec_runtime.audio.containers.formats import Format
from emotion2vec_runtime.audio.samples import Buffer

ENOUGH = 1 << 16
"""Bytes behind any ID3 tags that suffice to tell."""

_SIGNATURES: Final = (
    (re.compile(rb"(?:RIFF|RF64|BW64)....WAVE", re.DOTALL), Format.WAV),
    (re.compile(rb"RIFF....AVI ", re.DOTALL), Format.AVI),
    (re.compile(rb"fLaC"), Format.FLAC),
    (re.compile(rb"OggS\0"), Format.OGG),
    (re.compile(rb"....(?:ftyp|moov|mdat|free|skip|wide|pnot)", re.DOTALL), Format.MP4),
    (re.compile(rb"\x1a\x45\xdf\xa3"), Format.MATROSKA),
    (re.compile(rb"FORM....AIF[FC]", re.DOTALL), Format.AIFF),
    (re.compile(rb"caff\0[\x01\x02]"), Format.CAF),
    (re.compile(rb"\.snd\0\0"), Format.AU),
    (re.compile(rb"riff\x2e\x91\xcf\x11"), Format.W64),
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), Format.ASF),
    (re.compile(rb"#!AMR(?:-WB)?\n"), Format.AMR),
    (re.compile(rb"FLV\x01"), Format.FLV),
    (re.compile(rb"\0\0\x01\xba"), Format.MPEG_PS),
    (re.compile(rb"wvpk"), Format.WAVPACK),
    (re.compile(rb"TTA1"), Format.TTA),
    (re.compile(rb"Creative Voice File\x1a"), Format.VOC),
)
_ID3_HEADER = 10
_MAX_ID3_TAGS = 4
_PADDING: Final = re.compile(rb"\0*")
_SYNC: Final = re.compile(rb"\xff[\xe2-\xff]|\x56[\xe0-\xff]|\x0b\x77|\x47")

# ISO/IEC 11172-3 and 13818-3: kbit/s by index, by (MPEG 1, layer). MPEG 2 and 2.5 share theirs.
_BITRATES: Final = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# ETSI TS 102 366, table 4.13: kbit/s by frame size code / 2.
_AC3_BITRATES: Final = (
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
)  # fmt: skip
_AC3_RATES: Final = (48000, 44100, 32000)


class Sniffed(NamedTuple):
    """A recognised container. `start` is where it begins, behind any tags and junk."""

    format: Format
    start: int


def sniff(data: Buffer) -> Sniffed | None:
    """The container of `data`, of which the first `ENOUGH` bytes suffice; None when it is none."""
    found = sniff_signature(data)
    if found is not None:
        return found
    start = skip_id3(data)
    if start:
        found = sniff_signature(data[start:])
        if found is not None:
            return Sniffed(found.format, start + found.start)
    return _find_frames(data, start, 2) or _search_frames(data, start)


def sniff_signature(data: Buffer) -> Sniffed | None:
    """As `sniff`, but only by signatures that no sound can hold by chance."""
    head = bytes(data[:20])
    for pattern, form in _SIGNATURES:
        if pattern.match(head):
            return Sniffed(form, 0)
    return None


def sniff_among_samples(data: Buffer) -> Sniffed | None:
    """As `sniff`, for what should be bare samples: only what can hardly be such by chance."""
    found = sniff_signature(data)
    if found is not None:
        return found
    if bytes(data[:3]) == b"ID3" and data[3:4] in (b"\2", b"\3", b"\4"):
        return sniff(data)
    return _find_frames(data, 0, _CERTAIN, needs_all=True)


def skip_id3(data: Buffer) -> int:
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


def _search_frames(data: Buffer, start: int) -> Sniffed | None:
    """Frames behind junk: a foreign tag, the middle of a frame, what a radio stream began with."""
    head = bytes(data[start : start + ENOUGH])
    for sync in _SYNC.finditer(head):
        found = _find_frames(head, sync.start(), _CERTAIN, needs_all=True)
        if found is not None:
            return Sniffed(found.format, start + found.start)
    return None


_CERTAIN = 6
"""Frames in a row that no noise holds: each has at least 11 bits of sync and a few of fields."""


def _find_frames(
    data: Buffer, start: int, count: int, *, needs_all: bool = False
) -> Sniffed | None:
    """A container whose frames follow each other at `start`; unless `needs_all`, fewer are enough
    where the bytes end after them."""
    for form, frame_size in _FRAME_SIZES.items():
        at = start
        for seen in range(count):
            head = bytes(data[at : at + 7])
            if seen and not needs_all and len(head) < 7:
                return Sniffed(form, start)
            size = frame_size(head) if len(head) == 7 or (len(head) >= 4 and not seen) else 0
            if not size:
                break
            at += size
        else:
            return Sniffed(form, start)
    return None


def mpeg_frame_size(head: bytes) -> int:
    """Bytes of the MPEG audio frame with this header, any layer; 0 where it is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    bits = 1000 * _BITRATES[version == 3, layer][bitrate - 1]
    hertz = _MPEG_RATES[version][rate]
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    return mpeg_frame_samples(head) * bits // 8 // hertz + padding


def mpeg_frame_samples(head: bytes) -> int:
    """Samples of a channel in the MPEG audio frame, of layer II or III, with this header."""
    return 576 if head[1] >> 1 & 3 == 1 and head[1] >> 3 & 3 != 3 else 1152


def mpeg_frame_rate(head: bytes) -> int:
    """Its sample rate in Hz."""
    return _MPEG_RATES[head[1] >> 3 & 3][head[2] >> 2 & 3]


def _adts_frame_size(head: bytes) -> int:
    # ISO/IEC 14496-3, 1.A.3.2: 12 bits of sync, layer 0, a rate index below 13.
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size > 7 else 0


def _latm_frame_size(head: bytes) -> int:
    # ISO/IEC 14496-3, 1.7.2: 11 bits of sync, 13 of length.
    if len(head) < 3 or head[0] != 0x56 or head[1] & 0xE0 != 0xE0:
        return 0
    size = (head[1] & 0x1F) << 8 | head[2]
    return size + 3 if size else 0


def _ac3_frame_size(head: bytes) -> int:
    # ETSI TS 102 366, 4.4.1: sync word, two bytes of checksum, rate and size codes; bsid up to 10.
    if len(head) < 7 or head[:2] != b"\x0b\x77" or head[5] >> 3 > 10:
        return 0
    rate, code = head[4] >> 6, head[4] & 0x3F
    if rate == 3 or code >= 38:
        return 0
    words = _AC3_BITRATES[code >> 1] * 1536 * 1000 // _AC3_RATES[rate] // 16
    return 2 * (words + (code & 1 if rate == 1 else 0))


def _eac3_frame_size(head: bytes) -> int:
    # ETSI TS 102 366, E.1.2: the frame states its own size; bsid 11 to 16.
    if len(head) < 7 or head[:2] != b"\x0b\x77" or not 10 < head[5] >> 3 <= 16:
        return 0
    return 2 * (((head[2] & 7) << 8 | head[3]) + 1)


def _transport_packet_size(head: bytes) -> int:
    # ISO/IEC 13818-1, 2.4.3.2: a sync byte every 188, and some payload or adaptation field.
    return 188 if len(head) >= 4 and head[0] == 0x47 and head[3] & 0x30 else 0


_FRAME_SIZES: Final[dict[Format, Callable[[bytes], int]]] = {
    Format.MP3: mpeg_frame_size,
    Format.ADTS: _adts_frame_size,
    Format.LATM: _latm_frame_size,
    Format.AC3: _ac3_frame_size,
    Format.EAC3: _eac3_frame_size,
    Format.MPEG_TS: _transport_packet_size,
}
