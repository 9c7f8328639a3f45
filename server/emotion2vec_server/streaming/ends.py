"""Where the server ends utterances by itself, as a voice agent wants it.

An utterance waits for speech: until there is some, it keeps `PRE_ROLL` seconds at the least and
`PRE_ROLL + STEP` at the most of what comes, and none of it is scored. It ends when nobody has
spoken for a while, or at its longest. All of that is decided by samples alone, never by how they
were cut into messages.
"""

from __future__ import annotations

from dataclasses import dataclass

from emotion2vec_runtime.audio.voice import FRAME, HANGOVER
from emotion2vec_runtime.errors import InvalidRequestError

DEFAULT_SILENCE_SECONDS = 0.5
DEFAULT_LONGEST_SECONDS = 15.0
LEAST_LONGEST_SECONDS = 1.0
PRE_ROLL = 15
"""Frames of voice activity (0.3 s): the onset of a word is softer than what opens the gate."""
STEP = 25
"""Frames (0.5 s)."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What ends an utterance, in samples."""

    silence: int
    longest: int

    @property
    def pre_roll(self) -> int:
        return PRE_ROLL * FRAME

    @property
    def most_lead(self) -> int:
        """What is kept without speech, at the most."""
        return (PRE_ROLL + STEP) * FRAME


def ends_of(rate: int, most: float, silence: float | None, longest: float | None) -> Ends:
    """The ends that a caller asks for, in seconds; None takes the default.

    Args:
        rate: samples a second.
        most: seconds of the longest utterance that the server takes.

    Raises:
        InvalidRequestError: a value is out of range.
    """
    silence = DEFAULT_SILENCE_SECONDS if silence is None else silence
    longest = min(DEFAULT_LONGEST_SECONDS, most) if longest is None else longest
    least = HANGOVER * FRAME / rate
    _check("silence", silence, least, most)
    _check("longest", longest, LEAST_LONGEST_SECONDS, most)
    return Ends(round(silence * rate), round(longest * rate))


def _check(name: str, seconds: float, least: float, most: float) -> None:
    if not least <= seconds <= most:
        raise InvalidRequestError(
            f"config.end_of_utterance.{name}",
            f"{name} is {seconds:g} s: it may be {least:g} to {most:g} s",
        )
