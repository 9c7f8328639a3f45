import datetime

from emotion2vec.v1 import audio_pb2 as _audio_pb2
from emotion2vec.v1 import models_pb2 as _models_pb2
from emotion2vec.v1 import recognition_pb2 as _recognition_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VoiceActivityDetection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VOICE_ACTIVITY_DETECTION_UNSPECIFIED: _ClassVar[VoiceActivityDetection]
    VOICE_ACTIVITY_DETECTION_DISABLED: _ClassVar[VoiceActivityDetection]
    VOICE_ACTIVITY_DETECTION_ENABLED: _ClassVar[VoiceActivityDetection]

class StreamMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STREAM_MODE_UNSPECIFIED: _ClassVar[StreamMode]
    STREAM_MODE_INCREMENTAL: _ClassVar[StreamMode]
    STREAM_MODE_WINDOWED: _ClassVar[StreamMode]

class FinalMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINAL_MODE_UNSPECIFIED: _ClassVar[FinalMode]
    FINAL_MODE_WHOLE: _ClassVar[FinalMode]
    FINAL_MODE_STREAMED: _ClassVar[FinalMode]

class UtteranceEnd(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UTTERANCE_END_UNSPECIFIED: _ClassVar[UtteranceEnd]
    UTTERANCE_END_CALLER: _ClassVar[UtteranceEnd]
    UTTERANCE_END_AUDIO: _ClassVar[UtteranceEnd]
    UTTERANCE_END_SILENCE: _ClassVar[UtteranceEnd]
    UTTERANCE_END_LONGEST: _ClassVar[UtteranceEnd]
    UTTERANCE_END_STREAM: _ClassVar[UtteranceEnd]

class SpeechEventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPEECH_EVENT_TYPE_UNSPECIFIED: _ClassVar[SpeechEventType]
    SPEECH_EVENT_TYPE_START: _ClassVar[SpeechEventType]
    SPEECH_EVENT_TYPE_END: _ClassVar[SpeechEventType]
VOICE_ACTIVITY_DETECTION_UNSPECIFIED: VoiceActivityDetection
VOICE_ACTIVITY_DETECTION_DISABLED: VoiceActivityDetection
VOICE_ACTIVITY_DETECTION_ENABLED: VoiceActivityDetection
STREAM_MODE_UNSPECIFIED: StreamMode
STREAM_MODE_INCREMENTAL: StreamMode
STREAM_MODE_WINDOWED: StreamMode
FINAL_MODE_UNSPECIFIED: FinalMode
FINAL_MODE_WHOLE: FinalMode
FINAL_MODE_STREAMED: FinalMode
UTTERANCE_END_UNSPECIFIED: UtteranceEnd
UTTERANCE_END_CALLER: UtteranceEnd
UTTERANCE_END_AUDIO: UtteranceEnd
UTTERANCE_END_SILENCE: UtteranceEnd
UTTERANCE_END_LONGEST: UtteranceEnd
UTTERANCE_END_STREAM: UtteranceEnd
SPEECH_EVENT_TYPE_UNSPECIFIED: SpeechEventType
SPEECH_EVENT_TYPE_START: SpeechEventType
SPEECH_EVENT_TYPE_END: SpeechEventType

class RecognizeRequest(_message.Message):
    __slots__ = ("request_id", "config", "audio_config", "audio")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    config: _recognition_pb2.RecognitionConfig
    audio_config: _audio_pb2.AudioConfig
    audio: bytes
    def __init__(self, request_id: _Optional[str] = ..., config: _Optional[_Union[_recognition_pb2.RecognitionConfig, _Mapping]] = ..., audio_config: _Optional[_Union[_audio_pb2.AudioConfig, _Mapping]] = ..., audio: _Optional[bytes] = ...) -> None: ...

class RecognizeResponse(_message.Message):
    __slots__ = ("request_id", "result", "frames", "embedding", "frame_embeddings", "segments", "processed_audio", "warnings", "metadata", "processed_audio_scale", "channel_results")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    FRAME_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_AUDIO_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_AUDIO_SCALE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_RESULTS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    result: _recognition_pb2.EmotionResult
    frames: _recognition_pb2.FrameScores
    embedding: _recognition_pb2.Embedding
    frame_embeddings: _recognition_pb2.Embedding
    segments: _containers.RepeatedCompositeFieldContainer[_recognition_pb2.Segment]
    processed_audio: bytes
    warnings: _containers.RepeatedCompositeFieldContainer[_recognition_pb2.Warning]
    metadata: _recognition_pb2.ResponseMetadata
    processed_audio_scale: float
    channel_results: _containers.RepeatedCompositeFieldContainer[_recognition_pb2.ChannelResult]
    def __init__(self, request_id: _Optional[str] = ..., result: _Optional[_Union[_recognition_pb2.EmotionResult, _Mapping]] = ..., frames: _Optional[_Union[_recognition_pb2.FrameScores, _Mapping]] = ..., embedding: _Optional[_Union[_recognition_pb2.Embedding, _Mapping]] = ..., frame_embeddings: _Optional[_Union[_recognition_pb2.Embedding, _Mapping]] = ..., segments: _Optional[_Iterable[_Union[_recognition_pb2.Segment, _Mapping]]] = ..., processed_audio: _Optional[bytes] = ..., warnings: _Optional[_Iterable[_Union[_recognition_pb2.Warning, _Mapping]]] = ..., metadata: _Optional[_Union[_recognition_pb2.ResponseMetadata, _Mapping]] = ..., processed_audio_scale: _Optional[float] = ..., channel_results: _Optional[_Iterable[_Union[_recognition_pb2.ChannelResult, _Mapping]]] = ...) -> None: ...

class RecognizeRecordingRequest(_message.Message):
    __slots__ = ("config", "audio")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    config: RecordingConfig
    audio: bytes
    def __init__(self, config: _Optional[_Union[RecordingConfig, _Mapping]] = ..., audio: _Optional[bytes] = ...) -> None: ...

class RecordingConfig(_message.Message):
    __slots__ = ("request_id", "config", "audio_config")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_CONFIG_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    config: _recognition_pb2.RecognitionConfig
    audio_config: _audio_pb2.AudioConfig
    def __init__(self, request_id: _Optional[str] = ..., config: _Optional[_Union[_recognition_pb2.RecognitionConfig, _Mapping]] = ..., audio_config: _Optional[_Union[_audio_pb2.AudioConfig, _Mapping]] = ...) -> None: ...

class RecognizeRecordingResponse(_message.Message):
    __slots__ = ("part", "result")
    PART_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    part: RecordingPart
    result: RecognizeResponse
    def __init__(self, part: _Optional[_Union[RecordingPart, _Mapping]] = ..., result: _Optional[_Union[RecognizeResponse, _Mapping]] = ...) -> None: ...

class RecordingPart(_message.Message):
    __slots__ = ("channel", "segment", "frames", "frame_embeddings", "processed_audio", "processed_audio_scale")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    FRAME_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_AUDIO_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_AUDIO_SCALE_FIELD_NUMBER: _ClassVar[int]
    channel: int
    segment: _recognition_pb2.Segment
    frames: _recognition_pb2.FrameScores
    frame_embeddings: _recognition_pb2.Embedding
    processed_audio: bytes
    processed_audio_scale: float
    def __init__(self, channel: _Optional[int] = ..., segment: _Optional[_Union[_recognition_pb2.Segment, _Mapping]] = ..., frames: _Optional[_Union[_recognition_pb2.FrameScores, _Mapping]] = ..., frame_embeddings: _Optional[_Union[_recognition_pb2.Embedding, _Mapping]] = ..., processed_audio: _Optional[bytes] = ..., processed_audio_scale: _Optional[float] = ...) -> None: ...

class StreamRecognizeRequest(_message.Message):
    __slots__ = ("config", "audio", "end_utterance", "keep_alive")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    END_UTTERANCE_FIELD_NUMBER: _ClassVar[int]
    KEEP_ALIVE_FIELD_NUMBER: _ClassVar[int]
    config: StreamConfig
    audio: bytes
    end_utterance: EndUtterance
    keep_alive: KeepAlive
    def __init__(self, config: _Optional[_Union[StreamConfig, _Mapping]] = ..., audio: _Optional[bytes] = ..., end_utterance: _Optional[_Union[EndUtterance, _Mapping]] = ..., keep_alive: _Optional[_Union[KeepAlive, _Mapping]] = ...) -> None: ...

class EndUtterance(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeepAlive(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StreamConfig(_message.Message):
    __slots__ = ("request_id", "config", "audio_config", "window", "hop", "lookahead", "interim_results", "voice_activity_detection", "mode", "end_of_utterance", "final", "alerts")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_CONFIG_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    HOP_FIELD_NUMBER: _ClassVar[int]
    LOOKAHEAD_FIELD_NUMBER: _ClassVar[int]
    INTERIM_RESULTS_FIELD_NUMBER: _ClassVar[int]
    VOICE_ACTIVITY_DETECTION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    END_OF_UTTERANCE_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    config: _recognition_pb2.RecognitionConfig
    audio_config: _audio_pb2.AudioConfig
    window: _duration_pb2.Duration
    hop: _duration_pb2.Duration
    lookahead: _duration_pb2.Duration
    interim_results: bool
    voice_activity_detection: VoiceActivityDetection
    mode: StreamMode
    end_of_utterance: EndOfUtterance
    final: FinalMode
    alerts: AlertRule
    def __init__(self, request_id: _Optional[str] = ..., config: _Optional[_Union[_recognition_pb2.RecognitionConfig, _Mapping]] = ..., audio_config: _Optional[_Union[_audio_pb2.AudioConfig, _Mapping]] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., hop: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lookahead: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., interim_results: bool = ..., voice_activity_detection: _Optional[_Union[VoiceActivityDetection, str]] = ..., mode: _Optional[_Union[StreamMode, str]] = ..., end_of_utterance: _Optional[_Union[EndOfUtterance, _Mapping]] = ..., final: _Optional[_Union[FinalMode, str]] = ..., alerts: _Optional[_Union[AlertRule, _Mapping]] = ...) -> None: ...

class EndOfUtterance(_message.Message):
    __slots__ = ("silence", "longest")
    SILENCE_FIELD_NUMBER: _ClassVar[int]
    LONGEST_FIELD_NUMBER: _ClassVar[int]
    silence: _duration_pb2.Duration
    longest: _duration_pb2.Duration
    def __init__(self, silence: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., longest: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AlertRule(_message.Message):
    __slots__ = ("labels", "probability", "duration")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    probability: float
    duration: _duration_pb2.Duration
    def __init__(self, labels: _Optional[_Iterable[str]] = ..., probability: _Optional[float] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StreamRecognizeResponse(_message.Message):
    __slots__ = ("sequence", "utterance_index", "started", "frames", "interim", "final", "speech", "warning", "alert")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    UTTERANCE_INDEX_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    INTERIM_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    SPEECH_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    ALERT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    utterance_index: int
    started: StreamStarted
    frames: _recognition_pb2.FrameScores
    interim: InterimResult
    final: FinalResult
    speech: SpeechEvent
    warning: _recognition_pb2.Warning
    alert: AlertEvent
    def __init__(self, sequence: _Optional[int] = ..., utterance_index: _Optional[int] = ..., started: _Optional[_Union[StreamStarted, _Mapping]] = ..., frames: _Optional[_Union[_recognition_pb2.FrameScores, _Mapping]] = ..., interim: _Optional[_Union[InterimResult, _Mapping]] = ..., final: _Optional[_Union[FinalResult, _Mapping]] = ..., speech: _Optional[_Union[SpeechEvent, _Mapping]] = ..., warning: _Optional[_Union[_recognition_pb2.Warning, _Mapping]] = ..., alert: _Optional[_Union[AlertEvent, _Mapping]] = ...) -> None: ...

class StreamStarted(_message.Message):
    __slots__ = ("request_id", "model", "model_version", "window", "hop", "lookahead", "frame_hop", "mode")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    HOP_FIELD_NUMBER: _ClassVar[int]
    LOOKAHEAD_FIELD_NUMBER: _ClassVar[int]
    FRAME_HOP_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    model: str
    model_version: str
    window: _duration_pb2.Duration
    hop: _duration_pb2.Duration
    lookahead: _duration_pb2.Duration
    frame_hop: _duration_pb2.Duration
    mode: StreamMode
    def __init__(self, request_id: _Optional[str] = ..., model: _Optional[str] = ..., model_version: _Optional[str] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., hop: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lookahead: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., frame_hop: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., mode: _Optional[_Union[StreamMode, str]] = ...) -> None: ...

class InterimResult(_message.Message):
    __slots__ = ("result", "start_offset", "end_offset")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    END_OFFSET_FIELD_NUMBER: _ClassVar[int]
    result: _recognition_pb2.EmotionResult
    start_offset: _duration_pb2.Duration
    end_offset: _duration_pb2.Duration
    def __init__(self, result: _Optional[_Union[_recognition_pb2.EmotionResult, _Mapping]] = ..., start_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., end_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AlertEvent(_message.Message):
    __slots__ = ("start_offset", "end_offset", "label", "probability", "has_ended")
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    END_OFFSET_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    HAS_ENDED_FIELD_NUMBER: _ClassVar[int]
    start_offset: _duration_pb2.Duration
    end_offset: _duration_pb2.Duration
    label: str
    probability: float
    has_ended: bool
    def __init__(self, start_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., end_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., label: _Optional[str] = ..., probability: _Optional[float] = ..., has_ended: bool = ...) -> None: ...

class FinalResult(_message.Message):
    __slots__ = ("result", "start_offset", "end_offset", "segments", "embedding", "frame_embeddings", "processed_audio", "warnings", "metadata", "processed_audio_scale", "ended_by")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    END_OFFSET_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    FRAME_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_AUDIO_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_AUDIO_SCALE_FIELD_NUMBER: _ClassVar[int]
    ENDED_BY_FIELD_NUMBER: _ClassVar[int]
    result: _recognition_pb2.EmotionResult
    start_offset: _duration_pb2.Duration
    end_offset: _duration_pb2.Duration
    segments: _containers.RepeatedCompositeFieldContainer[_recognition_pb2.Segment]
    embedding: _recognition_pb2.Embedding
    frame_embeddings: _recognition_pb2.Embedding
    processed_audio: bytes
    warnings: _containers.RepeatedCompositeFieldContainer[_recognition_pb2.Warning]
    metadata: _recognition_pb2.ResponseMetadata
    processed_audio_scale: float
    ended_by: UtteranceEnd
    def __init__(self, result: _Optional[_Union[_recognition_pb2.EmotionResult, _Mapping]] = ..., start_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., end_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., segments: _Optional[_Iterable[_Union[_recognition_pb2.Segment, _Mapping]]] = ..., embedding: _Optional[_Union[_recognition_pb2.Embedding, _Mapping]] = ..., frame_embeddings: _Optional[_Union[_recognition_pb2.Embedding, _Mapping]] = ..., processed_audio: _Optional[bytes] = ..., warnings: _Optional[_Iterable[_Union[_recognition_pb2.Warning, _Mapping]]] = ..., metadata: _Optional[_Union[_recognition_pb2.ResponseMetadata, _Mapping]] = ..., processed_audio_scale: _Optional[float] = ..., ended_by: _Optional[_Union[UtteranceEnd, str]] = ...) -> None: ...

class SpeechEvent(_message.Message):
    __slots__ = ("type", "offset")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    type: SpeechEventType
    offset: _duration_pb2.Duration
    def __init__(self, type: _Optional[_Union[SpeechEventType, str]] = ..., offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[_models_pb2.Model]
    def __init__(self, models: _Optional[_Iterable[_Union[_models_pb2.Model, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _models_pb2.Model
    def __init__(self, model: _Optional[_Union[_models_pb2.Model, _Mapping]] = ...) -> None: ...
