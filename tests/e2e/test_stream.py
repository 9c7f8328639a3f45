"""StreamRecognize, as a caller meets it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile
from emotion2vec.v1 import audio_pb2, recognition_pb2, service_pb2, service_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.e2e.conftest import start_server

Stub = service_pb2_grpc.EmotionRecognitionServiceStub
Request = service_pb2.StreamRecognizeRequest
Reply = service_pb2.StreamRecognizeResponse

LINEAR16 = audio_pb2.AudioConfig(
    encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16000
)
END = Request(end_utterance=service_pb2.EndUtterance())
INCREMENTAL = service_pb2.STREAM_MODE_INCREMENTAL
WINDOWED = service_pb2.STREAM_MODE_WINDOWED


@pytest.fixture(scope="module")
def speech(examples: list[Path]) -> bytes:
    """11 s of speech, 16-bit at 16 kHz."""
    whole = np.concatenate([soundfile.read(path, dtype="int16")[0] for path in examples])
    return np.resize(whole, 11 * 16000).tobytes()


def opening(**config: object) -> Request:
    return Request(config=service_pb2.StreamConfig(audio_config=LINEAR16, **config))  # type: ignore[arg-type]


def chunked(data: bytes, seed: int, largest: int) -> Iterator[Request]:
    random = np.random.default_rng(seed)
    while data:
        size = int(random.integers(1, largest + 1))
        yield Request(audio=data[:size])
        data = data[size:]


def converse(stub: Stub, *requests: Request) -> list[Reply]:
    return list(stub.StreamRecognize(iter(requests), timeout=120))


def of_kind(replies: list[Reply], kind: str) -> list[Reply]:
    return [reply for reply in replies if reply.WhichOneof("event") == kind]


def final_frames(replies: list[Reply], utterance: int = 0) -> list[recognition_pb2.FrameScores]:
    return [
        reply.frames
        for reply in of_kind(replies, "frames")
        if reply.frames.is_final and reply.utterance_index == utterance
    ]


def tiles(frames: list[recognition_pb2.FrameScores], samples: int) -> bool:
    """Whether the frames follow each other from 0 to the last one of so many samples."""
    expected = 0
    for part in frames:
        if part.first_frame_index != expected:
            return False
        expected += part.frame_count
    return expected == max(0, (samples - 400) // 320 + 1)


@pytest.mark.parametrize("mode", [INCREMENTAL, WINDOWED])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("largest", [97, 5_000, 320_000])
def test_frames_tile_and_the_final_equals_recognize(
    stub: Stub, speech: bytes, seed: int, largest: int, mode: service_pb2.StreamMode
) -> None:
    data = speech[: 2 * (50_000 + 777 * seed)]
    replies = converse(stub, opening(mode=mode), *chunked(data, seed, largest))
    assert replies[0].started.mode == mode
    assert [reply.sequence for reply in replies] == list(range(len(replies)))
    assert replies[0].WhichOneof("event") == "started"
    assert tiles(final_frames(replies), len(data) // 2)
    (final,) = of_kind(replies, "final")
    whole = stub.Recognize(service_pb2.RecognizeRequest(audio_config=LINEAR16, audio=data)).result
    np.testing.assert_allclose(
        [score.probability for score in final.final.result.scores],
        [score.probability for score in whole.scores],
        atol=1e-5,
    )


def test_steps_are_the_default_and_close_to_the_whole(stub: Stub, speech: bytes) -> None:
    whole = stub.Recognize(
        service_pb2.RecognizeRequest(
            config=recognition_pb2.RecognitionConfig(granularity=recognition_pb2.GRANULARITY_FRAME),
            audio_config=LINEAR16,
            audio=speech,
        )
    )
    expected = np.array(whole.frames.probabilities).reshape(whole.frames.frame_count, -1)

    def difference(**options: Any) -> float:
        replies = converse(stub, opening(**options), *chunked(speech, 0, 3_200))
        parts = [frames.probabilities for frames in final_frames(replies)]
        streamed = np.concatenate(parts).reshape(expected.shape)
        return float(np.abs(streamed - expected).max(axis=1).mean())

    assert difference() == difference(mode=INCREMENTAL)
    assert 0 < difference() < 0.15
    assert difference() != difference(mode=WINDOWED)
    # With a past and a lookahead as long as the whole, only the end is normalised otherwise.
    assert difference(window=duration(29), lookahead=duration(29)) < 2e-3


@pytest.mark.parametrize("mode", [INCREMENTAL, WINDOWED])
@pytest.mark.parametrize("speech_only", [False, True])
def test_a_streamed_final_is_the_mean_of_its_frames(
    stub: Stub, speech: bytes, mode: service_pb2.StreamMode, speech_only: bool
) -> None:
    silence = bytes(64_000)
    config = recognition_pb2.RecognitionConfig(
        allowed_labels=["angry", "sad", "happy"], speech_only=speech_only
    )
    wish = opening(config=config, final=service_pb2.FINAL_MODE_STREAMED, mode=mode)
    audio = (speech[:100_000], silence, END, silence, speech[100_000:200_000], silence)
    requests = [part if part is END else Request(audio=part) for part in audio]
    replies = converse(stub, wish, *requests)
    finals = [reply.final for reply in of_kind(replies, "final")]
    assert len(finals) == 2
    for utterance, final in enumerate(finals):
        parts = [frames.probabilities for frames in final_frames(replies, utterance)]
        logits = np.log(np.concatenate(parts).reshape(-1, 3))
        if speech_only:
            logits = logits[in_speech(replies, utterance, final, len(logits))]
        weights = np.exp(logits.mean(axis=0))
        found = [score.probability for score in final.result.scores]
        np.testing.assert_allclose(found, weights / weights.sum(), atol=1e-5)
        # The model did not run for it.
        assert final.metadata.batch_size == 0


def in_speech(
    replies: list[Reply], utterance: int, final: service_pb2.FinalResult, frames: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Of so many frames of an utterance, those that its speech events cover."""
    begin = final.start_offset.ToNanoseconds()
    speaks = np.zeros(frames, np.bool_)
    for reply in of_kind(replies, "speech"):
        if reply.utterance_index == utterance:
            first = round((reply.speech.offset.ToNanoseconds() - begin) / 20e6)
            speaks[first:] = reply.speech.type == service_pb2.SPEECH_EVENT_TYPE_START
    return speaks


