"""Decoding tables of ITU-T Recommendation G.711 (11/88), scaled so that 16 bits are -1 to 1.

The Recommendation gives values of 14 bits (mu-law, table 2a/b) and 13 bits (A-law, table 1a/b);
as every decoder does, they are shifted to the top of 16 bits.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray


def _mulaw() -> NDArray[np.float32]:
    # All bits of the character signal are inverted; a set sign bit then means negative. The
    # decision values grow from a bias of 33 (x 4 at 16 bits = 132), which is taken off again.
    code = ~np.arange(256, dtype=np.uint8)
    segment, step = (code >> 4) & 7, (code & 15).astype(np.int32)
    magnitude = (((step << 3) + 132) << segment) - 132
    return _scaled(np.where(code & 0x80, -magnitude, magnitude))


def _alaw() -> NDArray[np.float32]:
    # Even bits of the character signal are inverted; a set sign bit then means positive. Each
    # value lies in the middle of its interval, and segments 0 and 1 have the same step.
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment, step = ((code >> 4) & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = np.where(
        segment == 0, (step << 4) + 8, ((step << 4) + 264) << np.maximum(segment - 1, 0)
    )
    return _scaled(np.where(code & 0x80, magnitude, -magnitude))


def _scaled(values: NDArray[np.int32]) -> NDArray[np.float32]:
    return (values / 32768).astype(np.float32)


MULAW: Final = _mulaw()
ALAW: Final = _alaw()
