"""Readings of scores: mixed emotion, stability, sustained anger or disgust."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from emotion2vec_client.readings import MIXED_MARGIN, SMOOTHING, read, stretches
from emotion2vec_client.results import (
    Emotion,
    EmotionScore,
    Frames,
    Metadata,
    Recognition,
    Segment,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

LABELS = ("angry", "disgusted", "happy")
METADATA = Metadata("m", "v", "fp32", "cpu", 1.0, 0.0, 0.0, 0.0, 1)


def emotion(*probabilities: float) -> Emotion:
    best = sorted(probabilities, reverse=True)
    return Emotion(
        label=LABELS[int(np.argmax(probabilities))],
        confidence=best[0],
        scores=tuple(
            EmotionScore(label, "", share)
            for label, share in zip(LABELS, probabilities, strict=False)
        ),
        margin=best[0] - best[1] if len(best) > 1 else best[0],
        entropy=0.5,
    )


def frames(rows: Any, start: float = 0.0) -> Frames:
    return Frames(LABELS, np.asarray(rows, np.float32).reshape(-1, 3), 0, start, 0.02)


def recognition(
    whole: Emotion | None = None, of_frames: Frames | None = None, segments: Any = ()
) -> Recognition:
    return Recognition("", whole, of_frames, None, None, tuple(segments), None, (), METADATA)


ANGRY, DISGUSTED, HAPPY = np.eye(3) * 0.7 + 0.1


@pytest.mark.parametrize(
    ("scores", "mixed"),
    [
        ((0.45, 0.40, 0.15), ("angry", "disgusted")),
        ((0.1, 0.46, 0.44), ("disgusted", "happy")),
        ((0.8, 0.1, 0.1), None),
        ((1.0,), None),
    ],
)
def test_mixed(scores: tuple[float, ...], mixed: Any) -> None:
    found = read(recognition(emotion(*scores))).mixed
    assert (found and tuple(score.label for score in found)) == mixed


def test_mixed_ends_at_its_margin() -> None:
    half = MIXED_MARGIN / 2
    assert read(recognition(emotion(0.5 + half + 0.001, 0.5 - half, 0))).mixed is None
    assert read(recognition(emotion(0.5 + half - 0.001, 0.5 - half, 0))).mixed is not None


def test_stability_counts_switches_but_no_flicker() -> None:
    rows = [ANGRY] * 100 + [HAPPY] * 100
    stability = read(recognition(of_frames=frames(rows))).stability
    assert stability is not None
    assert (stability.switches, stability.steady) == (1, True)
    assert stability.switches_per_second == pytest.approx(0.25)
    rows[50] = HAPPY
    assert read(recognition(of_frames=frames(rows))).stability == stability
    restless = frames(([ANGRY] * 25 + [HAPPY] * 25) * 4)
    unsteady = read(recognition(of_frames=restless)).stability
    assert unsteady is not None
    assert (unsteady.switches, unsteady.steady) == (7, False)


def test_changes_of_long_audio_are_told_by_the_minute() -> None:
    rows = ([ANGRY] * 200 + [HAPPY] * 200) * 18  # 144 s
    sentence = next(read(recognition(of_frames=frames(rows))).sentences())
    assert sentence == "steady: the leading emotion changes 14.6 times a minute"
    sentence = next(read(recognition(of_frames=frames(rows[:1600]))).sentences())
    assert sentence == "steady: the leading emotion changes 7 times"


@pytest.mark.parametrize("neighbour", [0, 2])
def test_a_brief_stretch_goes_to_the_likelier_neighbour(neighbour: int) -> None:
    between = np.array([0.0, 0.6, 0.0])
    between[neighbour] = 0.4
    rows = [ANGRY] * 100 + [between] * 12 + [HAPPY] * 100
    found = list(stretches(frames(rows)))
    assert [stretch.label for stretch in found] == ["angry", "happy"]
    assert found[0].end == pytest.approx(2.24 if neighbour == 0 else 2.0, abs=0.1)


def test_brief_stretches_in_a_row_are_one() -> None:
    moments = [ANGRY, DISGUSTED] * 60
    rows = [HAPPY] * 100 + moments + [HAPPY] * 100
    found = list(stretches(frames(rows)))
    assert [stretch.label for stretch in found] in (
        ["happy", "angry", "happy"],
        ["happy", "disgusted", "happy"],
    )


def test_anger_and_disgust_that_last_are_an_alert() -> None:
    rows = [HAPPY] * 100 + [ANGRY] * 75 + [DISGUSTED] * 75 + [HAPPY] * 100
    (alert,) = read(recognition(of_frames=frames(rows, start=10.0))).alerts
    assert alert.start == pytest.approx(12.0, abs=0.15)
    assert alert.end == pytest.approx(15.0, abs=0.15)
    assert alert.probability == pytest.approx(0.9, abs=0.05)


def test_a_moment_of_anger_is_no_alert() -> None:
    rows = [HAPPY] * 100 + [ANGRY] * 75 + [HAPPY] * 100
    assert read(recognition(of_frames=frames(rows))).alerts == ()


def test_without_frames_nobody_has_looked_for_alerts() -> None:
    cross = emotion(0.6, 0.3, 0.1)
    readings = read(recognition(cross, segments=[Segment(0.0, 30.0, cross)]))
    assert readings.alerts is None
    assert readings.to_dict()["alerts"] is None


def test_nothing_to_read_is_no_error() -> None:
    readings = read(recognition())
    assert (readings.mixed, readings.stability, readings.alerts) == (None, None, None)
    assert list(readings.sentences()) == []
    assert read(recognition(of_frames=frames([]))).stability is None
    assert list(stretches(frames([]))) == []


@given(
    arrays(
        np.float32, st.tuples(st.integers(1, 300), st.just(3)), elements=st.floats(0, 1, width=32)
    )
)
def test_stretches_tile_the_frames(rows: Any) -> None:
    found = list(stretches(frames(rows, start=3.0)))
    assert found[0].start == 3.0
    assert found[-1].end == pytest.approx(3.0 + len(rows) * 0.02)
    for earlier, later in pairwise(found):
        assert earlier.end == later.start
        assert earlier.label != later.label
    if len(found) > 1:
        assert min(stretch.end - stretch.start for stretch in found) > SMOOTHING - 0.02
    readings = read(recognition(of_frames=frames(rows, start=3.0)))
    assert readings.stability is not None
    assert readings.stability.switches == len(found) - 1
    json.dumps(readings.to_dict(), allow_nan=False)
