"""Protobuf messages carry exactly what the domain objects hold."""

from __future__ import annotations

import numpy as np
import pytest
from emotion2vec.v1 import audio_pb2, recognition_pb2
from emotion2vec_runtime.audio import Encoding
from emotion2vec_runtime.bundle import Label, Manifest
from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_runtime.recognition.warnings import RecognitionWarning, WarningCode
from emotion2vec_server.wire import replies, requests

LABELS = (Label(name="angry", native_name="生气"), Label(name="happy"), Label(name="sad"))
MANIFEST = Manifest.model_construct(
    name="m", labels=LABELS, frame_hop=320, frame_field=400, sample_rate=16000
)


@pytest.mark.parametrize("shape", [(3,), (200, 9), (1, 1), (0, 4)])
def test_packed_floats_equal_assigned_ones(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = recognition_pb2.Embedding(shape=shape, values=values.ravel().tolist())
    assert replies.embedding(values) == expected
    assert replies.embedding(values).SerializeToString() == expected.SerializeToString()


def test_packed_floats_of_a_view() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    assert list(replies.embedding(values).values) == values.ravel().tolist()


def test_frame_scores_are_frame_major() -> None:
    classes = Classes(LABELS)
    probabilities = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], dtype=np.float32)
    message = replies.frame_scores(
        probabilities, classes, MANIFEST, first_frame=7, start_seconds=0.14, is_final=False
    )
    assert list(message.probabilities) == probabilities.ravel().tolist()
    assert (message.frame_count, message.first_frame_index, message.is_final) == (2, 7, False)
    assert message.start_offset.ToMilliseconds() == 140
    assert message.frame_hop.ToMilliseconds() == 20


def test_emotion_result() -> None:
    emotion = Classes(LABELS, ["sad", "angry"]).emotion(np.array([0, 9, 0], dtype=np.float32))
    message = replies.emotion_result(emotion)
    assert [score.label for score in message.scores] == ["angry", "sad"]
    assert message.scores[0].native_label == "生气"
    assert [score.probability for score in message.scores] == [0.5, 0.5]


def test_every_warning_has_a_code_on_the_wire() -> None:
    messages = [replies.warning(RecognitionWarning(code, "why")) for code in WarningCode]
    assert len({message.code for message in messages}) == len(WarningCode)
    assert {message.code for message in messages} == set(recognition_pb2.WarningCode.values()) - {0}


def test_every_encoding_is_understood() -> None:
    encodings = [
        requests.audio_spec(
            audio_pb2.AudioConfig(encoding=value, sample_rate_hertz=8000 if value > 5 else 0)
        ).encoding
        for value in audio_pb2.AudioEncoding.values()
    ]
    assert set(encodings) == set(Encoding)


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="77") as error:
        requests.audio_spec(audio_pb2.AudioConfig(encoding=77))
    assert error.value.field == "audio_config.encoding"


def test_an_unknown_granularity_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="9") as error:
        requests.recognition_config(recognition_pb2.RecognitionConfig(granularity=9))
    assert error.value.field == "config.granularity"


@pytest.mark.parametrize("peak", [1.0, 0.5, 2.0, 32768.0, 1e-3, 1e-9])
def test_linear16_is_what_was_heard_at_any_level(peak: float) -> None:
    samples = peak * np.sin(np.arange(1000, dtype=np.float32))
    data, scale = replies.linear16(samples)
    back = np.frombuffer(data, "<i2") / 32768 * scale
    np.testing.assert_allclose(back, samples, rtol=0, atol=2e-4 * peak)
    assert (scale == 1) == (peak in (0.5, 1.0))


def test_16_bits_stay_as_they_are() -> None:
    samples = np.array([-32768, -1, 0, 1, 32767], np.int16)
    assert replies.linear16(samples) == (samples.astype("<i2").tobytes(), 1.0)
    assert replies.linear16(np.zeros(3, np.float32)) == (bytes(6), 1.0)
