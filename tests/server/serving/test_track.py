"""One channel of a long recording: what it holds, and what it says however it comes."""

from __future__ import annotations

import tracemalloc

import numpy as np
from emotion2vec_runtime.audio.voice import find_speech
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_runtime.recognition.long_audio import Cutter
from emotion2vec_runtime.recognition.result import Options
from emotion2vec_runtime.recognition.runner import ClipOutput
from emotion2vec_server.serving.track import Track, Window
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.streaming.live import frame_logits, make_manifest

RATE = 16_000
MANIFEST = make_manifest()
OPTIONS = Options(Classes(MANIFEST.labels), speech_only=True)


def new_track() -> Track:
    return Track(0, MANIFEST, Cutter(MANIFEST, 3 * RATE, RATE), OPTIONS)


def answer(window: Window) -> ClipOutput:
    logits = frame_logits(window.samples)
    return ClipOutput(logits.mean(axis=0), logits.mean(axis=0), logits, logits)


def heard(track: Track, windows: list[Window]) -> list[Window]:
    for window in windows:
        track.add(window, answer(window))
    return windows


@settings(max_examples=20, deadline=None)
@given(pieces=st.lists(st.integers(1, 4 * RATE), min_size=1, max_size=8))
def test_it_is_the_same_in_any_pieces(pieces: list[int]) -> None:
    """Windows, their speech, and what is pooled."""
    random = np.random.default_rng(0)
    samples = random.normal(0, 0.1, sum(pieces) + 400).astype(np.float32)
    samples[2 * RATE : 5 * RATE] *= 1e-4
    whole, parts = new_track(), new_track()
    expected = heard(whole, [*whole.push(samples), *whole.finish()])
    found = []
    for piece in np.split(samples, np.cumsum(pieces)):
        found += heard(parts, parts.push(piece))
    found += heard(parts, parts.finish())
    assert [window.cut for window in found] == [window.cut for window in expected]
    speech = find_speech(samples)
    for window, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(window.samples, other.samples)
        assert window.speech is not None
        np.testing.assert_array_equal(window.speech, speech[window.cut.first : window.cut.last])
    np.testing.assert_array_equal(parts.recognition.embedding, whole.recognition.embedding)
    assert parts.silent_share == whole.silent_share
    assert parts.level.is_silent == whole.level.is_silent


def test_what_it_holds_does_not_grow_with_the_recording() -> None:
    track = new_track()
    second = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    tracemalloc.start()
    try:
        for _ in range(60):
            heard(track, track.push(second))
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(600):
            heard(track, track.push(second))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Of 600 s, which are 38 MB of samples: a byte a frame, of voice activity.
    assert after - before < 200_000
