"""One served model: pad a batch, run it, scatter the results; and audio of any length.

This is the only place where waveforms meet the batcher, so whole utterances and the windows of live
streams share batches.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from emotion2vec_server.audio import Samples, Workspace
from emotion2vec_server.backends.base import Backend, Float32, Int64
from emotion2vec_server.batcher import Batcher, Completed
from emotion2vec_server.bundle import Manifest
from emotion2vec_server.emotion import Classes
from emotion2vec_server.errors import InvalidRequestError
from emotion2vec_server.longaudio import Cut, cut


class Clip(NamedTuple):
    """What the batcher carries: samples [S], and whether frame embeddings are wanted."""

    samples: Samples
    frame_embeddings: bool


class ClipOutput(NamedTuple):
    """The model's answer for one clip of T frames, C classes and embedding size D.

    Logits are None where the model has no classifier, frame embeddings where nobody asked for them.
    """

    logits: Float32 | None
    embedding: Float32
    frame_logits: Float32 | None
    frame_embeddings: Float32 | None


@dataclass(frozen=True, slots=True)
class Segment:
    """One window of long audio: samples [start, stop) and the mean logits [C] of its frames."""

    start: int
    stop: int
    logits: Float32


@dataclass(frozen=True, slots=True)
class Recognition:
    """The model's answer for audio of any length, and what it cost.

    Attributes:
        logits: [C] mean of the frame logits, None without a classifier.
        embedding: [D] mean of the frame embeddings.
        frame_logits: [T, C], None without a classifier.
        frame_embeddings: [T, D], None unless asked for.
        segments: one a window, only for audio longer than one, with a classifier.
        queue_seconds: longest time that a window waited.
        run_seconds: time in the model, of the slowest window.
        batch_size: largest batch that a window was part of.
    """

    logits: Float32 | None
    embedding: Float32
    frame_logits: Float32 | None
    frame_embeddings: Float32 | None
    segments: tuple[Segment, ...]
    queue_seconds: float
    run_seconds: float
    batch_size: int


class ModelRunner:
    """The batcher's `execute`: pads clips into one array, runs the backend, scatters the rows."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._local = threading.local()

    def __call__(self, clips: Sequence[Clip]) -> list[ClipOutput]:
        """Runs one batch; called from the batcher's worker threads."""
        lengths = np.array([len(clip.samples) for clip in clips], dtype=np.int64)
        wants_frames = any(clip.frame_embeddings for clip in clips)
        outputs = self._backend.run(
            self._pad(clips, lengths), lengths, frame_embeddings=wants_frames
        )
        return [
            ClipOutput(
                logits=None if outputs.logits is None else outputs.logits[row],
                embedding=outputs.embedding[row],
                frame_logits=None
                if outputs.frame_logits is None
                else outputs.frame_logits[row, :frames],
                frame_embeddings=outputs.frame_embeddings[row, :frames]
                if outputs.frame_embeddings is not None and clip.frame_embeddings
                else None,
            )
            for row, (clip, frames) in enumerate(
                zip(clips, outputs.frame_lengths.tolist(), strict=True)
            )
        ]

    def _pad(self, clips: Sequence[Clip], lengths: Int64) -> Float32:
        """Clips as one zero-padded array [B, S], in memory that this thread uses again."""
        workspace: Workspace | None = getattr(self._local, "workspace", None)
        if workspace is None:
            workspace = self._local.workspace = Workspace()
        return workspace.pad([clip.samples for clip in clips], int(lengths.max()))


