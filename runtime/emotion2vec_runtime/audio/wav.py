"""WAV: a RIFF header, then bare samples. So it is read here, without a library and without a copy.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, fmt and data chunks),
RFC 2361 (format tags), KSDATAFORMAT_SUBTYPE GUIDs (WAVE_FORMAT_EXTENSIBLE), EBU Tech 3306 (ds64).
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from emotion2vec_runtime.audio.samples import SampleFormat
from emotion2vec_runtime.audio.source import Source, open_samples, undecodable

_EXTENSIBLE = 0xFFFE
_GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
_FORMATS: Final = {
    (1, 8): SampleFormat.U8,
    (1, 16): SampleFormat.S16,
    (1, 24): SampleFormat.S24,
    (1, 32): SampleFormat.S32,
    (3, 32): SampleFormat.F32,
    (3, 64): SampleFormat.F64,
    (6, 8): SampleFormat.ALAW,
    (7, 8): SampleFormat.MULAW,
}
_UNKNOWN_SIZES: Final = (0, 0xFFFFFFFF)
"""Left behind by writers that could not seek back: the data goes on to the end of the file."""
_MAX_CHUNKS = 1000


class _Format(NamedTuple):
    samples: SampleFormat
    sample_rate: int
    channels: int


def open_wav(data: memoryview) -> Source:
    """WAV with PCM of 8, 16, 24 or 32 bits, floats of 32 or 64 bits, mu-law or A-law.

    A size that claims more than there is is cut to what is there.

    Raises:
        InvalidRequestError: no format, no data, another codec or a header that contradicts itself.
    """
    form: _Format | None = None
    long_size: int | None = None
    start = 12
    for _ in range(_MAX_CHUNKS):
        if start + 8 > len(data):
            break
        name, size = struct.unpack_from("<4sI", data, start)
        body = data[start + 8 : start + 8 + size]
        if name == b"fmt ":
            form = _read_format(body)
        elif name == b"ds64" and len(body) >= 16:
            long_size = int.from_bytes(body[8:16], "little")
        elif name == b"data":
            if form is None:
                raise undecodable("the WAV file has no format before its data: write it again")
            if size in _UNKNOWN_SIZES:
                body = data[start + 8 :][: long_size or None]
            return open_samples(body, *form)
        start += 8 + size + (size & 1)
    raise undecodable("the WAV file ends, or is damaged, before its data: send the whole file")


def _read_format(body: memoryview) -> _Format:
    if len(body) < 16:
        raise undecodable("the WAV file's format chunk is cut short: send the whole file")
    tag, channels, sample_rate, _, align, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 40 and bytes(body[26:40]) == _GUID_TAIL:
        tag = int.from_bytes(body[24:26], "little")
    samples = _FORMATS.get((tag, bits))
    if samples is None:
        raise undecodable(
            f"WAV with format tag {tag:#06x} and {bits} bits is not supported: "
            "use PCM, float, mu-law or A-law"
        )
    if align != channels * samples.width:
        raise undecodable(
            "the WAV file's header contradicts itself about its frame size: write it again"
        )
    return _Format(samples, sample_rate, channels)
