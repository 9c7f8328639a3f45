"""What a batch costs on this machine: measured at warm-up, then a formula.

A padded batch of B rows of T frames takes

    t(B, T) = f(T) + B g(T),    f and g quadratic in T with coefficients >= 0

f is what a batch shares (launching kernels, reading weights), g what each row adds: linear work and
attention's quadratic. f is why batches pay on a GPU, and its absence why they don't on a CPU. Six
numbers smooth over the noise of a few runs, which interpolation between the points would follow
into choosing whatever batch was measured in a quiet moment; non-negative ones keep t growing in
both directions, so that it can be trusted beyond the largest shape that there was time to run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np
from emotion2vec_runtime.errors import OutOfMemoryError
from numpy.typing import NDArray

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
_FRAMES = (50, 150, 350, 750, 1500)
"""1 to 30 s of audio."""
_SWEEPS = 5
_ANYWAY = 3
"""Shapes that run whatever the time: one row, two rows, and one longer row."""
_EXACT = 0.03
"""Relative error below which a run counts as met."""
_REWEIGHTINGS = 10
_LONG = 350
"""Frames of the longest run, from which on it may tell how attention grows. From 1 and 3 s alone
noise would decide that, and be wrong tenfold at 30 s."""
_TURN = 7000
"""Frames at which attention's quadratic part is as large as the linear one, where no run is long:
of emotion2vec+ large on a CPU, which takes 1.37 and 4.67 s for 10 and 30 s (docs/cpu.md)."""


class Point(NamedTuple):
    """One measured shape."""

    batch: int
    frames: int
    seconds: float


class CostModel:
    """Seconds of a padded batch, fitted to measured points."""

    def __init__(self, points: Sequence[Point]) -> None:
        """Fits; raises ValueError without a point, or with one that took no time."""
        if not points or any(point.seconds <= 0 for point in points):
            raise ValueError("a cost model needs points that took some time")
        self.points = tuple(points)
        self._coefficients = _fit(self.points)

    def seconds(self, batch: int, frames: int) -> float:
        """Seconds of `batch` rows of `frames` frames each."""
        g1, g2, g0, f0, f1, f2 = self._coefficients
        return f0 + frames * (f1 + frames * f2) + batch * (g0 + frames * (g1 + frames * g2))


def measure(
    run: Callable[[int, int], object],
    *,
    max_batch: int,
    max_frames: int,
    budget_seconds: float = 5.0,
    clock: Callable[[], float] = time.perf_counter,
) -> CostModel:
    """Runs a grid of shapes, small ones first, as far as the time allows.

    The grid is swept several times and the fastest run of each shape counts: noise only ever adds,
    and a busy moment of the machine hits many shapes once rather than one shape always. Shapes that
    would use up more than half of the time that is left are not run.

    Args:
        run: runs one batch of (rows, frames of each).
        max_batch: most rows of a batch.
        max_frames: most frames of a batch, padding included.
        budget_seconds: about how long it may take; the three smallest shapes run in any case.
        clock: seconds.
    """
    shapes = _shapes(max_batch, max_frames)
    fastest: dict[tuple[int, int], float] = {}
    end = clock() + budget_seconds
    for _ in range(_SWEEPS):
        for rank, shape in enumerate(shapes):
            expected = fastest.get(shape) or _expected(fastest, shape)
            needed = rank < _ANYWAY and shape not in fastest
            if not needed and expected > (end - clock()) / 2:
                continue
            began = clock()
            try:
                run(*shape)
            except OutOfMemoryError:
                shapes = [other for other in shapes if _size(other) < _size(shape)]
                break
            taken = max(clock() - began, 1e-9)
            fastest[shape] = min(taken, fastest.get(shape, taken))
    return CostModel([Point(*shape, seconds) for shape, seconds in sorted(fastest.items())])


def _shapes(max_batch: int, max_frames: int) -> list[tuple[int, int]]:
    shapes = [
        (batch, frames)
        for batch in _BATCHES
        for frames in _FRAMES
        if batch <= max_batch and batch * frames <= max_frames
    ]
    return sorted(shapes, key=_size) or [(1, max_frames)]


def _size(shape: tuple[int, int]) -> int:
    return shape[0] * shape[1]


def _expected(fastest: dict[tuple[int, int], float], shape: tuple[int, int]) -> float:
    """Seconds of a shape that has not run, in proportion to the largest that has."""
    if not fastest:
        return 0.0
    largest = max(fastest, key=_size)
    return fastest[largest] * max(1.0, _size(shape) / _size(largest))


def _fit(points: Iterable[Point]) -> tuple[float, ...]:
    """The six coefficients, by the least absolute error of log seconds.

    Logarithms weigh short and long runs alike; absolute errors leave out the runs that another
    process disturbed. Solved as least squares, reweighted until they are that (Gauss-Newton steps
    of the logarithm, and 1 / |error|); non-negative: the best subset of columns that is. Where few
    points allow several, the earlier columns win: batches pay only if measured to.
    """
    batch, frames, seconds = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    ones = np.ones_like(batch)
    work = batch * frames
    is_long = frames.max() >= _LONG
    bend = 0.0 if is_long else 1 / _TURN
    turned = 1 + bend * frames
    columns = np.stack(
        [work * turned, work * frames, batch, ones, frames * turned, frames**2], axis=1
    )
    columns /= seconds[:, None]
    terms = range(6) if is_long else (0, 2, 3, 4)
    weights = ones
    for _ in range(_REWEIGHTINGS):
        coefficients = _non_negative(columns * weights[:, None], weights, terms)
        relative = np.clip(columns @ coefficients, 0.05, 20.0)
        weights = 1 / (relative * np.sqrt(np.maximum(_EXACT, np.abs(np.log(relative)))))
    g1, g2, g0, f0, f1, f2 = coefficients.tolist()
    return g1, g2 + bend * g1, g0, f0, f1, f2 + bend * f1


def _non_negative(
    matrix: NDArray[np.float64], target: NDArray[np.float64], columns: Sequence[int]
) -> NDArray[np.float64]:
    """Least squares with coefficients >= 0, by trying every subset of the columns (63 of six).

    Among equals the smallest wins, and of these the one with the earliest columns.
    """
    scale = np.linalg.norm(matrix, axis=0)
    size = matrix.shape[1]
    best, best_error = np.zeros(size), np.inf
    for chosen in chain.from_iterable(combinations(columns, n) for n in range(1, size + 1)):
        index = list(chosen)
        part = matrix[:, index] / scale[index]
        solution, _, rank, _ = np.linalg.lstsq(part, target, rcond=None)
        error = float(np.linalg.norm(part @ solution - target))
        if rank == len(index) and (solution >= 0).all() and error < best_error - 1e-9:
            best, best_error = np.zeros(size), error
            best[index] = solution / scale[index]
    return best
