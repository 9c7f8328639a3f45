"""Long recordings: windows that wait for each other, not for strangers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from emotion2vec_runtime.recognition.runner import Clip, ClipOutput
from emotion2vec_server.batching.batcher import Batcher, BatchLimits
from emotion2vec_server.errors import OverloadedError
from emotion2vec_server.serving.served_model import ServedModel

from tests.server.streaming.live import frame_count, make_manifest

RATE = 16000


class SecondEach:
    """As on a CPU: a window takes a second, and a batch of two takes two."""

    def seconds(self, batch: int, frames: int) -> float:
        return batch * frames / 499


@pytest.mark.parametrize(("allowance", "is_accepted"), [(1.5, True), (0.5, False)])
async def test_a_recording_with_time_for_itself_is_accepted(
    allowance: float, is_accepted: bool
) -> None:
    """Its later windows have its earlier ones ahead of them, and nobody else's."""
    offered = threading.Event()

    def execute(clips: Sequence[Clip]) -> list[ClipOutput]:
        offered.wait()
        outputs = []
        for clip in clips:
            frames = frame_count(len(clip.samples))
            logits, embeddings = np.zeros((2, frames, 2), np.float32)
            outputs.append(ClipOutput(None, embeddings.mean(axis=0), logits, embeddings))
        return outputs

    batcher: Batcher[Clip, ClipOutput] = Batcher(execute, SecondEach(), BatchLimits())
    model = ServedModel(
        make_manifest(),
        batcher,
        precision="fp32",
        provider="cpu",
        max_window=10 * RATE,
        overlap=RATE,
    )
    windows = 10
    samples = np.zeros((9 * windows + 1) * RATE, np.int16)
    deadline = time.monotonic() + allowance * windows
    work = model.recognize(samples, deadline=deadline)
    if is_accepted:
        threading.Timer(0.2, offered.set).start()
        assert len((await work).result.segments) >= windows
    else:
        with pytest.raises(OverloadedError, match="the queue is longer than your time"):
            await work
        offered.set()
        await asyncio.sleep(0)
    assert batcher.waiting == 0
    await batcher.close()
