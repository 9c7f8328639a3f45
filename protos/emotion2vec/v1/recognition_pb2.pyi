import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Granularity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GRANULARITY_UNSPECIFIED: _ClassVar[Granularity]
    GRANULARITY_UTTERANCE: _ClassVar[Granularity]
    GRANULARITY_FRAME: _ClassVar[Granularity]

class Channels(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNELS_UNSPECIFIED: _ClassVar[Channels]
    CHANNELS_MIX: _ClassVar[Channels]
    CHANNELS_SEPARATE: _ClassVar[Channels]

class WarningCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WARNING_CODE_UNSPECIFIED: _ClassVar[WarningCode]
    WARNING_CODE_TOO_SHORT: _ClassVar[WarningCode]
    WARNING_CODE_TOO_LONG: _ClassVar[WarningCode]
    WARNING_CODE_LOW_CONFIDENCE: _ClassVar[WarningCode]
    WARNING_CODE_CLIPPED: _ClassVar[WarningCode]
    WARNING_CODE_SILENT: _ClassVar[WarningCode]
    WARNING_CODE_UPSAMPLED: _ClassVar[WarningCode]
    WARNING_CODE_DOWNMIXED: _ClassVar[WarningCode]
    WARNING_CODE_DEGRADED: _ClassVar[WarningCode]
    WARNING_CODE_EMBEDDING_ONLY: _ClassVar[WarningCode]
    WARNING_CODE_TRUNCATED: _ClassVar[WarningCode]
    WARNING_CODE_DAMAGED: _ClassVar[WarningCode]
    WARNING_CODE_CHANNELS_DIFFER: _ClassVar[WarningCode]
    WARNING_CODE_MOSTLY_SILENT: _ClassVar[WarningCode]
GRANULARITY_UNSPECIFIED: Granularity
GRANULARITY_UTTERANCE: Granularity
GRANULARITY_FRAME: Granularity
CHANNELS_UNSPECIFIED: Channels
CHANNELS_MIX: Channels
CHANNELS_SEPARATE: Channels
WARNING_CODE_UNSPECIFIED: WarningCode
WARNING_CODE_TOO_SHORT: WarningCode
WARNING_CODE_TOO_LONG: WarningCode
WARNING_CODE_LOW_CONFIDENCE: WarningCode
WARNING_CODE_CLIPPED: WarningCode
WARNING_CODE_SILENT: WarningCode
WARNING_CODE_UPSAMPLED: WarningCode
WARNING_CODE_DOWNMIXED: WarningCode
WARNING_CODE_DEGRADED: WarningCode
WARNING_CODE_EMBEDDING_ONLY: WarningCode
WARNING_CODE_TRUNCATED: WarningCode
WARNING_CODE_DAMAGED: WarningCode
WARNING_CODE_CHANNELS_DIFFER: WarningCode
WARNING_CODE_MOSTLY_SILENT: WarningCode

class RecognitionConfig(_message.Message):
    __slots__ = ("model", "granularity", "return_embedding", "return_frame_embeddings", "return_processed_audio", "allowed_labels", "channels", "speech_only")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    RETURN_EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    RETURN_FRAME_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    RETURN_PROCESSED_AUDIO_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_LABELS_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    SPEECH_ONLY_FIELD_NUMBER: _ClassVar[int]
    model: str
    granularity: Granularity
    return_embedding: bool
    return_frame_embeddings: bool
    return_processed_audio: bool
    allowed_labels: _containers.RepeatedScalarFieldContainer[str]
    channels: Channels
    speech_only: bool
    def __init__(self, model: _Optional[str] = ..., granularity: _Optional[_Union[Granularity, str]] = ..., return_embedding: bool = ..., return_frame_embeddings: bool = ..., return_processed_audio: bool = ..., allowed_labels: _Optional[_Iterable[str]] = ..., channels: _Optional[_Union[Channels, str]] = ..., speech_only: bool = ...) -> None: ...

class EmotionScore(_message.Message):
    __slots__ = ("label", "native_label", "probability")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    NATIVE_LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    label: str
    native_label: str
    probability: float
    def __init__(self, label: _Optional[str] = ..., native_label: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class EmotionResult(_message.Message):
    __slots__ = ("label", "confidence", "scores", "margin", "entropy")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    label: str
    confidence: float
    scores: _containers.RepeatedCompositeFieldContainer[EmotionScore]
    margin: float
    entropy: float
    def __init__(self, label: _Optional[str] = ..., confidence: _Optional[float] = ..., scores: _Optional[_Iterable[_Union[EmotionScore, _Mapping]]] = ..., margin: _Optional[float] = ..., entropy: _Optional[float] = ...) -> None: ...

class FrameScores(_message.Message):
    __slots__ = ("labels", "first_frame_index", "start_offset", "frame_hop", "frame_count", "probabilities", "is_final")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_INDEX_FIELD_NUMBER: _ClassVar[int]
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    FRAME_HOP_FIELD_NUMBER: _ClassVar[int]
    FRAME_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    first_frame_index: int
    start_offset: _duration_pb2.Duration
    frame_hop: _duration_pb2.Duration
    frame_count: int
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    is_final: bool
    def __init__(self, labels: _Optional[_Iterable[str]] = ..., first_frame_index: _Optional[int] = ..., start_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., frame_hop: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., frame_count: _Optional[int] = ..., probabilities: _Optional[_Iterable[float]] = ..., is_final: bool = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("shape", "values")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, shape: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("start_offset", "end_offset", "result")
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    END_OFFSET_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    start_offset: _duration_pb2.Duration
    end_offset: _duration_pb2.Duration
    result: EmotionResult
    def __init__(self, start_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., end_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., result: _Optional[_Union[EmotionResult, _Mapping]] = ...) -> None: ...

class Warning(_message.Message):
    __slots__ = ("code", "message", "loss", "silent_share")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    SILENT_SHARE_FIELD_NUMBER: _ClassVar[int]
    code: WarningCode
    message: str
    loss: AudioLoss
    silent_share: float
    def __init__(self, code: _Optional[_Union[WarningCode, str]] = ..., message: _Optional[str] = ..., loss: _Optional[_Union[AudioLoss, _Mapping]] = ..., silent_share: _Optional[float] = ...) -> None: ...

class AudioLoss(_message.Message):
    __slots__ = ("stated_duration", "heard_duration", "lost_duration")
    STATED_DURATION_FIELD_NUMBER: _ClassVar[int]
    HEARD_DURATION_FIELD_NUMBER: _ClassVar[int]
    LOST_DURATION_FIELD_NUMBER: _ClassVar[int]
    stated_duration: _duration_pb2.Duration
    heard_duration: _duration_pb2.Duration
    lost_duration: _duration_pb2.Duration
    def __init__(self, stated_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., heard_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lost_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ChannelResult(_message.Message):
    __slots__ = ("channel", "result", "frames", "embedding", "frame_embeddings", "segments", "processed_audio", "processed_audio_scale", "warnings")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    FRAME_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_AUDIO_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_AUDIO_SCALE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    channel: int
    result: EmotionResult
    frames: FrameScores
    embedding: Embedding
    frame_embeddings: Embedding
    segments: _containers.RepeatedCompositeFieldContainer[Segment]
    processed_audio: bytes
    processed_audio_scale: float
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    def __init__(self, channel: _Optional[int] = ..., result: _Optional[_Union[EmotionResult, _Mapping]] = ..., frames: _Optional[_Union[FrameScores, _Mapping]] = ..., embedding: _Optional[_Union[Embedding, _Mapping]] = ..., frame_embeddings: _Optional[_Union[Embedding, _Mapping]] = ..., segments: _Optional[_Iterable[_Union[Segment, _Mapping]]] = ..., processed_audio: _Optional[bytes] = ..., processed_audio_scale: _Optional[float] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ...) -> None: ...

class ResponseMetadata(_message.Message):
    __slots__ = ("model", "model_version", "precision", "provider", "audio_duration", "decode_duration", "queue_duration", "inference_duration", "batch_size", "server_version", "sample_rate_hertz", "channel_count")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    AUDIO_DURATION_FIELD_NUMBER: _ClassVar[int]
    DECODE_DURATION_FIELD_NUMBER: _ClassVar[int]
    QUEUE_DURATION_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_DURATION_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HERTZ_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_COUNT_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: str
    precision: str
    provider: str
    audio_duration: _duration_pb2.Duration
    decode_duration: _duration_pb2.Duration
    queue_duration: _duration_pb2.Duration
    inference_duration: _duration_pb2.Duration
    batch_size: int
    server_version: str
    sample_rate_hertz: int
    channel_count: int
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[str] = ..., precision: _Optional[str] = ..., provider: _Optional[str] = ..., audio_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., decode_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., queue_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., inference_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., batch_size: _Optional[int] = ..., server_version: _Optional[str] = ..., sample_rate_hertz: _Optional[int] = ..., channel_count: _Optional[int] = ...) -> None: ...
