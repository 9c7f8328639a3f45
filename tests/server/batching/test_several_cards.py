"""A batcher over several cards, of which one is short of memory, or lost."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from emotion2vec_runtime.backends.base import Outputs
from emotion2vec_runtime.backends.spread import Spread
from emotion2vec_runtime.errors import InferenceError, OutOfMemoryError
from emotion2vec_runtime.recognition.runner import Clip, Runner
from emotion2vec_server.batching.batcher import Batcher, BatchLimits

CLIPS = 48


class Cost:
    def seconds(self, batch: int, frames: int) -> float:
        return 1e-3 + 1e-7 * batch * frames


class Card:
    """Gives back each clip's first sample; takes so many rows."""

    provider, precision = "cuda", "fp16"

    def __init__(self, most_rows: int) -> None:
        self._most_rows = most_rows
        self.rows = 0

    def run(self, waveforms, lengths, *, frame_embeddings=False) -> Outputs:
        if not self._most_rows:
            raise InferenceError("CUDA error: no device")
        if len(waveforms) > self._most_rows:
            raise OutOfMemoryError("CUDA error: out of memory")
        self.rows += len(waveforms)
        frames = np.ones(len(waveforms), np.int64)
        return Outputs(None, waveforms[:, :1].copy(), None, None, frames)


@pytest.mark.parametrize("rows_of_the_other", [2, 0])
async def test_every_clip_is_answered(rows_of_the_other: int) -> None:
    """2: the other card has little memory, as another process holds it. 0: it is gone."""
    sound, other = Card(64), Card(rows_of_the_other)
    runner = Runner(Spread([other, sound], 4))
    limits = BatchLimits(
        max_rows=16, max_frames=16, max_queued_requests=4 * CLIPS, max_queued_frames=4 * CLIPS
    )
    batcher: Batcher = Batcher(runner, Cost(), limits, instances=4)
    try:
        clips = [Clip(np.full(400, number, np.float32), False) for number in range(CLIPS)]
        answers = await asyncio.gather(*(batcher.submit(clip, frames=1) for clip in clips))
    finally:
        await batcher.close()
    assert [answer.result.embedding[0] for answer in answers] == list(range(CLIPS))
    assert sound.rows + other.rows == CLIPS
