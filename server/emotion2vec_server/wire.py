"""Protobuf messages from domain objects, and back. Pure translation: no policy, no I/O."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from emotion2vec.v1 import audio_pb2, models_pb2, recognition_pb2, service_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from emotion2vec_server.advice import Advice, Code
from emotion2vec_server.audio import AudioSpec, Encoding, Samples
from emotion2vec_server.bundle import Manifest
from emotion2vec_server.emotion import Classes, Emotion
from emotion2vec_server.errors import InvalidRequestError
from emotion2vec_server.recognizer import Recognition, Recognizer

Floats = NDArray[np.float32]
M = TypeVar("M", bound=Message)

_ENCODINGS = {
    audio_pb2.AUDIO_ENCODING_UNSPECIFIED: Encoding.DETECT,
    audio_pb2.AUDIO_ENCODING_WAV: Encoding.WAV,
    audio_pb2.AUDIO_ENCODING_FLAC: Encoding.FLAC,
    audio_pb2.AUDIO_ENCODING_MP3: Encoding.MP3,
    audio_pb2.AUDIO_ENCODING_OGG: Encoding.OGG,
    audio_pb2.AUDIO_ENCODING_M4A: Encoding.M4A,
    audio_pb2.AUDIO_ENCODING_LINEAR16: Encoding.LINEAR16,
    audio_pb2.AUDIO_ENCODING_FLOAT32: Encoding.FLOAT32,
    audio_pb2.AUDIO_ENCODING_MULAW: Encoding.MULAW,
    audio_pb2.AUDIO_ENCODING_ALAW: Encoding.ALAW,
}
_GRANULARITIES = frozenset(recognition_pb2.Granularity.values())
_WARNING_CODES: dict[Code, recognition_pb2.WarningCode] = {
    code: getattr(recognition_pb2, f"WARNING_CODE_{code.value}") for code in Code
}


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller wants to know of the audio."""

    classes: Classes
    frames: bool
    embedding: bool
    frame_embeddings: bool
    processed_audio: bool


