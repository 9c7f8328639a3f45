"""One colour an emotion, the same in the terminal and in plots."""

from __future__ import annotations

_ANGRY, _DISGUSTED, _FEARFUL = "#d1495b", "#7a8b3a", "#8456a8"
_HAPPY, _SAD, _SURPRISED = "#edae49", "#3d6fb4", "#2fa39a"

_COLORS = {
    "angry": _ANGRY,
    "disgusted": _DISGUSTED,
    "fearful": _FEARFUL,
    "happy": _HAPPY,
    "neutral": "#8d99a6",
    "other": "#a0785a",
    "sad": _SAD,
    "surprised": _SURPRISED,
    "unknown": "#c3c9cf",
    # The same by the names that other checkpoints give them.
    "anger": _ANGRY,
    "disgust": _DISGUSTED,
    "fear": _FEARFUL,
    "happiness": _HAPPY,
    "joy": _HAPPY,
    "sadness": _SAD,
    "surprise": _SURPRISED,
    # What other corpora have beside these.
    "bored": "#8a8fb8",
    "calm": "#6f9fc4",
    "excited": "#e8894a",
    "frustrated": "#b0563f",
    "satisfied": "#5fa55a",
}
# For labels that nobody has foreseen, by their place; no red among them, which would be an alarm.
_SPARE = ("#4c956c", "#588b8b", "#b5838d", "#6d597a", "#457b9d", "#9aa05a", "#7fb0a3")


def color_of(label: str, index: int = 0) -> str:
    """ "#rrggbb" of a label; `index` is its place in the model's order."""
    return _COLORS.get(label.lower(), _SPARE[index % len(_SPARE)])
