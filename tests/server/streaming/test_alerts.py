"""Alerts of a stream: what the readings of its frames say, told as soon as it is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from emotion2vec_client.readings import ALERT_PROBABILITY, ALERT_SECONDS, SMOOTHING, read
from emotion2vec_client.results import Frames, Metadata, Recognition
from emotion2vec_runtime.bundle import Label
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_server.serving import stream_config
from emotion2vec_server.streaming.alerts import AlertRule, Alerts, Span
from hypothesis import given, settings
from hypothesis import strategies as st

LABELS = ("happy", "angry", "sad", "disgusted")
CLASSES = Classes([Label(name=name) for name in LABELS])
RULE = AlertRule(CLASSES, columns=(1, 3), probability=0.5, least=100, smoothing=12)
METADATA = Metadata("m", "v", "fp32", "cpu", 1.0, 0.0, 0.0, 0.0, 1)


def logits_of(runs: list[tuple[int, int]], seed: int) -> np.ndarray:
    """[T, 4]: runs of frames in which one label leads, noisily."""
    columns = np.repeat([column for column, _ in runs], [length for _, length in runs])
    noise = np.random.default_rng(seed).normal(size=(len(columns), len(LABELS)))
    return (noise + 3.0 * np.eye(len(LABELS))[columns]).astype(np.float32)


def heard(logits: np.ndarray, cuts: list[int], rule: AlertRule = RULE) -> list[Span]:
    alerts = Alerts(rule)
    edges = [0, *sorted(cut for cut in cuts if cut < len(logits)), len(logits)]
    found = [span for first, last in pairwise(edges) for span in alerts.push(logits[first:last])]
    return [*found, *alerts.finish()]


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 180)), min_size=1, max_size=8),
    st.lists(st.integers(0, 1000), max_size=20),
    st.integers(0, 2**32 - 1),
)
def test_they_are_those_of_the_readings_however_the_frames_come(
    runs: list[tuple[int, int]], cuts: list[int], seed: int
) -> None:
    logits = logits_of(runs, seed)
    spans = heard(logits, cuts)
    frames = Frames(LABELS, CLASSES.probabilities(logits), 0, 0.0, 0.02)
    readings = read(Recognition("", None, frames, None, None, (), None, (), METADATA))
    ended = [span for span in spans if span.has_ended]
    assert readings.alerts is not None
    assert [(round(one.start * 50), round(one.end * 50), one.label) for one in readings.alerts] == [
        (span.first, span.last, span.label) for span in ended
    ]
    np.testing.assert_allclose(
        [span.probability for span in ended], [one.probability for one in readings.alerts]
    )
    # Each was told of when it had lasted just long enough.
    begun = [span for span in spans if not span.has_ended]
    assert [(span.first, span.last) for span in begun] == [
        (span.first, span.first + RULE.least) for span in ended
    ]


def test_an_alert_is_told_as_soon_as_the_frames_around_it_are_there() -> None:
    angry = np.tile(np.float32([0, 5, 0, 0]), (200, 1))
    alerts = Alerts(RULE)
    # The last frame that counts is averaged with those before it and 5 after it.
    assert list(alerts.push(angry[:104])) == []
    (begun,) = alerts.push(angry[104:105])
    assert (begun.first, begun.last, begun.label, begun.has_ended) == (0, 100, "angry", False)


def test_the_server_alerts_of_what_the_client_reads() -> None:
    assert stream_config.ALERT_PROBABILITY == ALERT_PROBABILITY
    assert stream_config.ALERT_SECONDS == ALERT_SECONDS
    assert RULE.smoothing == round(SMOOTHING / 0.02)
