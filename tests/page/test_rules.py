"""What the page and the client have in common is the same in both."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from emotion2vec_client.command.colors import color_of
from emotion2vec_client.readings import read, stretches
from emotion2vec_client.results import (
    Emotion,
    EmotionScore,
    Frames,
    Metadata,
    Recognition,
    Segment,
)

from tests.page.conftest import Visit

LABELS = ("angry", "disgusted", "fearful", "happy", "neutral")


def emotion_of(probabilities: np.ndarray[Any, Any]) -> Emotion:
    ranked = np.sort(probabilities)[::-1]
    scores = [
        EmotionScore(*pair) for pair in zip(LABELS, LABELS, probabilities.tolist(), strict=True)
    ]
    label = LABELS[int(probabilities.argmax())]
    return Emotion(label, float(ranked[0]), tuple(scores), float(ranked[0] - ranked[1]), 0.5)


def recognition_of(seed: int) -> Recognition:
    """Scores that wander as those of speech do: flicker, stretches, ties, anger that lasts."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 600))
    walk = random.normal(0, random.uniform(0.1, 0.9), (count, len(LABELS))).cumsum(0)
    scores = np.exp(np.round(walk, 1))
    probabilities = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    frames = Frames(LABELS, probabilities, 0, float(random.choice([0.0, 1.5])), 0.02)
    segments = tuple(
        Segment(3.0 * place, 3.0 * place + 3.5, emotion_of(probabilities[place]))
        for place in range(min(count, 12))
    )
    metadata = Metadata(
        model="m",
        model_version="1",
        precision="fp32",
        provider="cpu",
        audio_duration=1.0,
        decode_duration=0.0,
        queue_duration=0.0,
        inference_duration=0.0,
        batch_size=1,
        server_version="1",
    )
    with_frames = seed % 4 != 0
    return Recognition(
        request_id="",
        emotion=emotion_of(probabilities.mean(0)),
        frames=frames if with_frames else None,
        embedding=None,
        frame_embeddings=None,
        segments=segments,
        processed_audio=None,
        warnings=(),
        metadata=metadata,
    )


def as_page_has_it(recognition: Recognition) -> dict[str, Any]:
    def emotion(one: Emotion | None) -> Any:
        return one and asdict(one)

    frames = recognition.frames
    return {
        "emotion": emotion(recognition.emotion),
        "segments": [
            {"start": one.start, "end": one.end, "emotion": emotion(one.emotion)}
            for one in recognition.segments
        ],
        "frames": frames
        and {
            "labels": frames.labels,
            "start": frames.start,
            "hop": frames.hop,
            "count": len(frames.probabilities),
            "probabilities": frames.probabilities.ravel().tolist(),
        },
    }


def test_readings(visit: Visit) -> None:
    recognitions = [recognition_of(seed) for seed in range(64)]
    read_by_page = visit().evaluate(
        """async (results) => {
            const { read } = await import("/readings.js");
            return JSON.parse(results).map(read);
        }""",
        json.dumps([as_page_has_it(recognition) for recognition in recognitions]),
    )
    found = {"mixed": 0, "unsteady": 0, "alerts": 0}
    for recognition, page in zip(recognitions, read_by_page, strict=True):
        ours = read(recognition)
        mixed = [score.label for score in ours.mixed] if ours.mixed else None
        assert (page["mixed"] and [score["label"] for score in page["mixed"]]) == mixed
        if ours.stability:
            assert page["stability"]["switches"] == ours.stability.switches
            assert page["stability"]["steady"] == ours.stability.steady
        else:
            assert page["stability"] is None
        if ours.alerts is None:
            assert page["alerts"] is None
        else:
            assert_same_spans(page["alerts"], [asdict(alert) for alert in ours.alerts])
        frames = recognition.frames
        assert_same_spans(
            page["stretches"], [asdict(one) for one in stretches(frames)] if frames else []
        )
        found["mixed"] += bool(ours.mixed)
        found["unsteady"] += bool(ours.stability and not ours.stability.steady)
        found["alerts"] += bool(ours.alerts)
    # The examples have all of it.
    assert min(found.values()) > 5


def assert_same_spans(page: list[dict[str, Any]], client: list[dict[str, Any]]) -> None:
    assert [span.get("label") for span in page] == [span.get("label") for span in client]
    for one, other in zip(page, client, strict=True):
        for name in ("start", "end", "probability"):
            assert one[name] == pytest.approx(other[name], abs=1e-6)


def test_colors(visit: Visit) -> None:
    labels = [
        "angry",
        "Disgust",
        "fearful",
        "joy",
        "neutral",
        "other",
        "sad",
        "surprise",
        "unknown",
    ]
    labels += ["bored", "calm", "excited", "frustrated", "satisfied", "x", "y", "z"]
    shown = visit().evaluate(
        """async (labels) => {
            const { colorOf } = await import("/colors.js");
            return labels.map(colorOf);
        }""",
        labels,
    )
    assert shown == [color_of(label, index) for index, label in enumerate(labels)]
