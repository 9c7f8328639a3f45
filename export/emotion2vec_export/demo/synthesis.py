"""Text to speech with espeak-ng, the only place that starts it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from html import escape

import numpy as np

from emotion2vec_export.demo.effects import SAMPLE_RATE, Samples, sinc_interpolate

_PROGRAM = "espeak-ng"
_AMPLITUDE = "60"  # of 200; the default of 100 clips with several voices
_HEADER = 44  # bytes of the canonical WAV header that --stdout writes


class SynthesisError(RuntimeError):
    """espeak-ng is missing or refused to speak."""


@dataclass(frozen=True, slots=True)
class Prosody:
    """What espeak-ng itself controls.

    `pitch` is 0 to 99 (50: the voice's own), `pitch_range` a percentage of the voice's intonation
    range, `speed` words a minute, `word_gap` extra pause between words in tens of milliseconds.
    """

    pitch: float = 50
    pitch_range: float = 100
    speed: float = 175
    word_gap: float = 0


def is_available() -> bool:
    """Whether espeak-ng is installed."""
    return shutil.which(_PROGRAM) is not None


def version() -> str:
    """Of espeak-ng, such as `1.51`."""
    return _run("--version").decode().partition(": ")[2].split()[0]


def variants() -> frozenset[str]:
    """Voice variants that are installed, as they are written after the `+` of a voice."""
    lines = _run("--voices=variant").decode().splitlines()
    return frozenset(line.partition("!v/")[2].split("  ")[0].strip() for line in lines[1:])


def speak(text: str, voice: str, prosody: Prosody) -> Samples:
    """Speech of `text` at 16 kHz, float32 [S] within ±1.

    `voice` is an espeak-ng voice with an optional variant, such as `en-us+f3`. Mind its spelling:
    espeak-ng speaks with its default voice, and without a word of it, where it knows none such.

    Raises:
        SynthesisError: espeak-ng is missing or failed.
    """
    wav = _run(
        *("-v", voice, "-a", _AMPLITUDE, "-z", "-m", "--stdout"),
        *("-p", str(round(np.clip(prosody.pitch, 0, 99)))),
        *("-s", str(round(np.clip(prosody.speed, 80, 450)))),
        *("-g", str(round(max(prosody.word_gap, 0)))),
        f"<speak><prosody range='{round(prosody.pitch_range)}%'>{escape(text)}</prosody></speak>",
    )
    rate = int.from_bytes(wav[24:28], "little")
    samples = (np.frombuffer(wav[_HEADER:], dtype="<i2") / 32768).astype(np.float32)
    if rate == 0 or samples.size == 0:
        raise SynthesisError(f"espeak-ng said nothing with the voice {voice!r}; choose another")
    step = rate / SAMPLE_RATE
    return sinc_interpolate(samples, np.arange(0, samples.size - 1, step), cutoff=1 / step)


def _run(*arguments: str) -> bytes:
    path = shutil.which(_PROGRAM)
    if path is None:
        raise SynthesisError("espeak-ng is not installed; install the package espeak-ng")
    done = subprocess.run([path, *arguments], capture_output=True, check=False, timeout=60)  # noqa: S603
    if done.returncode != 0:
        message = done.stderr.decode(errors="replace").strip()
        raise SynthesisError(f"espeak-ng failed: {message}")
    return done.stdout
