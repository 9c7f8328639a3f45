"""RecognizeRecording, channels and silence, as a caller meets them: the same by every door."""

from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import soundfile
from emotion2vec.v1 import audio_pb2, recognition_pb2, service_pb2, service_pb2_grpc
from emotion2vec_client import Client, RecordingPart
from emotion2vec_runtime import Result, load

from tests.e2e.conftest import RunningServer

Stub = service_pb2_grpc.EmotionRecognitionServiceStub
Code = grpc.StatusCode
RATE = 16_000
EVERYTHING = recognition_pb2.RecognitionConfig(
    granularity=recognition_pb2.GRANULARITY_FRAME,
    return_embedding=True,
    return_frame_embeddings=True,
    return_processed_audio=True,
)
SEPARATE = recognition_pb2.CHANNELS_SEPARATE


@pytest.fixture(scope="module")
def speech(examples: list[Path]) -> np.ndarray:
    """20 s of speech."""
    return np.concatenate([soundfile.read(path, dtype="int16")[0] for path in examples])


def file_of(samples: np.ndarray, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind, subtype=subtype)
    return file.getvalue()


def config_first(
    config: recognition_pb2.RecognitionConfig, audio: audio_pb2.AudioConfig | None = None
) -> service_pb2.RecognizeRecordingRequest:
    recording = service_pb2.RecordingConfig(request_id="r", config=config, audio_config=audio)
    return service_pb2.RecognizeRecordingRequest(config=recording)


def pieces(data: bytes, size: int) -> Iterator[service_pb2.RecognizeRecordingRequest]:
    for start in range(0, len(data), size):
        yield service_pb2.RecognizeRecordingRequest(audio=data[start : start + size])


def recognized(
    stub: Stub, data: bytes, config: recognition_pb2.RecognitionConfig, size: int = 70_001
) -> tuple[list[service_pb2.RecordingPart], service_pb2.RecognizeResponse]:
    """The parts and the result of a recording."""
    *parts, last = stub.RecognizeRecording(iter([config_first(config), *pieces(data, size)]))
    assert all(part.WhichOneof("response") == "part" for part in parts)
    return [part.part for part in parts], last.result


def probabilities(result: recognition_pb2.EmotionResult) -> list[float]:
    return [score.probability for score in result.scores]


def codes(warnings: Iterable[recognition_pb2.Warning]) -> set[str]:
    return {
        recognition_pb2.WarningCode.Name(warning.code).removeprefix("WARNING_CODE_")
        for warning in warnings
    }


@pytest.mark.parametrize(
    ("seconds", "kind", "size"),
    [(62, "WAV", 70_001), (62, "MP3", 9_999), (30, "FLAC", 10**6)],
)
def test_in_pieces_it_is_what_recognize_says_of_the_whole(
    stub: Stub, speech: np.ndarray, seconds: int, kind: str, size: int
) -> None:
    data = file_of(np.resize(speech, seconds * RATE), kind)
    whole = stub.Recognize(service_pb2.RecognizeRequest(config=EVERYTHING, audio=data))
    parts, result = recognized(stub, data, EVERYTHING, size)
    assert len(parts) == max(1, len(whole.segments)) == (3 if seconds > 30 else 1)
    assert result.request_id == "r"
    assert probabilities(result.result) == pytest.approx(probabilities(whole.result), abs=1e-5)
    np.testing.assert_allclose(result.embedding.values, whole.embedding.values, atol=1e-4)
    frames = [value for part in parts for value in part.frames.probabilities]
    np.testing.assert_allclose(frames, whole.frames.probabilities, atol=1e-5)
    firsts = [part.frames.first_frame_index for part in parts]
    counts = [part.frames.frame_count for part in parts]
    assert firsts == [sum(counts[:number]) for number in range(len(counts))]
    embeddings = [value for part in parts for value in part.frame_embeddings.values]
    np.testing.assert_allclose(embeddings, whole.frame_embeddings.values, atol=1e-3)
    assert b"".join(part.processed_audio for part in parts) == whole.processed_audio
    for part, segment in zip(parts, whole.segments, strict=False):
        assert part.segment.start_offset == segment.start_offset
        assert part.segment.end_offset == segment.end_offset
        assert probabilities(part.segment.result) == pytest.approx(
            probabilities(segment.result), abs=1e-5
        )
    assert codes(result.warnings) == codes(whole.warnings)
    for name in ("audio_duration", "sample_rate_hertz", "channel_count"):
        assert getattr(result.metadata, name) == getattr(whole.metadata, name)


