"""The clips that are sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.speech import SAMPLE_RATE, Mix, clips, cut, recordings

SPEECH = np.arange(-5000, 5000, dtype=np.int16)


def test_lengths_keep_to_the_mix() -> None:
    lengths = Mix().lengths(5000, seed=1)
    assert lengths.min() >= 1
    assert lengths.max() <= 15
    assert np.median(lengths) == pytest.approx(4.2, rel=0.05)


def test_same_seed_same_clips_in_every_process() -> None:
    first, again, other = (clips(Mix(), 6, seed, SPEECH) for seed in (3, 3, 4))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert [len(clip) for clip in first] != [len(clip) for clip in other]


def test_clips_are_as_long_as_drawn() -> None:
    lengths = Mix().lengths(6, seed=3)
    assert [len(clip) for clip in clips(Mix(), 6, 3, SPEECH)] == [
        round(seconds * SAMPLE_RATE) for seconds in lengths
    ]


def test_speech_repeats_where_it_ends() -> None:
    piece = cut(SPEECH, len(SPEECH) - 1, 3)
    assert piece.tolist() == [SPEECH[-1], SPEECH[0], SPEECH[1]]


def test_recordings_come_as_16_khz_mono(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.zeros((48_000, 2)), 48_000)
    soundfile.write(tmp_path / "b.flac", np.full(8_000, 0.5), 16_000)
    samples = recordings([tmp_path])
    assert samples.dtype == np.int16
    assert len(samples) == 16_000 + 8_000
    assert samples[-1] == pytest.approx(0.5 * 32767, abs=2)


def test_no_recordings_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.flac file"):
        recordings([tmp_path])
