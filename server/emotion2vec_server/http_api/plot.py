"""Frame scores as a picture: the one door to matplotlib, which an extra brings."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from emotion2vec_runtime.arrays import Float32

_COLUMNS = 1500
"""More than the picture has pixels."""


def plot(frames: Float32, names: Sequence[str], hop: float) -> bytes | None:
    """A PNG of probabilities [T, C], `hop` seconds apart; None without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    thinned = _thinned(frames)
    figure = Figure(figsize=(10, 0.42 * len(names) + 1.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(
        thinned.T,
        aspect="auto",
        cmap="magma",
        vmin=0,
        vmax=1,
        extent=(0, len(frames) * hop, len(names) - 0.5, -0.5),
        interpolation="nearest",
    )
    axes.set_yticks(range(len(names)), list(names))
    axes.set_xlabel("seconds")
    figure.colorbar(image, label="probability")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def _thinned(frames: Float32) -> Float32:
    """Means of neighbours, where there are more frames than columns."""
    step = -(-len(frames) // _COLUMNS)
    starts = np.arange(0, len(frames), step)
    counts = np.diff(np.append(starts, len(frames)))
    means = np.add.reduceat(frames, starts, axis=0) / counts[:, None]
    return means.astype(np.float32)