def parse(kind: type[M], data: bytes) -> M:
    """A message of this kind.

    Raises:
        InvalidRequestError: the bytes are none.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InvalidRequestError(
            "", f"the request is no {kind.DESCRIPTOR.name}; use the .proto files of this server"
        ) from error


def read_query(
    config: recognition_pb2.RecognitionConfig,
    manifest: Manifest,
    classes: Classes,
    *,
    default: recognition_pb2.Granularity = recognition_pb2.GRANULARITY_UTTERANCE,
) -> Query:
    """The query of a RecognitionConfig.

    Args:
        config: as the caller sent it.
        manifest: of the model.
        classes: all of the model's.
        default: the granularity of a caller who names none.

    Raises:
        InvalidRequestError: an enum value or a label that does not exist, or frame scores of a
            model that has no classifier.
    """
    if config.granularity not in _GRANULARITIES:
        raise InvalidRequestError(
            "config.granularity",
            f"unknown granularity {config.granularity}; use GRANULARITY_UTTERANCE or "
            "GRANULARITY_FRAME",
        )
    granularity = config.granularity or default
    frames = granularity == recognition_pb2.GRANULARITY_FRAME
    if config.granularity and frames and not manifest.labels:
        raise InvalidRequestError(
            "config.granularity",
            f"model {manifest.name} has no classifier and so no frame scores; "
            "ask for return_frame_embeddings",
        )
    return Query(
        classes=Classes(manifest.labels, config.allowed_labels)
        if config.allowed_labels
        else classes,
        frames=frames and bool(manifest.labels),
        # Without a classifier the embedding is the only result there is.
        embedding=config.return_embedding or not manifest.labels,
        frame_embeddings=config.return_frame_embeddings,
        processed_audio=config.return_processed_audio,
    )


def read_audio_spec(config: audio_pb2.AudioConfig) -> AudioSpec:
    """The audio's description.

    Raises:
        InvalidRequestError: an encoding that does not exist, or values that contradict it.
    """
    if config.encoding not in _ENCODINGS:
        raise InvalidRequestError(
            "audio_config.encoding",
            f"unknown encoding {config.encoding}; see AudioEncoding, or leave it unset to detect",
        )
    return AudioSpec(
        _ENCODINGS[config.encoding],
        sample_rate=config.sample_rate_hertz or None,
        channels=config.channel_count or 1,
    )


def seconds(message: Message, field: str) -> float | None:
    """A Duration field in seconds; None where it is not set."""
    if not message.HasField(field):
        return None
    value: Duration = getattr(message, field)
    return value.seconds + value.nanos * 1e-9


def duration(seconds: float) -> Duration:
    """A Duration of 0 or more seconds, to the nanosecond."""
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(seconds=whole, nanos=nanos)


def emotion_result(emotion: Emotion) -> recognition_pb2.EmotionResult:
    scores = [
        recognition_pb2.EmotionScore(
            label=label.name, native_label=label.native_name, probability=probability
        )
        for label, probability in zip(emotion.classes.labels, emotion.probabilities, strict=True)
    ]
    return recognition_pb2.EmotionResult(
        label=emotion.label,
        confidence=emotion.confidence,
        scores=scores,
        margin=emotion.margin,
        entropy=emotion.entropy,
    )


def frame_scores(
    probabilities: Floats,
    classes: Classes,
    manifest: Manifest,
    *,
    first_frame: int = 0,
    start_seconds: float = 0.0,
    is_final: bool = True,
) -> recognition_pb2.FrameScores:
    """Scores [T, C] of consecutive frames, the first of which begins at `start_seconds`."""
    message = recognition_pb2.FrameScores(
        labels=classes.names,
        first_frame_index=first_frame,
        start_offset=duration(start_seconds),
        frame_hop=duration(manifest.frame_hop / manifest.sample_rate),
        frame_count=len(probabilities),
        is_final=is_final,
    )
    _merge_floats(message, "probabilities", probabilities)
    return message


def embedding(values: Floats) -> recognition_pb2.Embedding:
    """An embedding [D], or one a frame [T, D]."""
    message = recognition_pb2.Embedding(shape=values.shape)
    _merge_floats(message, "values", values)
    return message


def segment(start: float, end: float, emotion: Emotion) -> recognition_pb2.Segment:
    """One window of long audio; `start` and `end` in seconds."""
    return recognition_pb2.Segment(
        start_offset=duration(start), end_offset=duration(end), result=emotion_result(emotion)
    )


def warnings(advice: Iterable[Advice]) -> list[recognition_pb2.Warning]:
    return [
        recognition_pb2.Warning(code=_WARNING_CODES[code], message=message)
        for code, message in advice
    ]


def linear16(samples: Samples) -> bytes:
    """Samples as 16-bit little-endian PCM, clipped at full scale."""
    if samples.dtype == np.int16:
        return samples.astype("<i2", copy=False).tobytes()
    scaled = np.clip(np.rint(samples * 32768.0), -32768, 32767)
    return bytes(scaled.astype("<i2").data)


def fill_result(
    reply: service_pb2.RecognizeResponse | service_pb2.FinalResult,
    recognition: Recognition,
    emotion: Emotion | None,
    query: Query,
    manifest: Manifest,
    start_sample: int = 0,
) -> None:
    """Sets what both replies have: result, embeddings and segments.

    `start_sample` is where in its stream the audio begins.
    """
    if emotion is not None:
        reply.result.CopyFrom(emotion_result(emotion))
    if query.embedding:
        reply.embedding.CopyFrom(embedding(recognition.embedding))
    if query.frame_embeddings and recognition.frame_embeddings is not None:
        reply.frame_embeddings.CopyFrom(embedding(recognition.frame_embeddings))
    rate = manifest.sample_rate
    reply.segments.extend(
        segment(
            (start_sample + part.start) / rate,
            (start_sample + part.stop) / rate,
            query.classes.emotion(part.logits),
        )
        for part in recognition.segments
    )


def metadata(
    model: Recognizer,
    recognition: Recognition | None,
    *,
    audio_seconds: float,
    decode_seconds: float,
) -> recognition_pb2.ResponseMetadata:
    """What the reply says of itself; without a recognition, no model ran."""
    return recognition_pb2.ResponseMetadata(
        model=model.manifest.name,
        model_version=model.manifest.version,
        precision=model.precision,
        provider=model.provider,
        audio_duration=duration(audio_seconds),
        decode_duration=duration(decode_seconds),
        queue_duration=duration(recognition.queue_seconds if recognition else 0.0),
        inference_duration=duration(recognition.run_seconds if recognition else 0.0),
        batch_size=recognition.batch_size if recognition else 0,
    )


def model_message(
    model: Recognizer, *, is_default: bool, max_audio_seconds: float
) -> models_pb2.Model:
    """A model's description."""
    manifest = model.manifest
    rate = manifest.sample_rate
    return models_pb2.Model(
        name=manifest.name,
        version=manifest.version,
        source=manifest.source,
        is_default=is_default,
        is_demo=manifest.demo,
        labels=[
            models_pb2.Label(name=label.name, native_name=label.native_name)
            for label in manifest.labels
        ],
        embedding_size=manifest.embedding_size,
        sample_rate_hertz=rate,
        frame_hop=duration(manifest.frame_hop / rate),
        frame_field=duration(manifest.frame_field / rate),
        max_window=duration(model.max_window / rate),
        max_audio_duration=duration(max_audio_seconds),
        precision=model.precision,
        provider=model.provider,
    )


def _merge_floats(message: Message, field: str, values: Floats) -> None:
    """Sets a packed repeated float field in one copy.

    `extend` makes a Python float of every value, which takes 100 ms for a million of them. Packed
    floats are little-endian on the wire, as in memory here, so the array is parsed as a message:
    tag, byte count, values (protobuf.dev/programming-guides/encoding/#packed).
    """
    if sys.byteorder != "little":
        getattr(message, field).extend(values.ravel().tolist())
        return
    number = message.DESCRIPTOR.fields_by_name[field].number
    content = np.ascontiguousarray(values, dtype=np.float32).tobytes()
    message.MergeFromString(_varint(number << 3 | 2) + _varint(len(content)) + content)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
