"""The events of a live stream to protobuf. Pure translation: no policy, no I/O."""

from __future__ import annotations

from emotion2vec.v1 import recognition_pb2, service_pb2
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition.warnings import RecognitionWarning, WarningCode

from emotion2vec_server.serving.stream_config import OpenStream
from emotion2vec_server.serving.streams import AudioLost, StreamEvent, UtteranceAnswer
from emotion2vec_server.streaming.events import (
    Alert,
    Closing,
    Frames,
    HopChanged,
    Interim,
    Speech,
    Started,
)
from emotion2vec_server.wire.replies import (
    duration,
    emotion_result,
    frame_scores,
    metadata,
    set_result,
    warning,
)

_ENDED_BY = {
    Closing.END_UTTERANCE: service_pb2.UTTERANCE_END_CALLER,
    Closing.HALF_CLOSE: service_pb2.UTTERANCE_END_AUDIO,
    Closing.SILENCE: service_pb2.UTTERANCE_END_SILENCE,
    Closing.TOO_LONG: service_pb2.UTTERANCE_END_LONGEST,
    Closing.IDLE: service_pb2.UTTERANCE_END_STREAM,
    Closing.EXPIRED: service_pb2.UTTERANCE_END_STREAM,
    Closing.DRAINED: service_pb2.UTTERANCE_END_STREAM,
}


def stream_response(opened: OpenStream, event: StreamEvent) -> service_pb2.StreamRecognizeResponse:
    """The message for one event of a stream."""
    manifest, classes = opened.model.manifest, opened.options.classes
    rate = manifest.sample_rate
    reply = service_pb2.StreamRecognizeResponse()
    match event:
        case Started():
            reply.started.MergeFrom(_stream_started(opened, event))
            return reply
        case Frames():
            scores = frame_scores(
                classes.probabilities(event.logits),
                classes,
                manifest,
                first_frame=event.first_frame,
                start_seconds=event.start_sample / rate,
                is_final=event.is_final,
            )
            reply.frames.MergeFrom(scores)
        case Interim():
            reply.interim.result.MergeFrom(emotion_result(classes.emotion(event.logits)))
            reply.interim.start_offset.MergeFrom(duration(event.start_sample / rate))
            reply.interim.end_offset.MergeFrom(duration(event.end_sample / rate))
        case UtteranceAnswer():
            reply.final.start_offset.MergeFrom(duration(event.start_sample / rate))
            reply.final.end_offset.MergeFrom(duration(event.end_sample / rate))
            reply.final.ended_by = _ENDED_BY[event.closing]
            set_result(reply.final, event.answer.result)
            reply.final.metadata.CopyFrom(metadata(event.answer))
        case Alert():
            reply.alert.start_offset.MergeFrom(duration(event.start_sample / rate))
            reply.alert.end_offset.MergeFrom(duration(event.end_sample / rate))
            reply.alert.label = event.label
            reply.alert.probability = event.probability
            reply.alert.has_ended = event.has_ended
        case Speech():
            reply.speech.type = (
                service_pb2.SPEECH_EVENT_TYPE_START
                if event.begins
                else service_pb2.SPEECH_EVENT_TYPE_END
            )
            reply.speech.offset.MergeFrom(duration(event.sample / rate))
        case AudioLost():
            reply.warning.MergeFrom(warning(event.warning))
        case HopChanged():
            reply.warning.MergeFrom(_hop_warning(event, manifest))
    reply.utterance_index = event.utterance
    return reply


def _stream_started(opened: OpenStream, event: Started) -> service_pb2.StreamStarted:
    framing, manifest = event.framing, opened.model.manifest
    frame_seconds = framing.frame_hop / manifest.sample_rate
    return service_pb2.StreamStarted(
        request_id=opened.request_id,
        model=manifest.name,
        model_version=manifest.version,
        window=duration(framing.window * frame_seconds),
        hop=duration(framing.hop * frame_seconds),
        lookahead=duration(framing.lookahead * frame_seconds),
        frame_hop=duration(frame_seconds),
        mode=service_pb2.STREAM_MODE_INCREMENTAL
        if framing.incremental
        else service_pb2.STREAM_MODE_WINDOWED,
    )


def _hop_warning(event: HopChanged, manifest: Manifest) -> recognition_pb2.Warning:
    hop = event.hop * manifest.frame_hop / manifest.sample_rate
    text = (
        f"the server can't keep up: results come every {hop:g} s now"
        if event.degraded
        else f"the server has caught up: results come every {hop:g} s again"
    )
    return warning(RecognitionWarning(WarningCode.DEGRADED, text))
