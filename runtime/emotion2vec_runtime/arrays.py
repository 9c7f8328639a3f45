"""The arrays that pass between the parts; shapes stand where they are used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int16 = NDArray[np.int16]
Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
Samples = Float32 | Int16
"""Audio at 16 kHz: float32 of full scale 1, or int16 of full scale 32768."""
