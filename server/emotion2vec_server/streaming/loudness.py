"""Keeps quiet windows quiet: the loudness of the utterance, told to a graph that can't be told.

The graph normalises its input over itself, to mean 0 and variance 1 (`normalize: true`). Over a
whole clip that makes recordings alike; over a window of a stream it also makes *moments* alike: a
pause of breath and room noise is blown up to the loudness of speech, and scored as if it were
some.

The offline result divides by the standard deviation of the whole clip. A stream knows that of the
utterance so far, and can hand it over without a change of the graph: the convolutions read no
sample behind the last whole frame (`windows`), but the normalisation counts it. So a tail shorter
than one frame hop, behind each window, alternating between +A and -A, enters no frame and sets
the variance:

    (n*v + m*A^2) / (n + m) = u      n samples of variance v, a tail of m, wanted variance u

A tail can only add: in a window louder than the utterance so far it repeats the window's own level,
which changes nothing. What the tail is worth is measured in docs/streaming.md.
"""

from __future__ import annotations

import math

import numpy as np

from emotion2vec_server.backends.base import Float32


class Loudness:
    """Mean and variance of the samples heard so far."""

    def __init__(self) -> None:
        self.count = 0
        """Samples counted in."""
        self._sum = 0.0
        self._square = 0.0

    def add(self, samples: Float32) -> None:
        """Counts float32 samples [n] in."""
        exact = samples.astype(np.float64)
        self.count += len(exact)
        self._sum += float(exact.sum())
        self._square += float(exact @ exact)

    @property
    def variance(self) -> float:
        if not self.count:
            return 0.0
        mean = self._sum / self.count
        return max(0.0, self._square / self.count - mean * mean)


def with_reference(window: Float32, variance: float, frame_hop: int) -> Float32:
    """The window [n] and a tail behind it, together of the given variance or the window's own.

    The tail has an even number of samples, the most that fit below one frame hop, so it is of mean
    zero and all windows of n samples stay of one length.
    """
    tail = (frame_hop - 1) // 2 * 2
    mean = float(window.mean(dtype=np.float64))
    own = float(window.var(dtype=np.float64))
    needed = (len(window) + tail) * max(variance, own) - len(window) * own
    extended = np.empty(len(window) + tail, dtype=np.float32)
    extended[: len(window)] = window
    amplitude = math.sqrt(needed / tail)
    extended[len(window) :: 2] = mean + amplitude
    extended[len(window) + 1 :: 2] = mean - amplitude
    return extended
