"""Labelled clips: one deterministic waveform for every (split, label, index, seed)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotion2vec_export.demo import effects
from emotion2vec_export.demo.effects import SAMPLE_RATE, Samples
from emotion2vec_export.demo.expression import CHARACTERS, express
from emotion2vec_export.demo.nonspeech import nonspeech
from emotion2vec_export.demo.sentences import HELD_OUT, TRAINING, Material

LABELS = (
    "angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "unknown",
)  # fmt: skip
"""Class order, that of emotion2vec+."""

MINIMUM_SECONDS = 0.6
MAXIMUM_SECONDS = 6.0

logger = logging.getLogger(__name__)


class Split(Enum):
    """Which material a clip is made of; the value seeds it."""

    TRAINING = 0
    HELD_OUT = 1

    @property
    def material(self) -> Material:
        return TRAINING if self is Split.TRAINING else HELD_OUT


@dataclass(frozen=True, slots=True)
class Clip:
    """A waveform, float32 [S] at 16 kHz, and its label."""

    samples: Samples
    label: str


def render(split: Split, label: str, index: int, seed: int = 0) -> Clip:
    """The clip number `index` of `label`, 0.6 to 6 s long; the same arguments give the same clip.

    Raises:
        SynthesisError: espeak-ng is missing (every label but `unknown` needs it).
    """
    rng = np.random.default_rng([seed, split.value, LABELS.index(label), index])
    if label == "unknown":
        seconds = np.exp(rng.uniform(np.log(MINIMUM_SECONDS), np.log(MAXIMUM_SECONDS)))
        return Clip(nonspeech(rng, int(seconds * SAMPLE_RATE)), label)
    if label == "other":
        return Clip(_fit(_mixture(split.material, rng), rng), label)
    return Clip(_fit(_utterance(split.material, label, rng), rng), label)


def held_out(per_class: int, seed: int = 0) -> Iterator[Clip]:
    """The evaluation set: `per_class` clips of each label from unseen sentences and voices.

    Each is recorded under a mild condition of its own: noise 15 to 40 dB below the speech, and one
    in ten over a telephone line.
    """
    for label in LABELS:
        for index in range(per_class):
            clip = render(Split.HELD_OUT, label, index, seed)
            rng = np.random.default_rng([seed, 2, LABELS.index(label), index])
            yield Clip(_recorded(clip.samples, rng), label)


def training_clips(
    per_class: int, seed: int, cache: Path | None = None
) -> dict[str, list[NDArray[np.int16]]]:
    """`per_class` training waveforms a label as int16, kept in the directory `cache` if given.

    A changed recipe (a source file beside this one, seed or count) makes a new cache file.
    """
    path = cache / f"corpus-{_recipe_digest()}-{seed}-{per_class}.npz" if cache else None
    if path is not None and path.exists():
        with np.load(path) as stored:
            return {label: _split(stored[label], stored[f"{label}_ends"]) for label in LABELS}
    clips = {}
    for label in LABELS:
        logger.info("synthesising %d clips: %s", per_class, label)
        clips[label] = [
            to_int16(render(Split.TRAINING, label, index, seed).samples)
            for index in range(per_class)
        ]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        joined = {label: np.concatenate(waves) for label, waves in clips.items()}
        ends = {f"{name}_ends": np.cumsum([w.size for w in waves]) for name, waves in clips.items()}
        np.savez(path, allow_pickle=False, **joined, **ends)
    return clips


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Linear 16-bit samples of a waveform within ±1."""
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def _utterance(material: Material, label: str, rng: np.random.Generator) -> Samples:
    """One speaker: a phrase, a sentence, or two."""
    language = _pick(rng, _languages(material))
    variant = _pick(rng, material.women if rng.random() < 0.5 else material.men)
    kind = rng.choice(["phrase", "sentence", "pair"], p=[0.15, 0.67, 0.18])
    if kind == "phrase":
        language = "en-us"
        text = _pick(rng, material.phrases)
    else:
        text = " ".join(
            _pick(rng, material.sentences[language]) for _ in range(2 if kind == "pair" else 1)
        )
    if label == "surprised":
        text = text.replace(".", "?")
    elif label in {"angry", "happy"}:
        text = text.replace(".", "!")
    return express(text, f"{language}+{variant}", label, rng)


def _mixture(material: Material, rng: np.random.Generator) -> Samples:
    """Two or three people at once, each in a different mood."""
    labels = rng.choice(list(CHARACTERS), rng.choice([2, 3], p=[0.5, 0.5]), replace=False)
    parts = [_utterance(material, str(label), rng) for label in labels]
    size = max(part.size for part in parts)
    mixed = np.zeros(size, dtype=np.float32)
    for part in parts:
        repeats = -(-size // part.size)
        gain = 10 ** (rng.uniform(-2, 2) / 20) / (effects.rms(part) + 1e-9)
        mixed += np.float32(gain) * np.roll(np.tile(part, repeats)[:size], rng.integers(size))
    return effects.scaled(mixed, 0.9)


def _languages(material: Material) -> tuple[str, ...]:
    """Languages, each as often as it has sentences."""
    return tuple(name for name, texts in material.sentences.items() for _ in texts)


def _fit(samples: Samples, rng: np.random.Generator) -> Samples:
    """Cuts a random part of more than the maximum; pads less than the minimum with quiet."""
    longest, shortest = int(MAXIMUM_SECONDS * SAMPLE_RATE), int(MINIMUM_SECONDS * SAMPLE_RATE)
    if samples.size > longest:
        start = rng.integers(samples.size - longest)
        return samples[start : start + longest]
    missing = max(0, shortest - samples.size)
    before = int(rng.integers(missing + 1))
    return np.pad(samples, (before, missing - before))


def _recorded(samples: Samples, rng: np.random.Generator) -> Samples:
    level = effects.rms(samples) * 10 ** (-rng.uniform(15, 40) / 20)
    noise = effects.coloured_noise(rng, samples.size, rng.uniform(-6, 0))
    heard = samples + np.float32(level) * noise
    if rng.random() < 0.1:
        heard = effects.companded(effects.scaled(effects.band_limit(heard, 250, 3500), 0.9))
    return effects.scaled(heard, min(0.9, rng.uniform(0.2, 0.9)))


def _pick(rng: np.random.Generator, items: tuple[str, ...]) -> str:
    return items[int(rng.integers(len(items)))]


def _split(joined: NDArray[np.int16], ends: NDArray[np.int64]) -> list[NDArray[np.int16]]:
    return np.split(joined, ends[:-1])


def _recipe_digest() -> str:
    names = ("corpus", "effects", "expression", "nonspeech", "sentences", "synthesis")
    digest = hashlib.sha256()
    for name in names:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:12]
