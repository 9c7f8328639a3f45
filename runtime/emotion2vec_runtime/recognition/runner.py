"""A batch: pad the clips, run the model, scatter its rows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from emotion2vec_runtime.arrays import Float32, Int64, Samples
from emotion2vec_runtime.audio import Workspace
from emotion2vec_runtime.backends.base import Backend

MAX_BATCH_SECONDS = 240.0
"""Audio of one batch, padding included, unless told otherwise."""
MAX_BATCH_ROWS = 64
"""Clips of one batch, unless told otherwise."""


class Clip(NamedTuple):
    """One piece of audio: samples [S], and whether its frame embeddings are wanted."""

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


class Runner:
    """Runs batches of clips on one backend, from any number of threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._local = threading.local()

    def __call__(self, clips: Sequence[Clip]) -> list[ClipOutput]:
        """Runs one batch; the outputs are in the clips' order.

        Raises:
            OutOfMemoryError: the batch did not fit; a smaller one may.
            InferenceError: the model failed on it.
        """
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