def test_what_recognize_may_be_asked_fits_a_message(stub: Stub, speech: np.ndarray) -> None:
    """300 s in CD quality, 53 MB, from a client that knows nothing of pieces."""
    mono = np.resize(speech, 300 * 44_100)
    file = io.BytesIO()
    soundfile.write(file, np.stack([mono, mono], axis=1), 44_100, format="WAV")
    reply = stub.Recognize(service_pb2.RecognizeRequest(audio=file.getvalue()))
    assert reply.metadata.audio_duration.ToSeconds() == 300
    assert reply.result.label


def test_a_piece_that_is_too_large_is_refused(stub: Stub) -> None:
    large = bytes(5 * 2**20)
    first = service_pb2.StreamRecognizeRequest(config=service_pb2.StreamConfig())
    calls: list[Callable[[], object]] = [
        lambda: list(
            stub.RecognizeRecording(iter([config_first(EVERYTHING), *pieces(large, len(large))]))
        ),
        lambda: list(
            stub.StreamRecognize(iter([first, service_pb2.StreamRecognizeRequest(audio=large)]))
        ),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as raised:
            call()
        assert raised.value.code() is Code.INVALID_ARGUMENT
        assert "in pieces of 4194304 bytes" in raised.value.details()


def test_parts_come_while_the_recording_is_sent(stub: Stub, speech: np.ndarray) -> None:
    data = file_of(np.resize(speech, 70 * RATE))
    sent = 0
    heard = threading.Event()

    def sending() -> Iterator[service_pb2.RecognizeRecordingRequest]:
        nonlocal sent
        yield config_first(EVERYTHING)
        for piece in pieces(data, RATE):
            # Beyond its first half it is sent when its first part has come.
            if sent > len(data) / 2:
                assert heard.wait(60)
            yield piece
            sent += len(piece.audio)

    replies = stub.RecognizeRecording(sending())
    first = next(replies)
    assert sent < len(data)
    heard.set()
    assert first.part.segment.end_offset.ToSeconds() == 29
    assert list(replies)[-1].WhichOneof("response") == "result"


@pytest.mark.parametrize("seconds", [2, 32])
def test_each_channel_is_what_it_is_alone(stub: Stub, speech: np.ndarray, seconds: int) -> None:
    left = np.resize(speech, seconds * RATE)
    right = np.resize(speech[::-1], seconds * RATE)
    data = file_of(np.stack([left, right], axis=1))
    config = recognition_pb2.RecognitionConfig(channels=SEPARATE)
    config.MergeFrom(EVERYTHING)
    alone = [
        stub.Recognize(service_pb2.RecognizeRequest(config=EVERYTHING, audio=file_of(channel)))
        for channel in (left, right)
    ]
    whole = stub.Recognize(service_pb2.RecognizeRequest(config=config, audio=data))
    parts, result = recognized(stub, data, config)
    runtime = load().recognize(data, per_channel=True)
    for reply in (whole, result):
        assert not reply.HasField("result")
        assert not reply.HasField("embedding")
        assert codes(reply.warnings) == set()
        assert [channel.channel for channel in reply.channel_results] == [0, 1]
        for channel, expected in zip(reply.channel_results, alone, strict=True):
            assert probabilities(channel.result) == pytest.approx(
                probabilities(expected.result), abs=1e-5
            )
            assert codes(channel.warnings) == codes(expected.warnings)
    for number, expected in enumerate(alone):
        own = [part for part in parts if part.channel == number]
        frames = [value for part in own for value in part.frames.probabilities]
        np.testing.assert_allclose(frames, expected.frames.probabilities, atol=1e-5)
        emotion = runtime.channels[number].emotion
        assert emotion is not None
        assert emotion.probabilities == pytest.approx(probabilities(expected.result), abs=1e-5)
    mixed = stub.Recognize(service_pb2.RecognizeRequest(audio=data))
    assert {"CHANNELS_DIFFER", "DOWNMIXED"} <= codes(mixed.warnings)


def test_channels_that_cancel_each_other_are_told(stub: Stub, speech: np.ndarray) -> None:
    stereo = np.stack([speech, -speech], axis=1)[: 3 * RATE]
    reply = stub.Recognize(service_pb2.RecognizeRequest(audio=file_of(stereo)))
    assert "CHANNELS_DIFFER" in codes(reply.warnings)
    assert any("cancel each other" in warning.message for warning in reply.warnings)


@pytest.mark.parametrize("noise", [0, 20], ids=["digital silence", "faint noise"])
def test_silence_behind_speech_is_told_and_can_be_left_out(
    stub: Stub, examples: list[Path], noise: int
) -> None:
    angry = soundfile.read(examples[0], dtype="int16")[0]
    assert examples[0].stem == "angry"
    silence = np.random.default_rng(0).integers(-noise, noise + 1, 5 * RATE).astype(np.int16)
    data = file_of(np.concatenate([angry, silence]))
    plain = stub.Recognize(service_pb2.RecognizeRequest(config=EVERYTHING, audio=data))
    (told,) = [warning for warning in plain.warnings if warning.silent_share]
    assert told.code == recognition_pb2.WARNING_CODE_MOSTLY_SILENT
    assert told.silent_share == pytest.approx(5 / (5 + len(angry) / RATE), abs=0.05)
    config = recognition_pb2.RecognitionConfig(speech_only=True)
    config.MergeFrom(EVERYTHING)
    whole = stub.Recognize(service_pb2.RecognizeRequest(config=config, audio=data))
    parts, result = recognized(stub, data, config)
    (final,) = finals(stub, data, config)
    runtime: Result = load().recognize(data, speech_only=True)
    assert plain.result.label != "angry"
    assert whole.result.label == "angry"
    assert whole.frames == plain.frames
    assert list(parts[0].frames.probabilities) == list(plain.frames.probabilities)
    assert runtime.emotion is not None
    for other in (
        probabilities(result.result),
        probabilities(final.result),
        runtime.emotion.probabilities,
    ):
        assert other == pytest.approx(probabilities(whole.result), abs=1e-5)


def finals(
    stub: Stub,
    data: bytes,
    config: recognition_pb2.RecognitionConfig | None = None,
    audio: audio_pb2.AudioConfig | None = None,
) -> list[service_pb2.FinalResult]:
    """The final results of a stream of these bytes."""
    first = service_pb2.StreamRecognizeRequest(
        config=service_pb2.StreamConfig(config=config, audio_config=audio)
    )
    chunks = [
        service_pb2.StreamRecognizeRequest(audio=data[start : start + 3000])
        for start in range(0, len(data), 3000)
    ]
    events = stub.StreamRecognize(iter([first, *chunks]))
    return [event.final for event in events if event.HasField("final")]


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "FLOAT"), ("FLAC", None), ("OGG", "OPUS")])
def test_any_container_may_be_streamed(
    stub: Stub, speech: np.ndarray, kind: str, subtype: str | None
) -> None:
    data = file_of(speech[: 5 * RATE], kind, subtype)
    expected = stub.Recognize(service_pb2.RecognizeRequest(audio=data))
    (final,) = finals(stub, data)
    assert probabilities(final.result) == pytest.approx(probabilities(expected.result), abs=1e-5)