def test_a_streamed_final_needs_no_frames_to_be_sent(stub: Stub, speech: bytes) -> None:
    finals = []
    for granularity in ("GRANULARITY_FRAME", "GRANULARITY_UTTERANCE"):
        config = recognition_pb2.RecognitionConfig(granularity=granularity)
        wish = opening(config=config, final=service_pb2.FINAL_MODE_STREAMED)
        replies = converse(stub, wish, Request(audio=speech))
        finals.append(of_kind(replies, "final")[0].final.result)
        assert bool(of_kind(replies, "frames")) == (granularity == "GRANULARITY_FRAME")
    assert finals[0] == finals[1]


@pytest.mark.parametrize("mode", [INCREMENTAL, WINDOWED])
def test_anger_that_lasts_is_told_while_it_does(
    stub: Stub, examples: list[Path], mode: service_pb2.StreamMode
) -> None:
    voices = {path.stem: soundfile.read(path, dtype="int16")[0] for path in examples}
    angry, happy = (np.resize(voices[name], 80_000) for name in ("angry", "happy"))
    audio = np.concatenate([happy, angry, happy]).tobytes()
    wish = opening(mode=mode, alerts=service_pb2.AlertRule(labels=["angry"], probability=0.6))
    replies = converse(stub, wish, *chunked(audio, 0, 5_000))
    begun, ended = (reply.alert for reply in of_kind(replies, "alert"))
    assert (begun.has_ended, ended.has_ended) == (False, True)
    assert begun.label == ended.label == "angry"
    start, lasted, end = (
        offset.ToMilliseconds()
        for offset in (begun.start_offset, begun.end_offset, ended.end_offset)
    )
    assert lasted - start == 2_000
    assert ended.start_offset == begun.start_offset
    assert 4_000 <= start <= 6_500
    assert 9_000 <= end <= 11_500
    assert ended.probability > 0.6
    # It was told when it had lasted, not at the end.
    place = next(n for n, reply in enumerate(replies) if reply.WhichOneof("event") == "alert")
    later = [reply.frames for reply in replies[place:] if reply.WhichOneof("event") == "frames"]
    assert sum(frames.frame_count for frames in later) > 200


def test_no_alerts_unless_asked_for(stub: Stub, examples: list[Path]) -> None:
    angry = soundfile.read(next(path for path in examples if path.stem == "angry"), dtype="int16")
    replies = converse(stub, opening(), Request(audio=np.resize(angry[0], 80_000).tobytes()))
    assert not of_kind(replies, "alert")


