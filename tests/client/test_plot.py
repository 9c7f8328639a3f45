"""What a plot shows, and in which colours."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emotion2vec_client.command.clock import clock
from emotion2vec_client.command.colors import color_of
from emotion2vec_client.command.plot import draw, picture
from emotion2vec_client.results import (
    Emotion,
    EmotionScore,
    Frames,
    Metadata,
    Recognition,
    Segment,
)
from matplotlib.axes import Axes

LABELS = ("angry", "happy", "sad")
ANGRY, HAPPY = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1)


def emotion(scores: tuple[float, ...]) -> Emotion:
    named = tuple(
        EmotionScore(label, "", share) for label, share in zip(LABELS, scores, strict=True)
    )
    best = max(named, key=lambda score: score.probability)
    return Emotion(best.label, best.probability, named, 0.5, 0.5)


def recognition(frames: Frames | None = None, segments: tuple[Segment, ...] = ()) -> Recognition:
    metadata = Metadata("m", "v", "fp32", "cpu", 90.0, 0.0, 0.0, 0.0, 1)
    audio = np.zeros(16000, np.int16)
    return Recognition("", emotion(HAPPY), frames, None, None, segments, audio, (), metadata)


def framed(seconds: int, angry: range = range(0)) -> Recognition:
    """So many seconds of happiness, but for those of anger."""
    rows = [ANGRY if second in angry else HAPPY for second in range(seconds)]
    scores = np.repeat(np.array(rows, np.float32), 50, axis=0)
    return recognition(Frames(LABELS, scores, 0, 0.0, 0.02))


def long(*scores: tuple[float, ...] | None) -> Recognition:
    """Segments of 30 s, each beginning 25 s after the one before."""
    return recognition(
        segments=tuple(
            Segment(25.0 * index, 25.0 * index + 30, row and emotion(row))
            for index, row in enumerate(scores)
        )
    )


def times(found: Recognition) -> Axes:
    """The axes of the scores over time."""
    return picture(found, "title").axes[-1]


def ticks(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def marks(found: Recognition) -> list[Any]:
    """Where alerts are named."""
    texts = [text for axes in picture(found, "title").axes for text in axes.texts]
    return [text.get_position()[0] for text in texts if text.get_text() == "alert"]


def test_times_of_long_audio_are_minutes_and_seconds() -> None:
    assert times(framed(10)).get_xlabel() == "seconds"
    axes = times(framed(100))
    assert axes.get_xlabel() == "minutes:seconds"
    assert ticks(axes)[:4] == ["0:00", "0:10", "0:20", "0:30"]
    assert ticks(times(framed(1500)))[:3] == ["0:00", "5:00", "10:00"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (3725.5, "1:02:05")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_alerts_are_marked_where_they_begin() -> None:
    assert marks(framed(20)) == []
    assert marks(framed(20, angry=range(5, 9))) == pytest.approx([5.0], abs=0.15)
    # Segments are too long to tell.
    assert marks(long(HAPPY, ANGRY, HAPPY)) == []


def test_segments_are_drawn_over_time_where_there_are_no_frames(tmp_path: Path) -> None:
    found = long(HAPPY, None, HAPPY, ANGRY)
    axes = times(found)
    assert axes.get_xlim() == (0, 105)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(LABELS)
    assert ticks(axes)[-2:] == ["1:15", "1:30"]
    draw(found, "title", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_only_scores_are_drawn_where_there_are_no_times() -> None:
    assert len(picture(recognition(), "title").axes) == 1


def is_alarming(color: str) -> bool:
    """A full red."""
    red, green, blue = bytes.fromhex(color[1:])
    hue, _, saturation = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
    return min(hue, 1 - hue) < 0.05 and saturation > 0.4


def test_only_anger_is_drawn_in_red() -> None:
    assert is_alarming(color_of("angry"))
    calm = ["satisfied", "calm", "excited", "happy", "Satisfied"]
    unforeseen = [color_of("puzzled", index) for index in range(20)]
    assert not any(map(is_alarming, [*map(color_of, calm), *unforeseen]))
    assert color_of("satisfied") == color_of("satisfied", 5)


def test_the_nine_labels_have_colours_of_their_own() -> None:
    most = ["angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised"]
    assert len({color_of(label) for label in [*most, "unknown"]}) == 9
