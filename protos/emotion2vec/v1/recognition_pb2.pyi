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
GRANULARITY_UNSPECIFIED: Granularity
GRANULARITY_UTTERANCE: Granularity
GRANULARITY_FRAME: Granularity
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

class RecognitionConfig(_message.Message):
    __slots__ = ("model", "granularity", "return_embedding", "return_frame_embeddings", "return_processed_audio", "allowed_labels")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    RETURN_EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    RETURN_FRAME_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    RETURN_PROCESSED_AUDIO_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_LABELS_FIELD_NUMBER: _ClassVar[int]
    model: str
    granularity: Granularity
    return_embedding: bool
    return_frame_embeddings: bool
    return_processed_audio: bool
    allowed_labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., granularity: _Optional[_Union[Granularity, str]] = ..., return_embedding: bool = ..., return_frame_embeddings: bool = ..., return_processed_audio: bool = ..., allowed_labels: _Optional[_Iterable[str]] = ...) -> None: ...

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
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: WarningCode
    message: str
    def __init__(self, code: _Optional[_Union[WarningCode, str]] = ..., message: _Optional[str] = ...) -> None: ...

class ResponseMetadata(_message.Message):
    __slots__ = ("model", "model_version", "precision", "provider", "audio_duration", "decode_duration", "queue_duration", "inference_duration", "batch_size", "server_version")
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
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[str] = ..., precision: _Optional[str] = ..., provider: _Optional[str] = ..., audio_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., decode_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., queue_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., inference_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., batch_size: _Optional[int] = ..., server_version: _Optional[str] = ...) -> None: ...
