"""Bytes of bare samples to arrays. Full scale is -1 to 1; integers are divided by 2^(bits - 1).

16-bit samples, which is what most callers send, stay as they came until something computes with
them: the batch that they are padded into, or a resampler. That spares each request an array twice
the size of its bytes.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Float32, Int16, Samples
from emotion2vec_runtime.audio import g711

Buffer = bytes | memoryview


class SampleFormat(Enum):
    """One little-endian sample. The value is (name, bytes)."""

    U8 = ("u8", 1)
    S16 = ("s16", 2)
    S24 = ("s24", 3)
    S32 = ("s32", 4)
    F32 = ("f32", 4)
    F64 = ("f64", 8)
    MULAW = ("mulaw", 1)
    ALAW = ("alaw", 1)

    @property
    def width(self) -> int:
        """Bytes of one sample."""
        return self.value[1]


_FLOATS: Final = {SampleFormat.F32: "<f4", SampleFormat.F64: "<f8"}
_TABLES: Final = {SampleFormat.MULAW: g711.MULAW, SampleFormat.ALAW: g711.ALAW}


def read_samples(data: Buffer, sample_format: SampleFormat) -> Samples:
    """All samples of `data`, whose length is a multiple of the sample's width.

    Values are not checked: floats may be NaN or infinite. S16, and F32 that lies aligned in memory,
    are not copied: the result is then a read-only view.
    """
    if sample_format is SampleFormat.S16:
        pcm: Int16 = np.frombuffer(data, "<i2")
        return pcm.astype(np.int16, copy=False)
    if sample_format is SampleFormat.S32:
        return scale_integers(np.frombuffer(data, "<i4"))
    if sample_format in _FLOATS:
        values = np.frombuffer(data, _FLOATS[sample_format])
        with np.errstate(over="ignore", invalid="ignore"):
            return np.require(values, np.float32, ["ALIGNED", "C_CONTIGUOUS"])
    octets = np.frombuffer(data, np.uint8)
    if sample_format in _TABLES:
        return _TABLES[sample_format][octets]
    if sample_format is SampleFormat.U8:
        return (octets.astype(np.float32) - np.float32(128)) * np.float32(1 / 128)
    return scale_integers(_widen_24(octets))


def as_float(samples: Samples) -> Float32:
    """The same samples as float32; float32 is not copied."""
    return scale_integers(samples) if samples.dtype == np.int16 else samples  # type: ignore[return-value, arg-type]


def scale_integers(values: NDArray[np.signedinteger[Any]]) -> Float32:
    """Integers to float32, full scale of their own type to -1..1. A power of two, so exact."""
    scale = np.float32(2.0 ** (1 - 8 * values.itemsize))
    scaled: Float32 = np.multiply(values, scale, dtype=np.float32)
    return scaled


def _widen_24(octets: NDArray[np.uint8]) -> NDArray[np.int32]:
    """24 bits in the upper three bytes of 32."""
    wide = np.zeros((octets.size // 3, 4), np.uint8)
    wide[:, 1:] = octets.reshape(-1, 3)
    return wide.view("<i4")[:, 0]
