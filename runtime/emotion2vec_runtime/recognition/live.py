"""A live stream's past, and steps over what is new.

Each frame is run when it comes, and again while it is provisional, but never after that.

`State` is one utterance's. It holds

- the statistics of the waveform so far, by which new samples are normalised. The whole recording's
  can't be known yet; it makes no difference, since the front end's norms divide loudness out of
  every frame again (docs/streaming.md has the figures);
- the features of the last `context` frames before the provisional ones, and of these, for the
  positional convolutions;
- each block's keys and values of the last `left` final frames.

So its size is bounded, whatever the length of the stream. It stays as it is while a step runs, and
moves on with `advance`: a step that was refused can be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.backends.base import Backend, StepBackend, StepInputs
from emotion2vec_runtime.backends.select import load_step_backend
from emotion2vec_runtime.bundle import Bundle

_EPS = 1e-5
"""PyTorch's default of layer norms, by which FunASR normalises the waveform."""


class Step(NamedTuple):
    """What one stream gives for a step."""

    samples: Float32
    """[S], normalised: what the new frames see; empty where none is new."""
    features: Float32
    """[c, D], of the frames before them that are known; the last ones are provisional."""
    provisional: int
    past: Float32
    """[2 L, p, D]: keys and values of the final frames before those."""


class StepOutput(NamedTuple):
    """What a step gives one stream: r provisional and t new frames, q = r + t."""

    frame_logits: Float32
    """[q, K]"""
    frame_embeddings: Float32
    """[q, D]"""
    features: Float32
    """[t, D]"""
    keys_values: Float32
    """[2 L, q, D]"""


@dataclass(frozen=True, slots=True)
class StateShape:
    """How much of its past a stream keeps, in frames, and of what size."""

    left: int
    """Keys and values of final frames."""
    context: int
    """Features before the provisional ones."""
    blocks: int
    embedding_size: int
    normalize: bool
    """Whether the model's waveform is normalised."""

    def bytes(self, provisional: int) -> int:
        """Of a state with so many provisional frames, when it is full."""
        frames = 2 * self.blocks * self.left + self.context + provisional
        return 4 * self.embedding_size * frames


class State:
    """One utterance of a live stream, as its next step needs it."""

    def __init__(self, shape: StateShape) -> None:
        self._shape = shape
        self._statistics = _Statistics()
        self._provisional = 0
        size = shape.embedding_size
        self._features: Float32 = np.empty((0, size), np.float32)
        self._past = _Tail(2 * shape.blocks, shape.left, size)

    def hear(self, samples: Float32) -> None:
        """Takes [n] further samples into the statistics, once each."""
        self._statistics.add(samples)

    def step(self, samples: Float32) -> Step:
        """The step over the new frames that see samples [S]; empty where no frame is new."""
        return Step(
            self._statistics.normalise(samples) if self._shape.normalize else samples,
            self._features,
            self._provisional,
            self._past.rows,
        )

    def advance(self, output: StepOutput, final: int) -> None:
        """Its first `final` frames are final, the others will be run again."""
        known = np.concatenate((self._features, output.features))
        self._provisional = len(output.frame_logits) - final
        kept = self._shape.context + self._provisional
        self._features = known[max(0, len(known) - kept) :]
        self._past.append(output.keys_values[:, :final])