def test_utterances_follow_each_other(stub: Stub, speech: bytes) -> None:
    first, second = speech[:64_000], speech[64_000:160_000]
    replies = converse(stub, opening(), Request(audio=first), END, END, Request(audio=second), END)
    finals = of_kind(replies, "final")
    assert [reply.utterance_index for reply in finals] == [0, 1]
    assert finals[1].final.start_offset == finals[0].final.end_offset
    for index, data in enumerate((first, second)):
        assert tiles(final_frames(replies, index), len(data) // 2)
        whole = stub.Recognize(
            service_pb2.RecognizeRequest(audio_config=LINEAR16, audio=data)
        ).result
        assert finals[index].final.result.label == whole.label


def test_long_utterances_come_in_segments(stub: Stub, speech: bytes) -> None:
    data = speech * 6
    replies = converse(stub, opening(), *chunked(data, 0, 200_000))
    assert tiles(final_frames(replies), len(data) // 2)
    (final,) = of_kind(replies, "final")
    assert len(final.final.segments) >= 3


def test_interim_results(stub: Stub, speech: bytes) -> None:
    replies = converse(stub, opening(interim_results=True), Request(audio=speech))
    interims = of_kind(replies, "interim")
    ends = [reply.interim.end_offset.ToNanoseconds() for reply in interims]
    assert len(interims) >= 5
    assert ends == sorted(ends)
    assert all(reply.interim.result.label for reply in interims)


def test_utterance_granularity_sends_no_frames(stub: Stub, speech: bytes) -> None:
    config = recognition_pb2.RecognitionConfig(
        granularity=recognition_pb2.GRANULARITY_UTTERANCE,
        return_embedding=True,
        return_processed_audio=True,
    )
    replies = converse(stub, opening(config=config), Request(audio=speech))
    assert not of_kind(replies, "frames")
    (final,) = of_kind(replies, "final")
    assert final.final.processed_audio == speech
    assert len(final.final.embedding.values) == final.final.embedding.shape[0]


def test_silence_is_said_to_be_silence(stub: Stub) -> None:
    replies = converse(stub, opening(interim_results=True), Request(audio=bytes(160_000)))
    assert not of_kind(replies, "interim")
    assert not of_kind(replies, "speech")
    (final,) = of_kind(replies, "final")
    assert recognition_pb2.WARNING_CODE_SILENT in {w.code for w in final.final.warnings}


def test_speech_is_announced(stub: Stub, speech: bytes) -> None:
    silence = bytes(64_000)
    replies = converse(
        stub, opening(), *(Request(audio=part) for part in (silence, speech[:96_000], silence))
    )
    kinds = [reply.speech.type for reply in of_kind(replies, "speech")]
    assert kinds[0] == service_pb2.SPEECH_EVENT_TYPE_START
    assert kinds[-1] == service_pb2.SPEECH_EVENT_TYPE_END
    begin = of_kind(replies, "speech")[0].speech.offset.ToMilliseconds()
    assert 1_500 <= begin <= 2_700


def test_a_stream_without_audio_has_no_final(stub: Stub) -> None:
    assert len(converse(stub, Request(config=service_pb2.StreamConfig()))) == 1
    replies = converse(stub, opening())
    assert [reply.WhichOneof("event") for reply in replies] == ["started"]


def test_too_short_an_utterance(stub: Stub) -> None:
    (final,) = of_kind(converse(stub, opening(), Request(audio=bytes(700))), "final")
    assert not final.final.HasField("result")
    assert recognition_pb2.WARNING_CODE_TOO_SHORT in {w.code for w in final.final.warnings}


def duration(seconds: float) -> dict[str, int]:
    return {"seconds": int(seconds), "nanos": round(seconds % 1 * 1e9)}


INVALID = [
    ("no config", [Request(audio=bytes(2))], "config"),
    ("nothing", [], "config"),
    ("two configs", [opening(), opening()], "config"),
    ("an empty message", [opening(), Request()], "request"),
    ("no container", [
        Request(config=service_pb2.StreamConfig()), Request(audio=bytes(range(256)) * 20)
    ], "audio"),
    ("half a sample", [opening(), Request(audio=bytes(1001))], "audio"),
    ("unknown label", [
        opening(config=recognition_pb2.RecognitionConfig(allowed_labels=["joyful"]))
    ], "config.config.allowed_labels"),
    ("window of 0 s", [opening(window=duration(0))], "config.window"),
    ("hop beyond the window", [opening(hop=duration(5), mode=WINDOWED)], "config.window"),
    ("no such mode", [opening(mode=9)], "config.mode"),
    ("no such final", [opening(final=9)], "config.final"),
    ("alerts of no such label", [
        opening(alerts=service_pb2.AlertRule(labels=["joyful"]))
    ], "config.alerts.labels"),
    ("alerts of a label that is not scored", [
        opening(
            alerts=service_pb2.AlertRule(),
            config=recognition_pb2.RecognitionConfig(allowed_labels=["happy", "sad"]),
        )
    ], "config.alerts.labels"),
    ("alerts of what is always so", [
        opening(alerts=service_pb2.AlertRule(probability=0.0))
    ], "config.alerts.probability"),
    ("alerts of no time", [
        opening(alerts=service_pb2.AlertRule(duration=duration(0)))
    ], "config.alerts.duration"),
    ("a streamed final with an embedding", [
        opening(
            final=service_pb2.FINAL_MODE_STREAMED,
            config=recognition_pb2.RecognitionConfig(return_embedding=True),
        )
    ], "config.final"),
    ("a streamed final of speech that is not looked for", [
        opening(
            final=service_pb2.FINAL_MODE_STREAMED,
            voice_activity_detection=service_pb2.VOICE_ACTIVITY_DETECTION_DISABLED,
            config=recognition_pb2.RecognitionConfig(speech_only=True),
        )
    ], "config.final"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("requests", "field"), [case[1:] for case in INVALID], ids=[case[0] for case in INVALID]
)
def test_invalid_streams_name_the_field(stub: Stub, requests: list[Request], field: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        converse(stub, *requests)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    detail = error_details_pb2.BadRequest()
    rpc_status.from_call(raised.value).details[0].Unpack(detail)
    assert detail.field_violations[0].field == field


def test_a_caller_who_does_not_read_gives_up_its_place(speech: bytes) -> None:
    server = start_server("--stream-idle-seconds", "2", "--max-streams", "1")
    config = opening(
        interim_results=True,
        config=recognition_pb2.RecognitionConfig(return_frame_embeddings=True),
    )

    def talk() -> Iterator[Request]:
        yield config
        for _ in range(200):
            yield Request(audio=speech)
            yield END

    with server.channel() as channel, server.channel() as other:
        deaf = service_pb2_grpc.EmotionRecognitionServiceStub(channel).StreamRecognize(talk())
        next(deaf)
        stub = service_pb2_grpc.EmotionRecognitionServiceStub(other)
        replies = next(filter(None, (_when_taken(stub, speech) for _ in range(200))))
        assert of_kind(replies, "final")
        with pytest.raises(grpc.RpcError) as raised:
            list(deaf)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.stop() == 0


def test_a_caller_who_sends_no_config_is_not_waited_for() -> None:
    server = start_server("--stream-idle-seconds", "1")
    silence = threading.Event()

    def say_nothing() -> Iterator[Request]:
        silence.wait()
        yield from ()

    with server.channel() as channel:
        stub = service_pb2_grpc.EmotionRecognitionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            next(stub.StreamRecognize(say_nothing(), timeout=30))
        silence.set()
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "no config came for 1 s" in raised.value.details()
    assert server.stop() == 0


def _when_taken(stub: Stub, speech: bytes) -> list[Reply] | None:
    """The replies to a stream; None, after a moment, where there is no place for it."""
    try:
        return converse(stub, opening(), Request(audio=speech))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        time.sleep(0.25)
        return None


def test_fifty_streams_at_once_and_some_cut(stub: Stub, speech: bytes) -> None:
    data = speech[:96_000]
    expected = stub.Recognize(service_pb2.RecognizeRequest(audio_config=LINEAR16, audio=data))

    def whole(seed: int) -> list[Reply]:
        return converse(stub, opening(), *chunked(data, seed, 9_600))

    def cut(seed: int) -> None:
        call = stub.StreamRecognize(iter([opening(), *chunked(data, seed, 9_600)]), timeout=120)
        for _ in range(int(np.random.default_rng(seed).integers(1, 6))):
            next(call)
        call.cancel()

    with ThreadPoolExecutor(60) as callers:
        cuts = [callers.submit(cut, seed) for seed in range(10)]
        streams = list(callers.map(whole, range(50)))
        for ended in cuts:
            ended.result()
    for replies in streams:
        assert tiles(final_frames(replies), len(data) // 2)
        (final,) = of_kind(replies, "final")
        np.testing.assert_allclose(
            [score.probability for score in final.final.result.scores],
            [score.probability for score in expected.result.scores],
            atol=1e-4,
        )
