"""Both clients against a real server: what goes out, what comes back."""

from __future__ import annotations

import inspect
import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emotion2vec.v1 import audio_pb2, recognition_pb2, service_pb2
from emotion2vec_client import (
    END_UTTERANCE,
    AsyncClient,
    Client,
    Health,
    RecognitionError,
    SpeechEdge,
    StreamFinal,
    StreamFrames,
    StreamInterim,
    StreamSpeech,
    StreamStarted,
    StreamWarning,
    WarningCode,
    responses,
)
from grpc_health.v1 import health_pb2

TONE = (np.sin(np.arange(16000) * 0.05) * 8000).astype(np.int16)


def sources(wav: Path) -> dict[str, Any]:
    return {
        "str": str(wav),
        "path": wav,
        "bytes": wav.read_bytes(),
        "bytearray": bytearray(wav.read_bytes()),
        "memoryview": memoryview(wav.read_bytes()),
        "file": io.BytesIO(wav.read_bytes()),
    }


@pytest.mark.parametrize("kind", ["str", "path", "bytes", "bytearray", "memoryview", "file"])
def test_containers_travel_untouched(client: Any, server: Any, wav: Path, kind: str) -> None:
    result = client.recognize(sources(wav)[kind], request_id="42")
    (request,) = server.service.requests
    assert request.audio == wav.read_bytes()
    assert request.audio_config == audio_pb2.AudioConfig()
    assert result.request_id == "42"
    assert result.emotion.label == "angry"
    assert result.emotion.confidence == pytest.approx(0.7)
    assert sum(score.probability for score in result.emotion.scores) == pytest.approx(1)
    assert result.emotion.ranked[1].label == "happy"
    assert result.metadata.audio_duration == 1.0
    assert result.metadata.inference_duration == 0.125
    assert (result.frames, result.embedding, result.processed_audio) == (None, None, None)


@pytest.mark.parametrize(
    ("samples", "encoding", "channels"),
    [
        (TONE, audio_pb2.AUDIO_ENCODING_LINEAR16, 1),
        (TONE.astype(np.float32) / 32768, audio_pb2.AUDIO_ENCODING_FLOAT32, 1),
        (np.stack([TONE, TONE], axis=1), audio_pb2.AUDIO_ENCODING_LINEAR16, 2),
        (TONE[::2], audio_pb2.AUDIO_ENCODING_LINEAR16, 1),
        (TONE.astype(">i2"), audio_pb2.AUDIO_ENCODING_LINEAR16, 1),
    ],
    ids=["int16", "float32", "stereo", "strided", "big-endian"],
)
def test_arrays_travel_as_raw_samples(
    client: Any, server: Any, samples: Any, encoding: int, channels: int
) -> None:
    client.recognize(samples, sample_rate=44100)
    (request,) = server.service.requests
    assert request.audio_config == audio_pb2.AudioConfig(
        encoding=encoding, sample_rate_hertz=44100, channel_count=channels
    )
    native = samples.dtype.newbyteorder("<")
    assert np.array_equal(np.frombuffer(request.audio, native).reshape(samples.shape), samples)


def test_raw_bytes_travel_with_their_format(client: Any, server: Any) -> None:
    client.recognize(TONE.tobytes(), encoding="mulaw", sample_rate=8000, channels=2)
    assert server.service.requests[0].audio_config == audio_pb2.AudioConfig(
        encoding=audio_pb2.AUDIO_ENCODING_MULAW, sample_rate_hertz=8000, channel_count=2
    )


@pytest.mark.parametrize(
    ("audio", "options", "error", "says"),
    [
        (TONE, {}, ValueError, "give sample_rate"),
        (b"\0\0", {"encoding": "linear16"}, ValueError, "give sample_rate"),
        (b"\0\0", {"sample_rate": 16000}, ValueError, "name their encoding"),
        (b"\0\0", {"encoding": "aiff"}, ValueError, "unknown encoding 'aiff'"),
        (TONE, {"sample_rate": 0}, ValueError, "more than 0"),
        (TONE, {"sample_rate": 8000, "encoding": "float32"}, ValueError, "leave encoding"),
        (TONE.astype(np.int32), {"sample_rate": 16000}, TypeError, "int32"),
        (TONE.reshape(10, 40, 40), {"sample_rate": 16000}, ValueError, "shape"),
        (io.StringIO("text"), {}, TypeError, "binary mode"),
        (3, {}, TypeError, "int"),
        (b"x", {"allowed_labels": "angry"}, TypeError, "sequence of labels"),
        (b"x", {"timeout": 0}, ValueError, "timeout"),
        ("/nowhere/at/all.wav", {}, FileNotFoundError, "all.wav"),
    ],
)
def test_wrong_arguments_never_reach_the_server(
    client: Any, server: Any, audio: Any, options: Any, error: Any, says: str
) -> None:
    with pytest.raises(error, match=says):
        client.recognize(audio, **options)
    assert server.service.requests == []


