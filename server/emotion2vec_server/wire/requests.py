"""Protobuf requests to what the use cases take. Pure translation: no policy, no I/O."""

from __future__ import annotations

from typing import TypeVar

from emotion2vec.v1 import audio_pb2, recognition_pb2, service_pb2
from emotion2vec_runtime.audio import AudioSpec, Encoding
from emotion2vec_runtime.errors import InvalidRequestError
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message

from emotion2vec_server.serving.config import Channels, Granularity, RecognitionConfig
from emotion2vec_server.serving.long_recordings import RecordingConfig, RecordingMessage
from emotion2vec_server.serving.recordings import RecordingRequest
from emotion2vec_server.serving.stream_config import AlertConfig, EndOfUtterance, StreamConfig
from emotion2vec_server.serving.streams import StreamRequest
from emotion2vec_server.streaming.reader import EndUtterance, KeepAlive

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
_CHANNELS = {
    recognition_pb2.CHANNELS_UNSPECIFIED: Channels.MIX,
    recognition_pb2.CHANNELS_MIX: Channels.MIX,
    recognition_pb2.CHANNELS_SEPARATE: Channels.SEPARATE,
}
_MOST_LABELS = 256
_GRANULARITIES = {
    recognition_pb2.GRANULARITY_UNSPECIFIED: None,
    recognition_pb2.GRANULARITY_UTTERANCE: Granularity.UTTERANCE,
    recognition_pb2.GRANULARITY_FRAME: Granularity.FRAME,
}
_STREAMED_FINAL = {
    service_pb2.FINAL_MODE_UNSPECIFIED: False,
    service_pb2.FINAL_MODE_WHOLE: False,
    service_pb2.FINAL_MODE_STREAMED: True,
}
_INCREMENTAL = {
    service_pb2.STREAM_MODE_UNSPECIFIED: None,
    service_pb2.STREAM_MODE_INCREMENTAL: True,
    service_pb2.STREAM_MODE_WINDOWED: False,
}


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


def recording_request(message: service_pb2.RecognizeRequest) -> RecordingRequest:
    """The request of a Recognize call.

    Raises:
        InvalidRequestError: an enum value that does not exist, or an audio_config that contradicts
            itself.
    """
    return RecordingRequest(
        message.request_id,
        recognition_config(message.config),
        audio_spec(message.audio_config),
        message.audio,
    )


def stream_request(message: service_pb2.StreamRecognizeRequest) -> StreamRequest:
    """One message of a StreamRecognize call.

    Raises:
        InvalidRequestError: it is empty, or its config has a value that does not exist.
    """
    match message.WhichOneof("request"):
        case "audio":
            return message.audio
        case "end_utterance":
            return EndUtterance()
        case "keep_alive":
            return KeepAlive()
        case "config":
            return _stream_config(message.config)
        case _:
            raise InvalidRequestError("request", "send audio, end_utterance or keep_alive")


def _stream_config(message: service_pb2.StreamConfig) -> StreamConfig:
    detection = message.voice_activity_detection
    if detection not in service_pb2.VoiceActivityDetection.values():
        raise InvalidRequestError("config.voice_activity_detection", f"unknown value {detection}")
    if message.mode not in _INCREMENTAL:
        raise InvalidRequestError("config.mode", f"unknown value {message.mode}")
    if message.final not in _STREAMED_FINAL:
        raise InvalidRequestError("config.final", f"unknown value {message.final}")
    config, audio = _first(message)
    return StreamConfig(
        message.request_id,
        config,
        audio,
        window=seconds(message, "window"),
        hop=seconds(message, "hop"),
        lookahead=seconds(message, "lookahead"),
        interim_results=message.interim_results,
        voice_activity_detection=detection != service_pb2.VOICE_ACTIVITY_DETECTION_DISABLED,
        incremental=_INCREMENTAL[message.mode],
        streamed_final=_STREAMED_FINAL[message.final],
        end_of_utterance=_end_of_utterance(message),
        alerts=_alerts(message),
    )


def _end_of_utterance(message: service_pb2.StreamConfig) -> EndOfUtterance | None:
    if not message.HasField("end_of_utterance"):
        return None
    ends = message.end_of_utterance
    return EndOfUtterance(seconds(ends, "silence"), seconds(ends, "longest"))


def _alerts(message: service_pb2.StreamConfig) -> AlertConfig | None:
    if not message.HasField("alerts"):
        return None
    rule = message.alerts
    if len(rule.labels) > _MOST_LABELS:
        raise InvalidRequestError(
            "config.alerts.labels", f"{len(rule.labels)} labels: name each that you want once"
        )
    probability = rule.probability if rule.HasField("probability") else None
    return AlertConfig(tuple(rule.labels), probability, seconds(rule, "duration"))


def recording_message(message: service_pb2.RecognizeRecordingRequest) -> RecordingMessage:
    """One message of a RecognizeRecording call.

    Raises:
        InvalidRequestError: it is empty, or its config has a value that does not exist.
    """
    match message.WhichOneof("request"):
        case "audio":
            return message.audio
        case "config":
            return RecordingConfig(message.config.request_id, *_first(message.config))
        case _:
            raise InvalidRequestError("request", "send the config, then audio")


def _first(
    message: service_pb2.StreamConfig | service_pb2.RecordingConfig,
) -> tuple[RecognitionConfig, AudioSpec]:
    """What the first messages of streams and recordings have in common."""
    try:
        return recognition_config(message.config), audio_spec(message.audio_config)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"config.{error.field}", str(error)) from error


def recognition_config(message: recognition_pb2.RecognitionConfig) -> RecognitionConfig:
    """What the caller asks for.

    Raises:
        InvalidRequestError: an enum value that does not exist, or labels without end.
    """
    if message.granularity not in _GRANULARITIES:
        raise InvalidRequestError(
            "config.granularity",
            f"unknown granularity {message.granularity}; use GRANULARITY_UTTERANCE or "
            "GRANULARITY_FRAME",
        )
    if message.channels not in _CHANNELS:
        raise InvalidRequestError(
            "config.channels",
            f"unknown value {message.channels}; use CHANNELS_MIX or CHANNELS_SEPARATE",
        )
    if len(message.allowed_labels) > _MOST_LABELS:
        raise InvalidRequestError(
            "config.allowed_labels",
            f"{len(message.allowed_labels)} labels: name each that you want once, "
            f"{_MOST_LABELS} at most",
        )
    return RecognitionConfig(
        model=message.model,
        granularity=_GRANULARITIES[message.granularity],
        return_embedding=message.return_embedding,
        return_frame_embeddings=message.return_frame_embeddings,
        return_processed_audio=message.return_processed_audio,
        allowed_labels=tuple(message.allowed_labels),
        channels=_CHANNELS[message.channels],
        speech_only=message.speech_only,
    )


def audio_spec(message: audio_pb2.AudioConfig) -> AudioSpec:
    """The audio's description.

    Raises:
        InvalidRequestError: an encoding that does not exist, or values that contradict it.
    """
    if message.encoding not in _ENCODINGS:
        raise InvalidRequestError(
            "audio_config.encoding",
            f"unknown encoding {message.encoding}; see AudioEncoding, or leave it unset to detect",
        )
    return AudioSpec(
        _ENCODINGS[message.encoding],
        sample_rate=message.sample_rate_hertz or None,
        channels=message.channel_count or 1,
    )


def seconds(message: Message, field: str) -> float | None:
    """A Duration field in seconds; None where it is not set."""
    if not message.HasField(field):
        return None
    value: Duration = getattr(message, field)
    return value.seconds + value.nanos * 1e-9
