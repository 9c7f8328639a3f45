"""Windows of long audio: their kept frames tile the whole, however it comes."""

from __future__ import annotations

from itertools import pairwise

from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition.long_audio import Cutter
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
    cuts = Cutter(MANIFEST, window, shared).cut(samples)
    assert cuts[0].first == 0
    assert cuts[-1].last == MANIFEST.frame_count(samples)
    assert [part.is_last for part in cuts] == [False] * (len(cuts) - 1) + [True]
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
def test_windows_are_full_but_the_last_which_has_company(samples: int) -> None:
    *full, last = Cutter(MANIFEST, 30 * RATE, 2 * RATE).cut(samples)
    assert {part.stop - part.start for part in full} == {30 * RATE}
    assert last.stop - last.start > 15 * RATE - MANIFEST.frame_hop


@given(pieces=st.lists(st.integers(1, 50 * RATE), min_size=1, max_size=12))
def test_a_recording_that_comes_in_pieces_is_cut_as_one_that_is_there(pieces: list[int]) -> None:
    cutter = Cutter(MANIFEST, 30 * RATE, 2 * RATE)
    cuts, end = [], 0
    for piece in pieces:
        needed, end = cutter.needed, end + piece
        found = list(cutter.push(end))
        assert all(part.start >= needed for part in found)
        cuts += found
    last = cutter.finish(end)
    assert last.start >= cutter.needed
    assert [*cuts, last] == Cutter(MANIFEST, 30 * RATE, 2 * RATE).cut(end)


def test_short_audio_is_one_window() -> None:
    (only,) = Cutter(MANIFEST, 30 * RATE, 2 * RATE).cut(30 * RATE)
    assert (only.start, only.stop, only.first, only.last) == (0, 480_000, 0, 1499)
    assert only.is_whole
