"""What the int8 form of a graph has in place of its matrices."""

from __future__ import annotations

from typing import NamedTuple

from emotion2vec_export.levels import Columns, Float32


class Layout(NamedTuple):
    """How a row of activations is laid out on the levels."""

    zero_point: int
    symmetric: bool
    """Whether a row's scale comes from its largest magnitude, or from its largest value."""
    lowest: float
    """What no value is below, if its largest does not tell."""


class Rounded(NamedTuple):
    """One linear layer, rounded."""

    layout: Layout
    factors: Float32
    """[K], by which its input is divided and its matrix multiplied before."""
    columns: Columns
    bias: Float32


Fitted = dict[bytes, Rounded]
"""What was found on speech for each matrix, by its digest: a step of live streams has the same."""
