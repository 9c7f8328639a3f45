"""Clips of any kind become one padded batch."""

from __future__ import annotations

import numpy as np
import pytest
from emotion2vec_runtime.audio import Workspace

RANDOM = np.random.default_rng(0)
FLOATS = [RANDOM.uniform(-1, 1, size).astype(np.float32) for size in (3, 400, 1)]
INTEGERS = [RANDOM.integers(-32768, 32768, size).astype(np.int16) for size in (400, 7, 1_200_000)]


@pytest.mark.parametrize("clips", [FLOATS, INTEGERS, [*INTEGERS[:2], FLOATS[1]], INTEGERS[:1]])
def test_rows_are_the_clips_and_then_zeros(clips: list[np.ndarray]) -> None:
    workspace = Workspace()
    longest = max(map(len, clips))
    workspace.pad([np.full(longest + 5, 9, np.int16)] * 4, longest + 5)  # Leaves its own behind.
    batch = workspace.pad(clips, longest)
    assert batch.dtype == np.float32
    assert batch.shape == (len(clips), longest)
    for row, clip in zip(batch, clips, strict=True):
        scale = 1 / 32768 if clip.dtype == np.int16 else 1
        np.testing.assert_array_equal(row[: len(clip)], clip * np.float32(scale))
        assert not row[len(clip) :].any()


def test_memory_is_used_again() -> None:
    workspace = Workspace()
    large = workspace.pad(INTEGERS, 1_200_000)
    assert np.shares_memory(workspace.pad(INTEGERS[:2], 400), large)