class Recognizer:
    """Recognises audio with one model through its batcher."""

    def __init__(
        self,
        manifest: Manifest,
        batcher: Batcher[Clip, ClipOutput],
        *,
        precision: str,
        provider: str,
        max_window: int,
        overlap: int,
    ) -> None:
        """`max_window` and `overlap` are the long-audio windows, in samples."""
        self.manifest = manifest
        self.batcher = batcher
        self.precision = precision
        self.provider = provider
        self.max_window = max_window
        self.classes = Classes(manifest.labels)
        self._overlap = overlap

    async def infer(
        self,
        samples: Samples,
        *,
        deadline: float | None = None,
        frame_embeddings: bool = False,
        urgent: bool = False,
        caller: str = "",
        after: Sequence[int] = (),
    ) -> Completed[ClipOutput]:
        """Runs one window [S] of any length that the batcher's budget takes.

        `after` holds the frames of the windows of the same recording that came before it.

        Raises:
            InvalidRequestError: fewer samples than one frame needs.
            RequestError: whatever the batcher refuses or the model fails with.
        """
        if len(samples) < self.manifest.frame_field:
            milliseconds = 1000 * self.manifest.frame_field / self.manifest.sample_rate
            raise InvalidRequestError(
                "audio",
                f"the audio has {len(samples)} samples at 16 kHz; send at least "
                f"{self.manifest.frame_field} ({milliseconds:.0f} ms)",
            )
        return await self.batcher.submit(
            Clip(samples, frame_embeddings),
            frames=self.manifest.frame_count(len(samples)),
            deadline=deadline,
            urgent=urgent,
            caller=caller,
            after=after,
        )

    async def recognize(
        self,
        samples: Samples,
        *,
        deadline: float | None = None,
        frame_embeddings: bool = False,
        urgent: bool = False,
        caller: str = "",
    ) -> Recognition:
        """Recognises samples [S] at 16 kHz, through overlapping windows where it is long.

        Args:
            samples: the whole recording.
            deadline: on the clock of `time.monotonic`.
            frame_embeddings: whether to keep one embedding a frame.
            urgent: whether audio of one window goes before what is not urgent.
            caller: whom the batcher shares its time between.

        Raises:
            InvalidRequestError: fewer samples than one frame needs.
            RequestError: whatever the batcher refuses or the model fails with.
        """
        if len(samples) <= self.max_window:
            window = await self.infer(
                samples,
                deadline=deadline,
                frame_embeddings=frame_embeddings,
                urgent=urgent,
                caller=caller,
            )
            return _single(window)
        cuts = cut(len(samples), self.manifest, self.max_window, self._overlap)
        frames = [self.manifest.frame_count(part.stop - part.start) for part in cuts]
        windows = await _all_or_none(
            [
                self.infer(
                    samples[part.start : part.stop],
                    deadline=deadline,
                    # The embedding is pooled here, over the frames that are kept.
                    frame_embeddings=True,
                    caller=caller,
                    after=frames[:number],
                )
                for number, part in enumerate(cuts)
            ]
        )
        return await asyncio.to_thread(
            self._join, len(samples), cuts, windows, frame_embeddings=frame_embeddings
        )

    def _join(
        self,
        samples: int,
        cuts: Sequence[Cut],
        windows: Sequence[Completed[ClipOutput]],
        *,
        frame_embeddings: bool,
    ) -> Recognition:
        hop = self.manifest.frame_hop
        embeddings = np.concatenate(
            [
                window.result.frame_embeddings[part.kept(hop)]
                for part, window in zip(cuts, windows, strict=True)
                if window.result.frame_embeddings is not None
            ]
        )
        kept_logits = [
            window.result.frame_logits[part.kept(hop)]
            for part, window in zip(cuts, windows, strict=True)
            if window.result.frame_logits is not None
        ]
        frame_logits = np.concatenate(kept_logits) if kept_logits else None
        segments = tuple(
            Segment(part.first * hop, min(part.last * hop, samples), logits.mean(axis=0))
            for part, logits in zip(cuts, kept_logits, strict=False)
        )
        return Recognition(
            logits=None if frame_logits is None else frame_logits.mean(axis=0),
            embedding=embeddings.mean(axis=0),
            frame_logits=frame_logits,
            frame_embeddings=embeddings if frame_embeddings else None,
            segments=segments,
            queue_seconds=max(window.queue_seconds for window in windows),
            run_seconds=max(window.run_seconds for window in windows),
            batch_size=max(window.batch_size for window in windows),
        )


def _single(window: Completed[ClipOutput]) -> Recognition:
    result = window.result
    return Recognition(
        logits=result.logits,
        embedding=result.embedding,
        frame_logits=result.frame_logits,
        frame_embeddings=result.frame_embeddings,
        segments=(),
        queue_seconds=window.queue_seconds,
        run_seconds=window.run_seconds,
        batch_size=window.batch_size,
    )


async def _all_or_none(
    work: Sequence[Coroutine[Any, Any, Completed[ClipOutput]]],
) -> list[Completed[ClipOutput]]:
    """Awaits all of it; when one fails, or the caller leaves, the rest is cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
