"""How far an artefact may be from FunASR."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Largest differences, over all clips of the parity check that hold speech."""

    probability: float
    """Absolute."""
    frame_embedding: float
    """Of one value of it, over max(1, the RMS of its channel). It binds every model, and is all
    that binds one without a classifier."""
    mean_probability: float | None = None
    """Of the clips' largest differences. With rounding each of them is much by chance; their mean
    tells a good scheme from a bad one."""
