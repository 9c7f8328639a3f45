"""How close a contestant is to fp32, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.contestants import Run
from benchmarks.gpu.subject import RATE, batch

_WARM_UPS = 3
_LEAST, _MOST, _SECONDS = 5, 200, 1.0
"""Runs of a shape, and about how long they may take together."""
_MARGIN = 0.05
"""Between the two best probabilities: below it, a label may change."""


@dataclass(frozen=True, slots=True)
class Closeness:
    """To fp32, over clips of several lengths, loud, quiet and silent, padded in one batch."""

    largest_difference: float
    """Of a probability."""
    labels_kept: int
    labels: int
    """Whose margin in fp32 is over 0.05."""
    finite: bool


@dataclass(frozen=True, slots=True)
class Timing:
    """One shape."""

    seconds: float
    batch: int
    runs: int
    p50: float
    p99: float
    """Of a batch, from host memory to host memory."""
    audio_rate: float
    """Seconds of speech a second, at the median."""
    matrix_share: float
    """Of the card's measured rate of fp16 products."""
    memory_gib: float
    """On the card, all processes'; 0 on a CPU."""


def probabilities(run: Run) -> NDArray[np.float64]:
    """Of the clips that are compared, [B, C]."""
    lengths = np.array([400, RATE, 3 * RATE, 5 * RATE, 5 * RATE, 2 * RATE, RATE])
    loudness = np.array([1, 1, 1, 1, 0.01, 100, 0], np.float32)
    waveforms = np.zeros((len(lengths), lengths.max()), np.float32)
    for row, length in enumerate(lengths):
        waveforms[row, :length] = loudness[row] * batch(1, length / RATE)[0][0]
    return _softmax(run(waveforms, lengths))


def closeness(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Closeness:
    """Of `probabilities` to those of fp32."""
    ranked = np.sort(theirs, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > _MARGIN
    kept = (ours.argmax(axis=1) == theirs.argmax(axis=1)) & clear
    return Closeness(
        largest_difference=float(np.abs(ours - theirs).max()),
        labels_kept=int(kept.sum()),
        labels=int(clear.sum()),
        finite=bool(np.isfinite(ours).all()),
    )


def timing(
    run: Run, rows: int, seconds: float, flops: float, matrix_rate: float, device: str
) -> Timing:
    """`flops` of one clip; `matrix_rate` in FLOP/s."""
    waveforms, lengths = batch(rows, seconds)
    for _ in range(_WARM_UPS):
        run(waveforms, lengths)
    taken: list[float] = []
    while len(taken) < _LEAST or (sum(taken) < _SECONDS and len(taken) < _MOST):
        began = time.perf_counter()
        run(waveforms, lengths)
        taken.append(time.perf_counter() - began)
    p50, p99 = np.percentile(taken, [50, 99])
    return Timing(
        seconds=seconds,
        batch=rows,
        runs=len(taken),
        p50=float(p50),
        p99=float(p99),
        audio_rate=float(rows * seconds / p50),
        matrix_share=float(rows * flops / p50 / matrix_rate),
        memory_gib=_memory_gib(device),
    )


def matrix_rate(device: str) -> float:
    """FLOP/s of a large product: of fp16 on a card, of fp32 on a CPU."""
    size, dtype = (8192, torch.float16) if device == "cuda" else (1024, torch.float32)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        _wait(device)
        began = time.perf_counter()
        left @ right
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def shapes(
    lengths: Sequence[float], batches: Sequence[int], most: float
) -> list[tuple[float, int]]:
    """(seconds, rows) with at most `most` seconds of audio together."""
    return [(seconds, rows) for seconds in lengths for rows in batches if seconds * rows <= most]


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _memory_gib(device: str) -> float:
    if device != "cuda":
        return 0.0
    free, total = torch.cuda.mem_get_info()
    return round((total - free) / 2**30, 2)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))
