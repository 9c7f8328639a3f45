"""One colour an emotion, the same in the terminal and in plots."""

from __future__ import annotations

_COLORS = {
    "angry": "#d1495b",
    "disgusted": "#7a8b3a",
    "fearful": "#8456a8",
    "happy": "#edae49",
    "neutral": "#8d99a6",
    "other": "#a0785a",
    "sad": "#3d6fb4",
    "surprised": "#2fa39a",
    "unknown": "#c3c9cf",
}
# For the labels of other checkpoints, by their place.
_SPARE = ("#4c956c", "#c8553d", "#588b8b", "#b5838d", "#6d597a", "#e09f3e", "#457b9d")


def color_of(label: str, index: int = 0) -> str:
    """ "#rrggbb" of a label; `index` is its place in the model's order."""
    return _COLORS.get(label, _SPARE[index % len(_SPARE)])
