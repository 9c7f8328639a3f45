"""Arguments of a call -> protobuf. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emotion2vec.v1.recognition_pb2 import Channels, Granularity, RecognitionConfig
from emotion2vec.v1.service_pb2 import (
    AlertRule as AlertRuleMessage,
)
from emotion2vec.v1.service_pb2 import (
    EndOfUtterance as EndOfUtteranceMessage,
)
from emotion2vec.v1.service_pb2 import (
    EndUtterance as EndUtteranceMessage,
)
from emotion2vec.v1.service_pb2 import (
    FinalMode as FinalModeMessage,
)
from emotion2vec.v1.service_pb2 import (
    KeepAlive as KeepAliveMessage,
)
from emotion2vec.v1.service_pb2 import (
    RecognizeRecordingRequest,
    RecognizeRequest,
    RecordingConfig,
    StreamConfig,
    StreamRecognizeRequest,
    VoiceActivityDetection,
)
from emotion2vec.v1.service_pb2 import (
    StreamMode as StreamModeMessage,
)
from google.protobuf.duration_pb2 import Duration

from emotion2vec_client.audio import Body, Samples, StreamFormat
from emotion2vec_client.events import (
    END_UTTERANCE,
    KEEP_ALIVE,
    AlertRule,
    EndOfUtterance,
    EndUtterance,
    FinalMode,
    KeepAlive,
    StreamMode,
)
from emotion2vec_client.upload import Upload

Chunk = bytes | bytearray | memoryview | Samples | EndUtterance | KeepAlive
"""One item of a stream: raw samples or bytes of a file, of any length, END_UTTERANCE, or
KEEP_ALIVE."""
StreamUpload = Upload[Chunk, StreamRecognizeRequest]


def recognition_config(
    *,
    frames: bool = False,
    embedding: bool,
    frame_embeddings: bool,
    processed_audio: bool = False,
    per_channel: bool = False,
    speech_only: bool = False,
    model: str,
    allowed_labels: Sequence[str],
) -> RecognitionConfig:
    """What is asked of a recognition.

    Raises:
        TypeError: `allowed_labels` is one string.
    """
    if isinstance(allowed_labels, str):
        raise TypeError("allowed_labels must be a sequence of labels, not one string")
    config = RecognitionConfig(
        model=model,
        return_embedding=embedding,
        return_frame_embeddings=frame_embeddings,
        return_processed_audio=processed_audio,
        allowed_labels=allowed_labels,
        speech_only=speech_only,
    )
    if frames:
        config.granularity = Granularity.GRANULARITY_FRAME
    if per_channel:
        config.channels = Channels.CHANNELS_SEPARATE
    return config


class RecordingRequests:
    """The requests for one recording: a single one where it is short, else its pieces."""

    def __init__(self, body: Body, config: RecognitionConfig, request_id: str) -> None:
        self.body = body
        self._config = config
        self._request_id = request_id

    @property
    def whole(self) -> RecognizeRequest | None:
        """For Recognize; None where the recording is too large for it."""
        if self.body.whole is None:
            return None
        return RecognizeRequest(
            request_id=self._request_id,
            config=self._config,
            audio_config=self.body.config,
            audio=self.body.whole,
        )

    @property
    def first(self) -> RecognizeRecordingRequest:
        """For RecognizeRecording, before the pieces."""
        config = RecordingConfig(
            request_id=self._request_id, config=self._config, audio_config=self.body.config
        )
        return RecognizeRecordingRequest(config=config)


def recording_message(piece: bytes) -> Iterator[RecognizeRecordingRequest]:
    yield RecognizeRecordingRequest(audio=piece)


def stream_config(
    audio: StreamFormat,
    config: RecognitionConfig,
    *,
    window: float | None,
    hop: float | None,
    lookahead: float | None,
    interim: bool,
    voice_activity_detection: bool | None,
    mode: StreamMode | None,
    final: FinalMode | None,
    end_of_utterance: EndOfUtterance | None,
    alerts: AlertRule | None,
    request_id: str,
) -> StreamRecognizeRequest:
    message = StreamConfig(
        request_id=request_id,
        config=config,
        audio_config=audio.config,
        window=_duration(window),
        hop=_duration(hop),
        lookahead=_duration(lookahead),
        interim_results=interim,
        voice_activity_detection=_detection(voice_activity_detection),
        mode=_MODES[mode],
        final=_FINALS[final],
        end_of_utterance=_ends(end_of_utterance),
        alerts=_alerts(alerts),
    )
    return StreamRecognizeRequest(config=message)


def stream_messages(chunk: Chunk, audio: StreamFormat) -> Iterator[StreamRecognizeRequest]:
    if chunk is END_UTTERANCE:
        yield StreamRecognizeRequest(end_utterance=EndUtteranceMessage())
        return
    if chunk is KEEP_ALIVE:
        yield StreamRecognizeRequest(keep_alive=KeepAliveMessage())
        return
    for piece in audio.pieces(chunk):
        yield StreamRecognizeRequest(audio=piece)


_FINALS = {
    None: FinalModeMessage.FINAL_MODE_UNSPECIFIED,
    "whole": FinalModeMessage.FINAL_MODE_WHOLE,
    "streamed": FinalModeMessage.FINAL_MODE_STREAMED,
}
_MODES = {
    None: StreamModeMessage.STREAM_MODE_UNSPECIFIED,
    "incremental": StreamModeMessage.STREAM_MODE_INCREMENTAL,
    "windowed": StreamModeMessage.STREAM_MODE_WINDOWED,
}


def _ends(ends: EndOfUtterance | None) -> EndOfUtteranceMessage | None:
    if ends is None:
        return None
    return EndOfUtteranceMessage(silence=_duration(ends.silence), longest=_duration(ends.longest))


def _alerts(rule: AlertRule | None) -> AlertRuleMessage | None:
    if rule is None:
        return None
    if isinstance(rule.labels, str):
        raise TypeError("labels of an AlertRule must be a sequence of labels, not one string")
    return AlertRuleMessage(
        labels=rule.labels, probability=rule.probability, duration=_duration(rule.duration)
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