def test_everything_can_be_asked_for(client: Any, server: Any, wav: Path) -> None:
    result = client.recognize(
        wav,
        frames=True,
        embedding=True,
        frame_embeddings=True,
        processed_audio=True,
        model="other",
        allowed_labels=("angry", "happy"),
    )
    config = server.service.requests[0].config
    assert config.granularity == recognition_pb2.GRANULARITY_FRAME
    assert list(config.allowed_labels) == ["angry", "happy"]
    assert result.metadata.model == "other"
    assert [score.label for score in result.emotion.scores] == ["angry", "happy"]
    assert result.frames.probabilities.shape == (49, 9)
    assert result.frames.times[[0, 1, 48]] == pytest.approx([0, 0.02, 0.96])
    assert result.frames.probabilities.argmax(axis=1).tolist()[:10] == [*range(9), 0]
    assert result.embedding.tolist() == list(range(8))
    assert result.frame_embeddings.shape == (49, 8)
    assert result.frame_embeddings[1, 0] == 8
    assert np.array_equal(result.processed_audio, np.frombuffer(wav.read_bytes()[44:], "<i2"))


def test_to_dict_is_json(client: Any, server: Any, wav: Path) -> None:
    server.service.warnings = (
        recognition_pb2.Warning(code=recognition_pb2.WARNING_CODE_CLIPPED, message="loud"),
        recognition_pb2.Warning(code=99, message="of the future"),
    )
    server.service.segments = (recognition_pb2.Segment(end_offset={"seconds": 3}),)
    result = client.recognize(wav, frames=True, embedding=True)
    as_json = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert as_json["emotion"] == "angry"
    assert as_json["scores"]["happy"] == pytest.approx(0.1)
    assert as_json["segments"] == [{"start": 0.0, "end": 3.0}]
    assert [warning["code"] for warning in as_json["warnings"]] == ["CLIPPED", "UNKNOWN"]
    assert len(as_json["frames"]["probabilities"]) == 49
    assert "frame_embeddings" not in as_json
    assert result.warnings[1].code is WarningCode.UNKNOWN


def test_embedding_only_model() -> None:
    reply = service_pb2.RecognizeResponse(embedding={"shape": [2], "values": [1, 2]})
    result = responses.recognition(reply)
    assert result.emotion is None
    assert result.to_dict()["emotion"] is None
    assert result.embedding is not None


def test_malformed_reply_is_no_result() -> None:
    reply = service_pb2.RecognizeResponse(embedding={"shape": [3], "values": [1, 2]})
    with pytest.raises(RecognitionError, match="malformed"):
        responses.recognition(reply)


def test_models(client: Any) -> None:
    models = client.list_models()
    assert [model.name for model in models] == ["fake", "other"]
    assert models[0].labels[0].native_name == "生气"
    assert models[0].frame_hop == 0.02
    assert client.get_model("other").name == "other"
    assert client.get_model().is_default
    json.dumps(models[0].to_dict())


