"""How each emotion sounds: ranges of prosody and voice quality.

The directions (fast and bright for anger, slow, low and flat for sadness, trembling for fear) are
those that Juslin and Laukka survey in "Communication of emotions in vocal expression and music
performance", Psychological Bulletin 129 (2003). The amounts are ours and exaggerated. emotion2vec
normalises the level away, and its front end that of every sample's neighbourhood too, so loudness
alone can't carry a class; the resonances (a sneering nose, a smile, an open mouth) are there
because pitch alone would be ambiguous between low and high voices.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from emotion2vec_export.demo import effects
from emotion2vec_export.demo.effects import Samples
from emotion2vec_export.demo.synthesis import Prosody, speak

Range = tuple[float, float]

STRENGTH: Range = (0.75, 1.0)
"""How far a clip goes from neutral (0) to the whole character (1)."""


STATURE: Range = (-3, 3)
"""Semitones by which pitch and formants together move, so that a voice is many speakers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """Ranges that one clip draws from; the defaults are neutral speech."""

    pitch: Range = (38, 58)
    pitch_range: Range = (75, 125)
    speed: Range = (155, 190)
    word_gap: Range = (0, 1)
    rise: Range = (-0.5, 0.5)
    """Semitones from the start to the end of the clip."""
    bounce: Range = (0, 0.3)
    """Semitones of pitch swing, four to five times a second."""
    jitter: Range = (0, 0.05)
    """Semitones of fast pitch unsteadiness."""
    tilt: Range = (-0.7, 0.7)
    """Decibels an octave."""
    formant: Range = (900, 1100)
    """Hertz of a resonance: a sneering nose, a smile, an open mouth."""
    resonance: Range = (-1, 1)
    """Decibels of that resonance over the rest."""
    drive: Range = (0, 0.3)
    tremolo: Range = (0, 0.03)
    creak: Range = (0, 0.03)
    breath: Range = (0, 0.02)
    fade: Range = (-1, 2)
    """Decibels from the start to the end of the clip."""


CHARACTERS: dict[str, Character] = {
    "angry": Character(
        pitch=(55, 78), pitch_range=(180, 260), speed=(205, 245), tilt=(2.5, 4.5), drive=(4, 9),
        fade=(-4, 0), rise=(-2, 0),
    ),
    "disgusted": Character(
        pitch=(5, 30), pitch_range=(110, 170), speed=(95, 120), creak=(0.65, 0.95), rise=(-3, -1.5),
        tilt=(0, 1), formant=(900, 1100), resonance=(15, 20),
    ),
    "fearful": Character(
        pitch=(75, 99), pitch_range=(60, 110), speed=(215, 260), tremolo=(0.65, 0.95),
        jitter=(0.5, 1.0), breath=(0.25, 0.55), tilt=(0, 1.5),
    ),
    "happy": Character(
        pitch=(68, 92), pitch_range=(190, 270), speed=(180, 215), bounce=(2.2, 3.4),
        tilt=(0.8, 2.2), rise=(-2.5, -1), formant=(3200, 3700), resonance=(12, 18),
    ),
    "neutral": Character(),
    "sad": Character(
        pitch=(8, 32), pitch_range=(20, 50), speed=(100, 128), word_gap=(4, 9), rise=(-2.5, -1),
        tilt=(-5.5, -3), fade=(6, 13), breath=(0.05, 0.15),
    ),
    "surprised": Character(
        pitch=(75, 99), pitch_range=(230, 320), speed=(150, 180), rise=(7, 10),
        breath=(0.03, 0.1), formant=(250, 330), resonance=(10, 16), fade=(-9, -4),
    ),
}  # fmt: skip


def express(text: str, voice: str, label: str, rng: np.random.Generator) -> Samples:
    """Speaks `text` with the character of `label`; float32 [S] at 16 kHz, peak 0.9.

    Raises:
        SynthesisError: espeak-ng is missing or failed.
    """
    drawn = _draw(CHARACTERS[label], rng)
    prosody = Prosody(
        pitch=drawn["pitch"],
        pitch_range=drawn["pitch_range"],
        speed=drawn["speed"],
        word_gap=drawn["word_gap"],
    )
    samples = _inflect(effects.trim(speak(text, voice, prosody)), drawn, rng)
    return effects.scaled(_colour(samples, drawn, rng), 0.9)


def _draw(character: Character, rng: np.random.Generator) -> dict[str, float]:
    """One value a field, on the way from a neutral draw to one of `character`."""
    strength = rng.uniform(*STRENGTH)
    neutral = CHARACTERS["neutral"]
    drawn = {}
    for field in fields(character):
        start = rng.uniform(*getattr(neutral, field.name))
        drawn[field.name] = start + strength * (
            rng.uniform(*getattr(character, field.name)) - start
        )
    return drawn


def _inflect(samples: Samples, drawn: dict[str, float], rng: np.random.Generator) -> Samples:
    """The pitch movements that espeak-ng can't make."""
    size = samples.size
    time = np.arange(size) / effects.SAMPLE_RATE
    swing = np.sin(2 * np.pi * (rng.uniform(4, 5.2) * time + rng.uniform()))
    semitones = (
        rng.uniform(*STATURE)
        + drawn["rise"] * (np.linspace(0, 1, size) ** 1.5 - 0.3)
        + drawn["bounce"] * swing
        + drawn["jitter"] * effects.wander(rng, size, 18)
    )
    return effects.bend(samples, semitones)


def _colour(samples: Samples, drawn: dict[str, float], rng: np.random.Generator) -> Samples:
    """The voice quality: drive, creak, tremolo, breath, spectrum, level."""
    size = samples.size
    if drawn["drive"] > 1:
        samples = effects.drive(samples, drawn["drive"])
    creak_rate = rng.uniform(26, 38) * (1 + 0.15 * effects.wander(rng, size, 8))
    samples = effects.creak(samples, creak_rate, drawn["creak"])
    tremolo_rate = rng.uniform(6.5, 9.5) * (1 + 0.1 * effects.wander(rng, size, 4))
    samples = effects.tremolo(samples, tremolo_rate, drawn["tremolo"])
    samples = effects.breathe(samples, rng, drawn["breath"])
    samples = effects.tilt(samples, drawn["tilt"])
    samples = effects.resonate(samples, drawn["formant"], drawn["resonance"])
    return effects.fade(samples, drawn["fade"])
