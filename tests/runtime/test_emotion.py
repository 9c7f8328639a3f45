"""Probabilities, and what is read off them."""

from __future__ import annotations

import numpy as np
import pytest
from emotion2vec_runtime.bundle import Label
from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_runtime.recognition.emotion import Classes
from hypothesis import given
from hypothesis import strategies as st

LABELS = tuple(Label(name=name) for name in ("angry", "happy", "sad"))
logits = st.lists(st.floats(-1e4, 1e4, width=32), min_size=len(LABELS), max_size=len(LABELS)).map(
    lambda values: np.array(values, dtype=np.float32)
)


@given(logits)
def test_scores_are_a_distribution(values: np.ndarray) -> None:
    emotion = Classes(LABELS).emotion(values)
    assert np.isfinite(emotion.probabilities).all()
    assert sum(emotion.probabilities) == pytest.approx(1.0, abs=1e-6)
    assert emotion.confidence == max(emotion.probabilities)
    assert emotion.label == LABELS[int(np.argmax(emotion.probabilities))].name
    np.testing.assert_allclose(
        Classes(LABELS).probabilities(values), emotion.probabilities, atol=1e-6
    )
    assert 0.0 <= emotion.entropy <= 1.0 + 1e-6
    assert 0.0 <= emotion.margin <= 1.0


def test_softmax_of_known_values() -> None:
    emotion = Classes(LABELS).emotion(np.log(np.array([1, 2, 5], dtype=np.float32)))
    np.testing.assert_allclose(emotion.probabilities, [1 / 8, 2 / 8, 5 / 8], rtol=1e-6)
    assert emotion.label == "sad"
    assert emotion.margin == pytest.approx(3 / 8)


@given(logits)
def test_allowed_labels_are_renormalised(values: np.ndarray) -> None:
    everything = Classes(LABELS).probabilities(values).astype(np.float64)[[0, 2]]
    some = Classes(LABELS, ["sad", "angry"])
    assert some.names == ("angry", "sad")
    if everything.sum() > 1e-3:
        np.testing.assert_allclose(
            some.probabilities(values), everything / everything.sum(), atol=1e-4
        )


def test_equal_logits_are_a_blind_guess() -> None:
    emotion = Classes(LABELS).emotion(np.zeros(3, dtype=np.float32))
    assert emotion.entropy == pytest.approx(1.0)
    assert emotion.margin == 0.0


def test_one_allowed_label_is_certain() -> None:
    emotion = Classes(LABELS, ["happy"]).emotion(np.zeros(3, dtype=np.float32))
    assert (emotion.label, emotion.confidence, emotion.entropy) == ("happy", 1.0, 0.0)


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="joyful") as error:
        Classes(LABELS, ["joyful"])
    assert error.value.field == "config.allowed_labels"


def test_frames_are_scored_one_by_one() -> None:
    frames = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    classes = Classes(LABELS)
    expected = [classes.emotion(frame).probabilities for frame in frames]
    np.testing.assert_allclose(classes.probabilities(frames), expected, rtol=1e-6)