def test_a_container_as_raw_samples_is_named(stub: Stub, speech: np.ndarray) -> None:
    raw = audio_pb2.AudioConfig(
        encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000
    )
    data = file_of(speech[:RATE])
    first = config_first(EVERYTHING, raw)
    calls: list[Callable[[], object]] = [
        lambda: finals(stub, data, audio=raw),
        lambda: list(stub.RecognizeRecording(iter([first, *pieces(data, 999)]))),
        lambda: stub.Recognize(service_pb2.RecognizeRequest(audio=data, audio_config=raw)),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as raised:
            call()
        assert raised.value.code() is Code.INVALID_ARGUMENT
        assert "WAV" in raised.value.details()


@pytest.mark.parametrize("loudness", [32768.0, 1e-4])
def test_processed_audio_is_what_the_model_heard(
    stub: Stub, speech: np.ndarray, loudness: float
) -> None:
    floats = (speech[: 4 * RATE] / 32768 * loudness).astype(np.float32)
    data = file_of(floats, "WAV", "FLOAT")
    reply = stub.Recognize(service_pb2.RecognizeRequest(config=EVERYTHING, audio=data))
    (final,) = finals(stub, data, EVERYTHING)
    for heard in (reply, final):
        back = np.frombuffer(heard.processed_audio, "<i2") / 32768 * heard.processed_audio_scale
        np.testing.assert_allclose(back, floats, atol=1e-4 * loudness)
    again = stub.Recognize(
        service_pb2.RecognizeRequest(audio=file_of(back.astype(np.float32), "WAV", "FLOAT"))
    )
    assert probabilities(again.result) == pytest.approx(probabilities(reply.result), abs=2e-3)


def test_what_is_lost_is_said_in_numbers(stub: Stub, speech: np.ndarray) -> None:
    data = file_of(speech[: 8 * RATE])
    data = data[: len(data) // 2]
    _, result = recognized(stub, data, EVERYTHING)
    for reply in (
        stub.Recognize(service_pb2.RecognizeRequest(audio=data)),
        result,
        *finals(stub, data),
    ):
        (lost,) = [warning for warning in reply.warnings if warning.HasField("loss")]
        assert lost.code == recognition_pb2.WARNING_CODE_TRUNCATED
        assert lost.loss.stated_duration.ToSeconds() == 8
        assert lost.loss.heard_duration.ToMilliseconds() == pytest.approx(4000, abs=10)


class OpenCall:
    """A recording that goes on as long as we want."""

    def __init__(self, stub: Stub) -> None:
        self._queue: queue.Queue[service_pb2.RecognizeRecordingRequest | None] = queue.Queue()
        self._queue.put(config_first(EVERYTHING))
        self.replies = stub.RecognizeRecording(iter(self._queue.get, None))

    def send(self, data: bytes) -> None:
        self._queue.put(service_pb2.RecognizeRecordingRequest(audio=data))

    def error(self) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as raised:
            list(self.replies)
        self._queue.put(None)
        return raised.value


def test_recordings_end_where_they_must(
    start: Callable[..., RunningServer], speech: np.ndarray
) -> None:
    server = start(
        *("--max-recording-seconds", "60", "--max-recordings", "3"),
        *("--stream-idle-seconds", "2", "--drain-seconds", "3", "--max-audio-seconds", "2"),
    )
    minute = file_of(np.resize(speech, 65 * RATE))
    with server.channel() as channel:
        stub = Stub(channel)
        # One caller has its share of the places and no more; who cancels gives his back.
        calls = [OpenCall(stub) for _ in range(3)]
        for call in calls[:2]:
            call.send(minute[: 40 * 2 * RATE])
            assert next(call.replies).HasField("part")
        error = calls[2].error()
        assert error.code() in (Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED)
        calls[0].replies.cancel()
        # Nothing came for long.
        error = calls[1].error()
        assert error.code() is Code.DEADLINE_EXCEEDED
        assert "nothing came for 2 s" in error.details()
        # Longer than may be: with the setting, and without another try.
        call = OpenCall(stub)
        call.send(minute)
        error = call.error()
        assert error.code() is Code.RESOURCE_EXHAUSTED
        assert "--max-recording-seconds" in error.details()
        # A small file of audio that is too long for Recognize.
        with pytest.raises(grpc.RpcError) as raised:
            stub.Recognize(service_pb2.RecognizeRequest(audio=file_of(speech[: 3 * RATE])))
        assert raised.value.code() is Code.RESOURCE_EXHAUSTED
        assert "--max-audio-seconds" in raised.value.details()
        assert "RecognizeRecording" in raised.value.details()
        with Client(server.address) as client:
            found = client.recognize(file_of(speech[: 3 * RATE]))
        assert found.metadata.audio_duration == 3
        # Without a config, or with two.
        for messages in ([*pieces(b"x", 1)], [config_first(EVERYTHING)] * 2, []):
            with pytest.raises(grpc.RpcError) as raised:
                list(stub.RecognizeRecording(iter(messages)))
            assert raised.value.code() is Code.INVALID_ARGUMENT
            assert "config" in raised.value.details()
        # What can't be finished before the server stops is told where to go.
        call = OpenCall(stub)
        call.send(minute[: 40 * 2 * RATE])
        assert next(call.replies).HasField("part")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        end = time.monotonic() + 60
        while stopping.is_alive() and time.monotonic() < end:
            call.send(minute[100:200])
            time.sleep(0.2)
            if call.replies.done():
                break
        error = call.error()
        assert error.code() is Code.UNAVAILABLE
        assert "another one" in error.details()
        stopping.join()


def test_the_client_sends_what_is_long_in_pieces(
    demo_server: RunningServer, speech: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "long.wav"
    stereo = np.stack([np.resize(speech, 70 * RATE)] * 2, axis=1)
    path.write_bytes(file_of(stereo))
    parts: list[RecordingPart] = []
    with Client(demo_server.address) as client:
        found = client.recognize(
            path, frames=True, embedding=True, processed_audio=True, progress=parts.append
        )
        apart = client.recognize(path, per_channel=True, speech_only=True)
    expected = load().recognize(path)
    assert found.emotion is not None
    assert expected.emotion is not None
    assert [part.segment.end for part in parts] == [part.end for part in expected.segments]
    assert [segment.end for segment in found.segments] == [one.end for one in expected.segments]
    assert [score.probability for score in found.emotion.scores] == pytest.approx(
        expected.emotion.probabilities, abs=1e-4
    )
    assert found.frames is not None
    assert expected.frames is not None
    np.testing.assert_allclose(found.frames.probabilities, expected.frames, atol=1e-4)
    assert found.processed_audio is not None
    assert len(found.processed_audio) == 70 * RATE
    assert [len(channel.segments) for channel in apart.channels] == [3, 3]
    with Client(demo_server.address) as client:
        *heard, result = client.recognize_recording(path, frames=True)
    assert all(isinstance(part, RecordingPart) for part in heard)
    assert result.frames is None
