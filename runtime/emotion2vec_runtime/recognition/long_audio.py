"""Audio longer than one model window: where to cut it, and how to pool what comes back.

Windows begin on the frame grid, so a window's frames are frames of the whole. Neighbours overlap;
each frame is taken from the window in whose inner part it lies, because a frame near a window's
border has lost the context beyond it.

Where a window lies follows from what came before it, never from the length of the whole: so a
recording that is cut while it arrives is cut as one that is there. All windows are full but the
last, which is as long as what is left and at least half a window, so that its frames see enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.voice import Speech
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition.recognition import Recognition, Segment
from emotion2vec_runtime.recognition.runner import ClipOutput

MAX_WINDOW_SECONDS = 30.0
"""Longer audio is recognised in windows of this length, unless told otherwise."""
OVERLAP_SECONDS = 2.0
"""What two such windows share."""


class Cut(NamedTuple):
    """One window: samples [start, stop), of whose frames [first, last) are kept.

    `first` and `last` count from the beginning of the recording.
    """

    start: int
    stop: int
    first: int
    last: int
    is_last: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is all there is."""
        return self.is_last and self.first == 0

    def kept(self, frame_hop: int) -> slice:
        """The kept frames, counted from the beginning of the window."""
        offset = self.start // frame_hop
        return slice(self.first - offset, self.last - offset)


class Cutter:
    """Lays out the windows of one recording while it comes.

    The kept frames of the windows tile the frames of the whole without gap or overlap.
    """

    def __init__(self, manifest: Manifest, window: int, overlap: int) -> None:
        """Windows of at most `window` samples; neighbours share `overlap` at least, which must be
        less than `window` by two frame hops."""
        self._manifest = manifest
        self._window = window
        # The frame before a border has to end within its window.
        overlap = max(overlap, 2 * manifest.frame_field)
        self._stride = (window - overlap) // manifest.frame_hop * manifest.frame_hop
        self._start = 0
        self._first = 0

    @property
    def needed(self) -> int:
        """The first sample that a later window may hold."""
        return max(0, self._start - self._stride + self._window // 2) if self._start else 0

    def push(self, end: int) -> Iterator[Cut]:
        """The windows that are certain now that samples [0, end) have come."""
        while end > self._start + self._window:
            start, stop = self._start, self._start + self._window
            self._start += self._stride
            # The middle of what this window shares with the next one.
            border = (self._start + stop) // 2 // self._manifest.frame_hop
            first, self._first = self._first, border
            yield Cut(start, stop, first, border)

    def finish(self, end: int) -> Cut:
        """The last window of `end` samples, of which `push` has been told."""
        hop = self._manifest.frame_hop
        half = -(-(end - self._window // 2) // hop) * hop
        start = max(0, min(self._start, half))
        frames = self._manifest.frame_count(end)
        return Cut(start, end, self._first, frames, is_last=True)

    def cut(self, samples: int) -> list[Cut]:
        """All windows of a recording of so many samples."""
        return [*self.push(samples), self.finish(samples)]


class Part(NamedTuple):
    """What one window settles: samples [start, stop), and what the model says of their T frames.

    Attributes:
        first_frame: number of the first of them in the recording.
        logits: [C] their mean, None without a classifier.
        frame_logits: [T, C], None without a classifier.
        frame_embeddings: [T, D], None unless the model was asked for them.
    """

    start: int
    stop: int
    first_frame: int
    logits: Float32 | None
    frame_logits: Float32 | None
    frame_embeddings: Float32 | None


class Pool:
    """The recognition of one recording, in the making: its windows are added in their order.

    What it holds does not grow with the recording, unless it is to keep the parts.
    """

    def __init__(
        self, manifest: Manifest, *, keep_parts: bool = True, frame_embeddings: bool = False
    ) -> None:
        """`keep_parts`: whether the recognition is to have frames and segments; with
        `frame_embeddings` also the embedding of each frame."""
        self._hop = manifest.frame_hop
        self._keeps_parts = keep_parts
        self._keeps_embeddings = frame_embeddings
        self._logits, self._embedding = _Mean(), _Mean()
        self._spoken_logits, self._spoken_embedding = _Mean(), _Mean()
        self._segments: list[Segment] = []
        self._frame_logits: list[Float32] = []
        self._frame_embeddings: list[Float32] = []
        self._whole: ClipOutput | None = None

    def add(self, window: Cut, output: ClipOutput, speech: Speech | None = None) -> Part:
        """Takes in what the model says of a window.

        Args:
            window: which one.
            output: what the model says; with frame embeddings, but for a window that is the whole.
            speech: for each kept frame whether it lies in speech, where only those are to be
                pooled. If none does in the whole recording, all of them are.
        """
        kept = window.kept(self._hop)
        logits = None if output.frame_logits is None else output.frame_logits[kept]
        embeddings = None if output.frame_embeddings is None else output.frame_embeddings[kept]
        if window.is_whole:
            self._whole = output
        for values, mean, spoken in (
            (logits, self._logits, self._spoken_logits),
            (embeddings, self._embedding, self._spoken_embedding),
        ):
            if values is not None and not (window.is_whole and speech is None):
                mean.add(values)
            if values is not None and speech is not None:
                spoken.add(values[speech])
        stop = window.stop if window.is_last else window.last * self._hop
        own = None if logits is None else logits.mean(axis=0)
        part = Part(window.first * self._hop, stop, window.first, own, logits, embeddings)
        if self._keeps_parts:
            self._keep(part)
        return part

    def recognition(self) -> Recognition:
        """What the model says of the windows so far, all together."""
        logits, embedding = self._logits.value, self._embedding.value
        if self._whole is not None:
            # The graph's own means, of the same frames.
            logits, embedding = self._whole.logits, self._whole.embedding
        if self._spoken_embedding.value is not None:
            logits, embedding = self._spoken_logits.value, self._spoken_embedding.value
        assert embedding is not None  # noqa: S101 - there is one where a window was added
        return Recognition(
            logits=logits,
            embedding=embedding,
            frame_logits=_joined(self._frame_logits),
            frame_embeddings=_joined(self._frame_embeddings),
            segments=() if self._whole else tuple(self._segments),
        )

    def _keep(self, part: Part) -> None:
        if part.logits is not None and part.frame_logits is not None:
            self._segments.append(Segment(part.start, part.stop, part.logits))
            self._frame_logits.append(part.frame_logits)
        if self._keeps_embeddings and part.frame_embeddings is not None:
            self._frame_embeddings.append(part.frame_embeddings)


class _Mean:
    """A mean over frames, in float64: a day has four million of them."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] | float = 0.0
        self._count = 0

    def add(self, values: Float32) -> None:
        """Frames [T, n]."""
        self._sum = self._sum + values.sum(axis=0, dtype=np.float64)
        self._count += len(values)

    @property
    def value(self) -> Float32 | None:
        """[n]; None without any frame."""
        if not self._count:
            return None
        return np.asarray(self._sum / self._count, np.float32)


def _joined(parts: list[Float32]) -> Float32 | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return np.concatenate(parts)
