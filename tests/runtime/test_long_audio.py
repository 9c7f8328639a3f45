"""Windows of long audio: their kept frames tile the whole."""

from __future__ import annotations

from itertools import pairwise

from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition.long_audio import cut
from hypothesis import given
from hypothesis import strategies as st

MANIFEST = Manifest.model_construct(frame_hop=320, frame_field=400)
RATE = 16_000


@given(
    samples=st.integers(400, 400 * RATE),
    window=st.integers(2 * RATE, 40 * RATE),
    overlap=st.floats(0, 0.5),
)
def test_windows_tile(samples: int, window: int, overlap: float) -> None:
    shared = int(overlap * window)
    cuts = cut(samples, MANIFEST, window, shared)
    assert cuts[0].first == 0
    assert cuts[-1].last == MANIFEST.frame_count(samples)
    for part in cuts:
        assert 0 <= part.start < part.stop <= samples
        assert part.stop - part.start <= window
        assert part.start % MANIFEST.frame_hop == 0
        kept = part.kept(MANIFEST.frame_hop)
        assert 0 <= kept.start < kept.stop <= MANIFEST.frame_count(part.stop - part.start)
    for left, right in pairwise(cuts):
        assert left.last == right.first
        assert left.stop - right.start >= shared


@given(samples=st.integers(31 * RATE, 400 * RATE))
def test_windows_are_alike_so_that_they_batch(samples: int) -> None:
    cuts = cut(samples, MANIFEST, 30 * RATE, 2 * RATE)
    frames = [MANIFEST.frame_count(part.stop - part.start) for part in cuts]
    assert max(frames) - min(frames) <= 2


def test_short_audio_is_one_window() -> None:
    (only,) = cut(30 * RATE, MANIFEST, 30 * RATE, 2 * RATE)
    assert (only.start, only.stop, only.first, only.last) == (0, 480_000, 0, 1499)