def test_health(client: Any, server: Any) -> None:
    assert client.health() is Health.SERVING
    server.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert client.health() is Health.NOT_SERVING
    server.health.set("a", health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
    assert client.health("a") is Health.SERVICE_UNKNOWN


def test_both_clients_have_the_same_surface() -> None:
    def surface(cls: type) -> dict[str, list[str]]:
        members = inspect.getmembers(cls, inspect.isfunction)
        return {
            name: [f"{p.kind} {p}".split(":")[0] for p in _parameters(member)]
            for name, member in members
            if not name.startswith("_") or name == "__init__"
        }

    def _parameters(member: Any) -> Any:
        return inspect.signature(member).parameters.values()

    assert surface(Client) == surface(AsyncClient)
    for name in ("__init__", "recognize", "stream", "list_models", "get_model", "health"):
        ours = inspect.signature(getattr(Client, name)).parameters
        theirs = inspect.signature(getattr(AsyncClient, name)).parameters
        defaults = {key: parameter.default for key, parameter in ours.items()}
        assert defaults == {key: parameter.default for key, parameter in theirs.items()}


# Streams


def test_stream_yields_typed_events_in_order(client: Any, server: Any) -> None:
    chunks = [TONE[:3200], TONE[3200:].tobytes(), END_UTTERANCE, TONE]
    events = list(
        client.stream(chunks, sample_rate=16000, hop=0.5, window=3.0, interim=True, request_id="r")
    )
    assert [type(event) for event in events] == [
        StreamStarted,
        StreamFrames,
        StreamFrames,
        StreamFinal,
        StreamFrames,
        StreamSpeech,
        StreamInterim,
        StreamWarning,
        StreamFinal,
    ]
    assert [event.sequence for event in events] == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    started, final, speech = events[0], events[3], events[5]
    assert (started.hop, started.window, started.request_id) == (0.5, 3.0, "r")
    assert (final.utterance, final.end) == (0, 1.0)
    assert events[-1].utterance == 1
    assert (speech.edge, speech.offset) == (SpeechEdge.END, 1.5)
    assert events[7].warning.code is WarningCode.DEGRADED
    config = server.service.requests[0]
    assert config.interim_results
    assert config.audio_config.encoding == audio_pb2.AUDIO_ENCODING_LINEAR16
    assert not config.HasField("lookahead")
    for event in events:
        json.dumps(event.to_dict(), allow_nan=False)


def test_stream_sends_all_bytes_whatever_the_chunking(client: Any, server: Any) -> None:
    data = np.random.default_rng(0).bytes(700_000)
    chunks = [data[:1], data[1:1000], b"", data[1000:]]
    list(client.stream(chunks, sample_rate=16000))
    messages = [request.audio for request in server.service.requests[1:]]
    assert b"".join(messages) == data
    assert max(map(len, messages)) <= 256 * 1024


@pytest.mark.parametrize(
    ("enabled", "wire"), [(None, "UNSPECIFIED"), (True, "ENABLED"), (False, "DISABLED")]
)
def test_voice_activity_detection_is_a_choice(
    client: Any, server: Any, enabled: bool | None, wire: str
) -> None:
    list(client.stream([], sample_rate=16000, voice_activity_detection=enabled))
    sent = server.service.requests[0].voice_activity_detection
    assert service_pb2.VoiceActivityDetection.Name(sent) == f"VOICE_ACTIVITY_DETECTION_{wire}"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sample_rate": 16000, "encoding": "wav"}, ValueError),
        ({"sample_rate": 0}, ValueError),
        ({"sample_rate": 16000, "timeout": -1}, ValueError),
        ({"sample_rate": 16000, "allowed_labels": "sad"}, TypeError),
    ],
)
def test_stream_refuses_wrong_arguments_at_once(client: Any, options: Any, error: Any) -> None:
    with pytest.raises(error):
        client.stream([], **options)


@pytest.mark.parametrize(
    ("chunk", "error"),
    [
        (np.zeros(4, np.float32), TypeError),
        (np.zeros((4, 2), np.int16), ValueError),
        ("text", TypeError),
    ],
)
def test_wrong_chunk_is_raised_where_events_are_read(client: Any, chunk: Any, error: Any) -> None:
    with pytest.raises(error):
        list(client.stream([TONE, chunk], sample_rate=16000))


def test_failure_of_the_source_is_raised_where_events_are_read(client: Any) -> None:
    def broken() -> Any:
        yield TONE
        raise OSError("microphone unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(client.stream(broken(), sample_rate=16000))


def test_closing_the_events_ends_the_call(client: Any, server: Any) -> None:
    hold = threading.Event()

    def endless() -> Any:
        yield TONE
        if isinstance(client, Client):
            hold.wait(30)

    events = client.stream(endless(), sample_rate=16000)
    assert isinstance(next(events), StreamStarted)
    events.close()
    assert server.service.ended.wait(10)
    hold.set()
