"""Recognize, as a caller meets it."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import grpc
import numpy as np
import pytest
import soundfile
from emotion2vec.v1 import audio_pb2, models_pb2, recognition_pb2, service_pb2, service_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.e2e.conftest import RunningServer

Stub = service_pb2_grpc.EmotionRecognitionServiceStub
LINEAR16 = audio_pb2.AudioConfig(
    encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16000
)
FLOAT32 = audio_pb2.AudioConfig(encoding=audio_pb2.AUDIO_ENCODING_FLOAT32, sample_rate_hertz=16000)


def speech(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 16000
    return samples


def request(samples: np.ndarray, **config: object) -> service_pb2.RecognizeRequest:
    return service_pb2.RecognizeRequest(
        config=recognition_pb2.RecognitionConfig(**config),  # type: ignore[arg-type]
        audio_config=LINEAR16,
        audio=samples.astype("<i2").tobytes(),
    )


def probabilities(reply: service_pb2.RecognizeResponse) -> np.ndarray:
    return np.array([score.probability for score in reply.result.scores])


def test_a_reply_has_all_that_was_asked_for(stub: Stub, examples: list[Path]) -> None:
    samples = speech(examples[0])
    asked = request(
        samples,
        granularity=recognition_pb2.GRANULARITY_FRAME,
        return_embedding=True,
        return_frame_embeddings=True,
        return_processed_audio=True,
    )
    asked.request_id = "mine"
    reply = stub.Recognize(asked)
    frames = (len(samples) - 400) // 320 + 1
    model = stub.GetModel(service_pb2.GetModelRequest()).model
    assert reply.request_id == "mine"
    assert probabilities(reply).sum() == pytest.approx(1.0, abs=1e-5)
    assert reply.result.confidence == pytest.approx(probabilities(reply).max())
    assert [score.label for score in reply.result.scores] == [label.name for label in model.labels]
    assert reply.frames.frame_count == frames
    assert len(reply.frames.probabilities) == frames * len(model.labels)
    assert list(reply.embedding.shape) == [model.embedding_size]
    assert list(reply.frame_embeddings.shape) == [frames, model.embedding_size]
    np.testing.assert_allclose(
        np.reshape(reply.frame_embeddings.values, (frames, -1)).mean(axis=0),
        reply.embedding.values,
        atol=1e-4,
    )
    assert reply.processed_audio == samples.tobytes()
    assert reply.metadata.audio_duration.ToTimedelta().total_seconds() == pytest.approx(
        len(samples) / 16000
    )
    assert reply.metadata.model_version == model.version
    assert reply.metadata.batch_size >= 1
    assert reply.metadata.server_version == version("emotion2vec-server")
    assert (reply.metadata.sample_rate_hertz, reply.metadata.channel_count) == (16000, 1)


def test_nothing_is_sent_that_was_not_asked_for(stub: Stub, examples: list[Path]) -> None:
    reply = stub.Recognize(request(speech(examples[0])))
    absent = ("frames", "embedding", "frame_embeddings")
    assert not any(reply.HasField(field) for field in absent)
    assert not reply.processed_audio
    assert not reply.segments


def test_the_utterance_is_the_softmax_of_the_mean_of_its_frame_logits(
    stub: Stub, examples: list[Path]
) -> None:
    reply = stub.Recognize(
        request(speech(examples[1]), granularity=recognition_pb2.GRANULARITY_FRAME)
    )
    frames = np.reshape(reply.frames.probabilities, (reply.frames.frame_count, -1))
    # Log probabilities are logits less a constant of each frame, which the softmax removes.
    mean = np.log(frames.astype(np.float64)).mean(axis=0)
    expected = np.exp(mean - mean.max())
    np.testing.assert_allclose(probabilities(reply), expected / expected.sum(), atol=1e-4)


def test_results_do_not_depend_on_the_company(stub: Stub, examples: list[Path]) -> None:
    random = np.random.default_rng(0)
    whole = np.concatenate([speech(path) for path in examples])
    clips = []
    for _ in range(150):
        length = int(random.uniform(400, 6 * 16000))
        start = int(random.integers(0, len(whole) - length))
        clips.append(request(whole[start : start + length]))
    alone = [stub.Recognize(clip) for clip in clips]
    with ThreadPoolExecutor(32) as callers:
        together = list(callers.map(stub.Recognize, clips))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(probabilities(one), probabilities(other), atol=1e-4)
        assert one.result.label == other.result.label


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)],
)
def test_containers_are_detected(
    stub: Stub, examples: list[Path], container: str, subtype: str | None
) -> None:
    samples = speech(examples[0])
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format=container, subtype=subtype)
    reply = stub.Recognize(service_pb2.RecognizeRequest(audio=file.getvalue()))
    lossless = subtype in ("PCM_16", "FLOAT")
    expected = stub.Recognize(request(samples))
    np.testing.assert_allclose(
        probabilities(reply), probabilities(expected), atol=1e-4 if lossless else 0.5
    )


def test_allowed_labels(stub: Stub, examples: list[Path]) -> None:
    samples = speech(examples[0])
    everything = {s.label: s.probability for s in stub.Recognize(request(samples)).result.scores}
    some = stub.Recognize(request(samples, allowed_labels=["sad", "angry"])).result
    total = everything["angry"] + everything["sad"]
    assert [score.label for score in some.scores] == ["angry", "sad"]
    assert some.scores[0].probability == pytest.approx(everything["angry"] / total, abs=1e-3)


def test_long_audio_comes_in_segments(stub: Stub, examples: list[Path]) -> None:
    whole = np.concatenate([speech(path) for path in examples])
    samples = np.resize(whole, 70 * 16000)
    reply = stub.Recognize(request(samples, granularity=recognition_pb2.GRANULARITY_FRAME))
    assert reply.frames.frame_count == (len(samples) - 400) // 320 + 1
    starts = [part.start_offset.ToTimedelta().total_seconds() for part in reply.segments]
    ends = [part.end_offset.ToTimedelta().total_seconds() for part in reply.segments]
    assert len(starts) >= 3
    assert starts[0] == 0
    assert starts[1:] == ends[:-1]
    assert ends[-1] == pytest.approx(70, abs=0.02)
    assert recognition_pb2.WARNING_CODE_TOO_LONG in {w.code for w in reply.warnings}


def warned(stub: Stub, samples: np.ndarray) -> set[int]:
    return {warning.code for warning in stub.Recognize(request(samples)).warnings}


def test_warnings(stub: Stub, examples: list[Path]) -> None:
    samples = speech(examples[0])
    assert recognition_pb2.WARNING_CODE_TOO_SHORT in warned(stub, samples[:8000])
    assert recognition_pb2.WARNING_CODE_SILENT in warned(stub, np.zeros(16000, np.int16))
    loud = np.clip(samples.astype(np.int32) * 50, -32768, 32767).astype(np.int16)
    assert recognition_pb2.WARNING_CODE_CLIPPED in warned(stub, loud)
    stereo = service_pb2.RecognizeRequest(
        audio_config=audio_pb2.AudioConfig(
            encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=8000, channel_count=2
        ),
        audio=samples[: len(samples) // 2 * 2].tobytes(),
    )
    codes = {warning.code for warning in stub.Recognize(stereo).warnings}
    assert {
        recognition_pb2.WARNING_CODE_UPSAMPLED,
        recognition_pb2.WARNING_CODE_DOWNMIXED,
    } <= codes


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(400, np.int16),
        np.full(16000, 12345, np.int16),
        np.resize(np.array([32767, -32768], np.int16), 16000),
        np.eye(1, 16000, dtype=np.int16)[0],
        np.random.default_rng(0).integers(-32768, 32767, 300 * 16000).astype(np.int16),
    ],
    ids=["25 ms of silence", "DC", "clipping", "one sample", "300 s of noise"],
)
def test_any_finite_input_gives_a_distribution(stub: Stub, samples: np.ndarray) -> None:
    found = probabilities(stub.Recognize(request(samples)))
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1.0, abs=1e-5)


def refused(call: object, message: object) -> tuple[grpc.StatusCode, str, list[object]]:
    """Status, text and details of a call that must fail."""
    with pytest.raises(grpc.RpcError) as raised:
        call(message)  # type: ignore[operator]
    error = raised.value
    details: list[object] = []
    status = rpc_status.from_call(error)
    for packed in status.details if status else []:
        for kind in (error_details_pb2.BadRequest, error_details_pb2.RetryInfo):
            if packed.Is(kind.DESCRIPTOR):
                detail = kind()
                packed.Unpack(detail)
                details.append(detail)
    return error.code(), error.details(), details


def audio(data: bytes, **config: object) -> service_pb2.RecognizeRequest:
    return service_pb2.RecognizeRequest(
        audio=data,
        audio_config=audio_pb2.AudioConfig(**config),  # type: ignore[arg-type]
    )


RAW = {"encoding": audio_pb2.AUDIO_ENCODING_LINEAR16, "sample_rate_hertz": 16000}
INVALID = [
    ("empty", audio(b""), "audio"),
    ("random bytes", audio(bytes(range(256)) * 20), "audio"),
    ("truncated header", audio(b"RIFF\x00\x00"), "audio"),
    ("1 sample", audio(bytes(2), **RAW), "audio"),
    ("399 samples", audio(bytes(798), **RAW), "audio"),
    ("odd byte count", audio(bytes(999), **RAW), "audio"),
    ("NaN", service_pb2.RecognizeRequest(
        audio=np.full(800, np.nan, "<f4").tobytes(), audio_config=FLOAT32), "audio"),
    ("infinity", service_pb2.RecognizeRequest(
        audio=np.full(800, np.inf, "<f4").tobytes(), audio_config=FLOAT32), "audio"),
    ("rate 0", audio(bytes(1600), encoding=RAW["encoding"]), "audio_config.sample_rate_hertz"),
    ("rate 7999", audio(bytes(1600), encoding=RAW["encoding"], sample_rate_hertz=7999),
     "audio_config.sample_rate_hertz"),
    ("9 channels", audio(bytes(18000), **RAW, channel_count=9), "audio_config.channel_count"),
    ("unknown encoding", audio(bytes(1600), encoding=99), "audio_config.encoding"),
    ("unknown granularity", service_pb2.RecognizeRequest(
        config=recognition_pb2.RecognitionConfig(granularity=99), audio=bytes(1600),  # type: ignore[arg-type]
        audio_config=LINEAR16), "config.granularity"),
    ("unknown label", service_pb2.RecognizeRequest(
        config=recognition_pb2.RecognitionConfig(allowed_labels=["joyful"]), audio=bytes(1600),
        audio_config=LINEAR16), "config.allowed_labels"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "field"), [case[1:] for case in INVALID], ids=[case[0] for case in INVALID]
)
def test_invalid_requests_name_the_field(
    stub: Stub, message: service_pb2.RecognizeRequest, field: str
) -> None:
    code, text, details = refused(stub.Recognize, message)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    (bad_request,) = details
    assert isinstance(bad_request, error_details_pb2.BadRequest)
    assert bad_request.field_violations[0].field == field
    assert bad_request.field_violations[0].description == text


def test_too_long_is_not_to_be_retried(stub: Stub) -> None:
    code, text, details = refused(stub.Recognize, audio(bytes(2 * 16000 * 301), **RAW))
    assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, [])
    assert "300" in text


def test_too_large_a_message(stub: Stub) -> None:
    code, _, details = refused(stub.Recognize, audio(bytes(17 * 2**20), **RAW))
    assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, [])


def test_an_unknown_model(stub: Stub) -> None:
    message = service_pb2.RecognizeRequest(
        config=recognition_pb2.RecognitionConfig(model="nobody"), audio=bytes(1600)
    )
    assert refused(stub.Recognize, message)[0] is grpc.StatusCode.NOT_FOUND
    assert (
        refused(stub.GetModel, service_pb2.GetModelRequest(name="nobody"))[0]
        is grpc.StatusCode.NOT_FOUND
    )


@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_what_an_error_quotes_is_not_too_long_for_its_caller(stub: Stub, letter: str) -> None:
    name = 100_000 * letter
    with pytest.raises(grpc.RpcError) as raised:
        stub.GetModel(service_pb2.GetModelRequest(name=name))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert letter * 100 in raised.value.details()
    assert len(raised.value.details()) < 400


def test_bytes_that_are_no_message(demo_server: RunningServer) -> None:
    with demo_server.channel() as channel:
        call = channel.unary_unary("/emotion2vec.v1.EmotionRecognitionService/Recognize")
        code, text, _ = refused(call, b"\xff\xff\xff")
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "RecognizeRequest" in text


def test_a_deadline_that_has_passed(stub: Stub, examples: list[Path]) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub.Recognize(request(speech(examples[0])), timeout=0.0)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_models(stub: Stub) -> None:
    (model,) = stub.ListModels(service_pb2.ListModelsRequest()).models
    assert isinstance(model, models_pb2.Model)
    assert model.is_default
    assert model.is_demo
    assert len(model.labels) == 9
    assert stub.GetModel(service_pb2.GetModelRequest(name=model.name)).model == model