class StepRunner:
    """Runs batches of steps on one backend, from any number of threads."""

    def __init__(
        self,
        backend: StepBackend,
        *,
        frame_hop: int,
        frame_field: int,
        embedding_size: int,
        normalize: bool,
    ) -> None:
        """`backend`, and what the manifest says of its model."""
        self._backend = backend
        self._hop = frame_hop
        self._field = frame_field
        self._shape = StateShape(0, backend.context, backend.blocks, embedding_size, normalize)

    def shape(self, left: int) -> StateShape:
        """Of states that keep so many final frames."""
        return replace(self._shape, left=left)

    def __call__(self, steps: Sequence[Step]) -> list[StepOutput]:
        """Runs one batch; the outputs are in the steps' order.

        Raises:
            OutOfMemoryError: the batch did not fit; a smaller one may.
            InferenceError: the model failed on it.
        """
        outputs = self._backend.run(_batch(steps, self._field))
        ran = max(step.provisional for step in steps)
        results = []
        for row, step in enumerate(steps):
            new = max(0, (len(step.samples) - self._field) // self._hop + 1)
            own = slice(ran - step.provisional, ran + new)
            results.append(
                StepOutput(
                    outputs.frame_logits[row, own],
                    outputs.frame_embeddings[row, own],
                    outputs.new_features[row, :new],
                    outputs.keys_values[:, row, own],
                )
            )
        return results


def load_steps(bundle: Bundle, backend: Backend, *, threads: int = 0) -> StepRunner | None:
    """Runs steps beside `backend`; None where it can't: see `load_step_backend`."""
    steps = load_step_backend(bundle, backend, threads=threads)
    if steps is None:
        return None
    manifest = bundle.manifest
    return StepRunner(
        steps,
        frame_hop=manifest.frame_hop,
        frame_field=manifest.frame_field,
        embedding_size=manifest.embedding_size,
        normalize=manifest.normalize,
    )


def _batch(steps: Sequence[Step], field: int) -> StepInputs:
    """Pads the steps of one batch; a graph takes no axis of size 0, but for provisional frames."""
    rows = len(steps)
    channels, _, size = steps[0].past.shape
    lengths = np.array([len(step.samples) for step in steps], np.int64)
    known = [len(step.features) for step in steps]
    past = [step.past.shape[1] for step in steps]
    waveform = np.zeros((rows, max(field, lengths.max())), np.float32)
    features = np.zeros((rows, max(1, *known), size), np.float32)
    keys_values = np.zeros((channels, rows, max(1, *past), size), np.float32)
    for row, step in enumerate(steps):
        waveform[row, : len(step.samples)] = step.samples
        features[row, features.shape[1] - known[row] :] = step.features
        keys_values[:, row, keys_values.shape[2] - past[row] :] = step.past
    provisional = [step.provisional for step in steps]
    return StepInputs(
        waveform,
        lengths,
        features,
        _last(known, features.shape[1]),
        _last(provisional, max(provisional)),
        keys_values,
        _last(past, keys_values.shape[2]),
    )


def _last(counts: Sequence[int], length: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """[B, length]: true in the last `counts` places of each row."""
    places = np.arange(length)
    found: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = (
        places >= length - np.array(counts)[:, None]
    )
    return found


class _Statistics:
    """Mean and variance of all samples so far, in float64 (Chan, Golub, LeVeque 1983)."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, samples: Float32) -> None:
        if not len(samples):
            return
        wide = samples.astype(np.float64)
        count, mean = len(wide), float(wide.mean())
        total, shift = self._count + count, mean - self._mean
        self._squares += float(np.square(wide - mean).sum())
        self._squares += shift * shift * self._count * count / total
        self._mean += shift * count / total
        self._count = total

    def normalise(self, samples: Float32) -> Float32:
        variance = self._squares / max(1, self._count)
        scale = 1 / np.sqrt(variance + _EPS)
        normal: Float32 = ((samples - self._mean) * scale).astype(np.float32)
        return normal


class _Tail:
    """The last `most` rows of what was appended: [channels, n, size], without a copy of all of them
    each time."""

    def __init__(self, channels: int, most: int, size: int) -> None:
        self._most = most
        self._rows: Float32 = np.empty((channels, 0, size), np.float32)
        self._end = 0

    @property
    def rows(self) -> Float32:
        return self._rows[:, max(0, self._end - self._most) : self._end]

    def append(self, more: Float32) -> None:
        kept = self.rows
        end = kept.shape[1] + more.shape[1]
        if self._end + more.shape[1] > self._rows.shape[1]:
            # Half as much again as is kept, so that it is seldom moved.
            room = max(end, self._most + self._most // 2)
            fresh = np.empty((kept.shape[0], room, kept.shape[2]), np.float32)
            fresh[:, : kept.shape[1]] = kept
            self._rows, self._end = fresh, kept.shape[1]
        self._rows[:, self._end : self._end + more.shape[1]] = more
        self._end += more.shape[1]
