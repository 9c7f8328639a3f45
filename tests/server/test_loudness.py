from __future__ import annotations

import numpy as np
import pytest
from emotion2vec_server.streaming.loudness import Loudness, with_reference

HOP = 320


@pytest.fixture
def quiet() -> np.ndarray:
    return (0.002 * np.random.default_rng(1).standard_normal(16_080)).astype(np.float32)


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_the_whole_has_the_wanted_variance(quiet: np.ndarray, offset: float) -> None:
    window = quiet + np.float32(offset)
    extended = with_reference(window, 0.01, HOP)
    assert extended.var(dtype=np.float64) == pytest.approx(0.01, rel=1e-4)
    assert extended.mean(dtype=np.float64) == pytest.approx(window.mean(), abs=1e-5)


def test_the_samples_stay_and_no_frame_is_added(quiet: np.ndarray) -> None:
    extended = with_reference(quiet, 0.01, HOP)
    np.testing.assert_array_equal(extended[: len(quiet)], quiet)
    assert len(extended) - len(quiet) < HOP


def test_a_window_louder_than_the_utterance_keeps_its_own_variance(quiet: np.ndarray) -> None:
    extended = with_reference(quiet, 0.0, HOP)
    assert extended.var(dtype=np.float64) == pytest.approx(quiet.var(dtype=np.float64), rel=1e-4)


def test_digital_silence_stays_silent() -> None:
    assert not with_reference(np.zeros(16_080, dtype=np.float32), 0.0, HOP).any()


def test_variance_of_what_came_so_far(quiet: np.ndarray) -> None:
    loudness = Loudness()
    assert loudness.variance == 0.0
    for piece in np.split(quiet, [1, 7, 5000]):
        loudness.add(piece)
    assert loudness.count == len(quiet)
    assert loudness.variance == pytest.approx(quiet.var(dtype=np.float64), rel=1e-9)


def test_a_constant_has_no_negative_variance() -> None:
    loudness = Loudness()
    loudness.add(np.full(9999, 0.1, dtype=np.float32))
    assert 0.0 <= loudness.variance < 1e-12
