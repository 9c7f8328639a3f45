"""How far an artefact may be from FunASR."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Largest absolute differences, over all clips of the parity check."""

    probability: float
    speechless: float
    """Of a probability, on clips that hold no speech: silence, and a single frame."""
    frame_embedding: float
    """Of one value of it. They come out of a layer norm, so they are about 1 in size. It binds
    every model, and is all that binds one without a classifier."""
