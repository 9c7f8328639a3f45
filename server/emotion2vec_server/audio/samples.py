"""Bytes of bare samples to float32. Full scale is -1 to 1; integers are divided by 2^(bits - 1)."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion2vec_server.audio import g711

Float32 = NDArray[np.float32]
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


_INTEGERS: Final = {SampleFormat.S16: "<i2", SampleFormat.S32: "<i4"}
_FLOATS: Final = {SampleFormat.F32: "<f4", SampleFormat.F64: "<f8"}
_TABLES: Final = {SampleFormat.MULAW: g711.MULAW, SampleFormat.ALAW: g711.ALAW}


def to_float(data: Buffer, sample_format: SampleFormat) -> Float32:
    """All samples of `data`, whose length is a multiple of the sample's width.

    Values are not checked: floats may be NaN or infinite. F32 that lies aligned in memory is not
    copied: the result is then a read-only view.
    """
    if sample_format in _INTEGERS:
        return scale_integers(np.frombuffer(data, _INTEGERS[sample_format]))
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
