"""How real numbers become 8-bit ones: the arithmetic of the int8 graph, without the graph.

CPUs without VNNI (AVX2, AVX-512BW) multiply bytes with `vpmaddubsw`, which adds the products of two
neighbouring rows of the matrix in 16 bits and saturates. So matrices are rounded such that no two
neighbours can reach that, whatever they are multiplied with: all CPUs then compute the same
integers, and what the export measured on one holds on the others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

ACTIVATION_TOP = 216
"""Activations are on the levels 0..ACTIVATION_TOP, with a zero point between. 255 would leave the
matrices 1.3 times coarser; at 216 the two roundings together are least."""
WEIGHT_TOP = 127
PAIR_TOP = (2**15 - 1) // ACTIVATION_TOP
"""What two neighbouring weights of one sign may sum to, so that 16 bits hold
`ACTIVATION_TOP * (w0 + w1)`."""

_TINY = np.float32(1e-12)
_DAMPING = 0.01
"""Of the mean square of a channel: GPTQ's own, for channels that the rows say nothing about."""
_FIT_ROWS = 128
"""Fitted at a time, which changes nothing but the speed."""
_SMOOTHING = 0.6
"""How much of a channel's size goes into the matrix. 0.5 and 0.65 made errors equally small, 0.35
and 0.8 larger ones; fitted matrices bear more than others."""


class Columns(NamedTuple):
    """`levels * scales` is about the matrix."""

    levels: NDArray[np.int8]
    """[K, N]"""
    scales: Float32
    """[N]"""


def quantize_columns(weight: Float32) -> Columns:
    """[K, N] to integers with one scale a column, the smallest that keeps to both tops."""
    largest = np.abs(weight).max(axis=0)
    # Rounding may add half a level to each of a pair.
    scales = np.maximum(largest / WEIGHT_TOP, pair_sums(weight).max(axis=0) / (PAIR_TOP - 1))
    scales = np.maximum(scales, _TINY).astype(np.float32)
    return Columns(np.rint(weight / scales).astype(np.int8), scales)


def fit_columns(weight: Float32, rows: Float32) -> Columns:
    """Like `quantize_columns`, but each weight makes up for what rounding those above it did.

    Rounding to the nearest keeps weights close. What counts is that products stay close, for rows
    such as the model really has, in which channels go together. This is GPTQ
    (https://arxiv.org/abs/2210.17323) in the form of LDLQ (https://arxiv.org/abs/2307.13304): with
    H = L D L' (L unit upper) the second moment of `rows`, level k is rounded from

        weight_k + sum over j < k of L_jk (weight_j - level_j)

    Args:
        weight: [K, N]
        rows: [n, K], what the matrix is typically multiplied with.
    """
    scales = quantize_columns(weight).scales
    exact = weight / scales
    feedback = _feedback(rows)
    levels, errors = np.zeros_like(exact), np.zeros_like(exact)
    for first in range(0, len(exact), _FIT_ROWS):
        block = slice(first, min(first + _FIT_ROWS, len(exact)))
        wanted = exact[block] + feedback[:first, block].T @ errors[:first]
        for row in range(block.start, block.stop):
            above = feedback[first:row, row] @ errors[first:row]
            level = np.clip(np.rint(wanted[row - first] + above), -WEIGHT_TOP, WEIGHT_TOP)
            if row % 2:
                level = _beside(levels[row - 1], level)
            levels[row] = level
            errors[row] = exact[row] - level
    return Columns(levels.astype(np.int8), scales)


def _feedback(rows: Float32) -> Float32:
    """L of `fit_columns`: [K, K]."""
    moment = rows.T @ rows
    moment[np.diag_indices_from(moment)] += max(_DAMPING * np.trace(moment) / len(moment), _TINY)
    # Cholesky gives lower factors; of the matrix turned round, that is an upper one.
    upper = np.linalg.cholesky(moment[::-1, ::-1])[::-1, ::-1]
    return np.asarray(upper / np.diag(upper), np.float32)


def _beside(neighbour: Float32, level: Float32) -> Float32:
    """`level`, where need be nearer to zero, such that a pair keeps to PAIR_TOP."""
    low = np.where(neighbour < 0, -PAIR_TOP - neighbour, -WEIGHT_TOP)
    high = np.where(neighbour > 0, PAIR_TOP - neighbour, WEIGHT_TOP)
    return np.clip(level, low, high)


def pair_sums(weight: NDArray[np.generic]) -> NDArray[np.float64]:
    """The largest magnitude that rows 2i and 2i + 1 can add up to, weighted 0 to 1: [K/2, N]."""
    padded = np.pad(weight.astype(np.float64), ((0, len(weight) % 2), (0, 0)))
    pairs = padded.reshape(len(padded) // 2, 2, -1)
    above, below = pairs.clip(min=0).sum(axis=1), pairs.clip(max=0).sum(axis=1)
    return np.asarray(np.maximum(above, -below))


def smoothing(weight: Float32, rows: Float32) -> Float32:
    """What to divide each channel of `rows` by, and multiply the matrix by: [K].

    A channel that is larger than others would coarsen the levels of all. This is SmoothQuant
    (https://arxiv.org/abs/2211.10438): factor = reach^a / weights^(1 - a).

    Args:
        weight: [K, N], which the rows are multiplied with.
        rows: [n, K], typical ones.
    """
    reach = np.maximum(np.abs(rows).max(axis=0), _TINY)
    weights = np.maximum(np.abs(weight).max(axis=1), _TINY)
    factors = reach**_SMOOTHING / weights ** (1 - _SMOOTHING)
    return np.asarray(factors / np.exp(np.log(factors).mean()), np.float32)
