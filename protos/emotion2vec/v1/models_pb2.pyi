import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Label(_message.Message):
    __slots__ = ("name", "native_name")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NATIVE_NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    native_name: str
    def __init__(self, name: _Optional[str] = ..., native_name: _Optional[str] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "version", "source", "is_default", "is_demo", "labels", "embedding_size", "sample_rate_hertz", "frame_hop", "frame_field", "max_window", "max_audio_duration", "precision", "provider", "max_recording_duration")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    IS_DEMO_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SIZE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HERTZ_FIELD_NUMBER: _ClassVar[int]
    FRAME_HOP_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_FIELD_NUMBER: _ClassVar[int]
    MAX_WINDOW_FIELD_NUMBER: _ClassVar[int]
    MAX_AUDIO_DURATION_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MAX_RECORDING_DURATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    source: str
    is_default: bool
    is_demo: bool
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    embedding_size: int
    sample_rate_hertz: int
    frame_hop: _duration_pb2.Duration
    frame_field: _duration_pb2.Duration
    max_window: _duration_pb2.Duration
    max_audio_duration: _duration_pb2.Duration
    precision: str
    provider: str
    max_recording_duration: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., source: _Optional[str] = ..., is_default: bool = ..., is_demo: bool = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., embedding_size: _Optional[int] = ..., sample_rate_hertz: _Optional[int] = ..., frame_hop: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., frame_field: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_audio_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., precision: _Optional[str] = ..., provider: _Optional[str] = ..., max_recording_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
