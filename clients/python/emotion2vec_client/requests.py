"""Arguments of a call -> protobuf. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emotion2vec.v1.recognition_pb2 import Granularity, RecognitionConfig
from emotion2vec.v1.service_pb2 import (
    EndUtterance as EndUtteranceMessage,
)
from emotion2vec.v1.service_pb2 import (
    RecognizeRequest,
    StreamConfig,
    StreamRecognizeRequest,
    VoiceActivityDetection,
)
from google.protobuf.duration_pb2 import Duration

from emotion2vec_client.audio import Payload, RawFormat, Samples
from emotion2vec_client.events import END_UTTERANCE, EndUtterance

Chunk = bytes | bytearray | memoryview | Samples | EndUtterance
"""One item of a stream: raw samples of any length, or END_UTTERANCE."""


def recognize_request(
    payload: Payload,
    *,
    frames: bool,
    embedding: bool,
    frame_embeddings: bool,
    processed_audio: bool,
    model: str,
    allowed_labels: Sequence[str],
    request_id: str,
) -> RecognizeRequest:
    config = _recognition_config(model, allowed_labels, embedding, frame_embeddings)
    config.return_processed_audio = processed_audio
    if frames:
        config.granularity = Granularity.GRANULARITY_FRAME
    return RecognizeRequest(
        request_id=request_id, config=config, audio_config=payload.config, audio=payload.data
    )


def stream_config(
    raw: RawFormat,
    *,
    window: float | None,
    hop: float | None,
    lookahead: float | None,
    interim: bool,
    voice_activity_detection: bool | None,
    embedding: bool,
    frame_embeddings: bool,
    model: str,
    allowed_labels: Sequence[str],
    request_id: str,
) -> StreamRecognizeRequest:
    config = StreamConfig(
        request_id=request_id,
        config=_recognition_config(model, allowed_labels, embedding, frame_embeddings),
        audio_config=raw.config,
        window=_duration(window),
        hop=_duration(hop),
        lookahead=_duration(lookahead),
        interim_results=interim,
        voice_activity_detection=_detection(voice_activity_detection),
    )
    return StreamRecognizeRequest(config=config)


def stream_messages(chunk: Chunk, raw: RawFormat) -> Iterator[StreamRecognizeRequest]:
    if chunk is END_UTTERANCE:
        yield StreamRecognizeRequest(end_utterance=EndUtteranceMessage())
        return
    for piece in raw.pieces(chunk):
        yield StreamRecognizeRequest(audio=piece)


def _recognition_config(
    model: str, allowed_labels: Sequence[str], embedding: bool, frame_embeddings: bool
) -> RecognitionConfig:
    if isinstance(allowed_labels, str):
        raise TypeError("allowed_labels must be a sequence of labels, not one string")
    return RecognitionConfig(
        model=model,
        return_embedding=embedding,
        return_frame_embeddings=frame_embeddings,
        allowed_labels=allowed_labels,
    )


def _detection(enabled: bool | None) -> VoiceActivityDetection:
    if enabled is None:
        return VoiceActivityDetection.VOICE_ACTIVITY_DETECTION_UNSPECIFIED
    if enabled:
        return VoiceActivityDetection.VOICE_ACTIVITY_DETECTION_ENABLED
    return VoiceActivityDetection.VOICE_ACTIVITY_DETECTION_DISABLED


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
