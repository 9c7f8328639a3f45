"""Clips are deterministic, within bounds, and the two splits share nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from emotion2vec_export.demo import synthesis
from emotion2vec_export.demo.corpus import LABELS, Clip, Split, held_out, render, training_clips
from emotion2vec_export.demo.effects import SAMPLE_RATE
from emotion2vec_export.demo.expression import CHARACTERS, express
from emotion2vec_export.demo.recordings import read_recordings, write_recordings
from emotion2vec_export.demo.sentences import HELD_OUT, TRAINING, Material
from emotion2vec_export.demo.synthesis import Prosody, SynthesisError, speak
from emotion2vec_export.synthetic import LABELS as TOKENS

needs_espeak = pytest.mark.skipif(
    not synthesis.is_available(), reason="espeak-ng is not installed: apt install espeak-ng"
)


def test_splits_share_no_sentence_and_no_voice() -> None:
    said = [
        {text for texts in material.sentences.values() for text in texts} | set(material.phrases)
        for material in (TRAINING, HELD_OUT)
    ]
    assert said[0].isdisjoint(said[1])
    voices = [{*material.women, *material.men} for material in (TRAINING, HELD_OUT)]
    assert voices[0].isdisjoint(voices[1])


def test_labels_stand_in_the_order_of_the_tokens() -> None:
    names = ["unknown" if token == "<unk>" else token.rpartition("/")[2] for token in TOKENS]
    assert names == list(LABELS)
    assert set(CHARACTERS) == set(LABELS) - {"other", "unknown"}


def test_recordings_come_back_as_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = [
        Clip(rng.uniform(-0.5, 0.5, 800).astype(np.float32), label)
        for label in ("sad", "happy", "sad")
    ]
    write_recordings(clips, tmp_path)
    back = list(read_recordings(tmp_path))
    assert [clip.label for clip in back] == ["sad", "happy", "sad"]
    for before, after in zip(clips, back, strict=True):
        np.testing.assert_allclose(before.samples, after.samples, atol=1 / 32767)


def test_missing_espeak_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert not synthesis.is_available()
    with pytest.raises(SynthesisError, match="install the package espeak-ng"):
        render(Split.TRAINING, "happy", 0)


@needs_espeak
@pytest.mark.parametrize("label", LABELS)
def test_the_same_arguments_give_the_same_clip(label: str) -> None:
    first, again = (render(Split.HELD_OUT, label, 3, seed=5) for _ in range(2))
    other = render(Split.HELD_OUT, label, 4, seed=5)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.label == label
    assert first.samples.dtype == np.float32
    assert 0.6 <= round(first.samples.size / SAMPLE_RATE, 3) <= 6.0
    assert np.abs(first.samples).max() <= 0.9001
    assert first.samples.size != other.samples.size or (first.samples != other.samples).any()


@needs_espeak
def test_sadness_is_slower_than_anger_and_darker() -> None:
    def mean_of(label: str) -> tuple[float, float]:
        clips = [
            express(
                "The plates are in the cupboard.", f"en-us+{voice}", label, np.random.default_rng(0)
            )
            for voice in ("m3", "f2")
        ]
        powers = [np.abs(np.fft.rfft(clip)) ** 2 for clip in clips]
        centres = [
            np.average(np.fft.rfftfreq(clip.size, 1 / SAMPLE_RATE), weights=power)
            for clip, power in zip(clips, powers, strict=True)
        ]
        return float(np.mean([clip.size for clip in clips])), float(np.mean(centres))

    sad, angry = mean_of("sad"), mean_of("angry")
    assert sad[0] > 1.5 * angry[0]
    assert sad[1] < 0.5 * angry[1]


@needs_espeak
def test_the_held_out_set_has_every_class() -> None:
    clips = list(held_out(1))
    assert [clip.label for clip in clips] == list(LABELS)
    assert all(np.isfinite(clip.samples).all() for clip in clips)


@needs_espeak
def test_the_cache_holds_what_was_synthesised(tmp_path: Path) -> None:
    fresh = training_clips(2, seed=1, cache=tmp_path)
    cached = training_clips(2, seed=1, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    for label in LABELS:
        assert len(fresh[label]) == 2
        for before, after in zip(fresh[label], cached[label], strict=True):
            np.testing.assert_array_equal(before, after)


@needs_espeak
@pytest.mark.parametrize("material", [TRAINING, HELD_OUT])
def test_every_voice_is_one_that_espeak_knows(material: Material) -> None:
    assert {*material.women, *material.men} <= synthesis.variants()
    for language in material.sentences:
        plain, low, high = (
            speak("No.", language + variant, Prosody()) for variant in ("", "+m8", "+f3")
        )
        assert low.size != plain.size or (low != plain).any(), f"{language} takes no variants"
        assert low.size != high.size or (low != high).any()
