"""What the demo model hears of odd recordings: the labels that a careful listener would give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from emotion2vec_runtime import Recognizer, load

from tests.runtime.audio.media import chunk, encode, fmt, pcm16, riff, speech, wav
from tests.runtime.audio.test_losses import edited, faststart

BOTH = speech("angry", "sad")
DATA = pcm16(BOTH)
CHAIN = (speech("angry")[:16000], speech("sad")[:16000])


@pytest.fixture(scope="module")
def model() -> Recognizer:
    return load()


def chained() -> bytes:
    first, second = CHAIN
    return encode(first, "ogg", "libopus", 48000) + encode(
        np.tile(second, (2, 1)), "ogg", "libopus", 48000, channels=2
    )


EXACT, ENCODED = 0.01, 0.15
"""How far a confidence may be off: encoders differ from those that the figures were taken with."""
CASES: dict[str, tuple[Callable[[], bytes], str, float, float]] = {
    "whole": (lambda: wav(BOTH), "angry", 0.527, EXACT),
    "truncated WAV": (lambda: wav(BOTH)[: 44 + len(DATA) // 2], "angry", 0.895, EXACT),
    "chain of mono and stereo": (chained, "angry", 0.442, ENCODED),
    "two data chunks": (
        lambda: riff(fmt(), chunk(b"data", DATA[:32000]), chunk(b"data", DATA[32000:])),
        "angry",
        0.527,
        EXACT,
    ),
    "two RIFFs": (
        lambda: (
            riff(fmt(), chunk(b"data", DATA[:40000])) + riff(fmt(), chunk(b"data", DATA[40000:]))
        ),
        "angry",
        0.527,
        EXACT,
    ),
    "floats beyond full scale": (
        lambda: riff(
            fmt(3, bits=32), chunk(b"data", np.frombuffer(DATA, "<i2").astype("<f4").tobytes())
        ),
        "angry",
        0.527,
        EXACT,
    ),
    "an edit list that cuts the middle": (
        lambda: edited(encode(BOTH, "ipod", "aac"), [(0.2, 0.0), (1.15, 2.3)]),
        "sad",
        0.839,
        ENCODED,
    ),
    "an index first": (lambda: faststart(encode(BOTH, "ipod", "aac")), "angry", 0.527, ENCODED),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_heard_has_the_right_emotion(model: Recognizer, name: str) -> None:
    make, label, confidence, tolerance = CASES[name]
    emotion = model.recognize(bytes(make())).emotion
    assert emotion is not None
    assert emotion.label == label
    assert emotion.confidence == pytest.approx(confidence, abs=tolerance)
