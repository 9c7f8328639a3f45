"""protobuf -> results and events. No I/O.

A reply that contradicts itself raises RecognitionError with code INTERNAL: numbers of a wrong
shape must not pass as a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import grpc
import numpy as np
from emotion2vec.v1 import models_pb2, recognition_pb2, service_pb2
from google.protobuf.duration_pb2 import Duration
from numpy.typing import NDArray

from emotion2vec_client import events, results
from emotion2vec_client.errors import RecognitionError
from emotion2vec_client.results import Float32

_WARNING_PREFIX = "WARNING_CODE_"


def recognition(reply: service_pb2.RecognizeResponse) -> results.Recognition:
    metadata = _metadata(reply.metadata)
    channels = tuple(_result(one, reply.request_id, metadata) for one in reply.channel_results)
    return _result(reply, reply.request_id, metadata, channels)


def recording_event(
    reply: service_pb2.RecognizeRecordingResponse,
) -> results.RecordingPart | results.Recognition | None:
    """A part, or the result; None for a kind that this client is too old to know."""
    match reply.WhichOneof("response"):
        case "part":
            return _part(reply.part)
        case "result":
            return recognition(reply.result)
        case _:
            return None


def _result(
    reply: service_pb2.RecognizeResponse | recognition_pb2.ChannelResult | service_pb2.FinalResult,
    request_id: str,
    metadata: results.Metadata,
    channels: tuple[results.Recognition, ...] = (),
) -> results.Recognition:
    frames = None
    if not isinstance(reply, service_pb2.FinalResult) and reply.HasField("frames"):
        frames = _frames(reply.frames)
    return results.Recognition(
        request_id=request_id,
        emotion=_emotion(reply.result) if reply.HasField("result") else None,
        frames=frames,
        embedding=_embedding(reply.embedding) if reply.HasField("embedding") else None,
        frame_embeddings=_embedding(reply.frame_embeddings)
        if reply.HasField("frame_embeddings")
        else None,
        segments=_segments(reply.segments),
        processed_audio=_audio(reply.processed_audio),
        warnings=_warnings(reply.warnings),
        metadata=metadata,
        # Servers of before the field mean 1.
        processed_audio_scale=reply.processed_audio_scale or 1.0,
        channels=channels,
    )


def _part(message: service_pb2.RecordingPart) -> results.RecordingPart:
    return results.RecordingPart(
        channel=message.channel,
        segment=_segment(message.segment),
        frames=_frames(message.frames) if message.HasField("frames") else None,
        frame_embeddings=_embedding(message.frame_embeddings)
        if message.HasField("frame_embeddings")
        else None,
        processed_audio=_audio(message.processed_audio),
        processed_audio_scale=message.processed_audio_scale or 1.0,
    )


def _audio(data: bytes) -> NDArray[np.int16] | None:
    return np.frombuffer(data, "<i2") if data else None


def model(message: models_pb2.Model) -> results.Model:
    return results.Model(
        name=message.name,
        version=message.version,
        source=message.source,
        is_default=message.is_default,
        is_demo=message.is_demo,
        labels=tuple(results.Label(label.name, label.native_name) for label in message.labels),
        embedding_size=message.embedding_size,
        sample_rate=message.sample_rate_hertz,
        frame_hop=_seconds(message.frame_hop),
        frame_field=_seconds(message.frame_field),
        max_window=_seconds(message.max_window),
        max_audio_duration=_seconds(message.max_audio_duration),
        precision=message.precision,
        provider=message.provider,
        max_recording_duration=_seconds(message.max_recording_duration),
    )


def stream_event(reply: service_pb2.StreamRecognizeResponse) -> events.StreamEvent | None:
    """The event of one message; None for a kind that this client is too old to know."""
    head = (reply.sequence, reply.utterance_index)
    match reply.WhichOneof("event"):
        case "started":
            return _started(head, reply.started)
        case "frames":
            return events.StreamFrames(*head, _frames(reply.frames))
        case "interim":
            interim = reply.interim
            return events.StreamInterim(*head, *_span(interim), _emotion(interim.result))
        case "final":
            return events.StreamFinal(
                *head,
                *_span(reply.final),
                _result(reply.final, "", _metadata(reply.final.metadata)),
                _ENDED_BY.get(reply.final.ended_by, events.UtteranceEnd.UNKNOWN),
            )
        case "speech":
            return _speech(head, reply.speech)
        case "alert":
            alert = reply.alert
            span = _seconds(alert.start_offset), _seconds(alert.end_offset)
            return events.StreamAlert(*head, *span, alert.label, alert.probability, alert.has_ended)
        case "warning":
            return events.StreamWarning(*head, _warning(reply.warning))
        case _:
            return None


_ENDED_BY = {
    service_pb2.UTTERANCE_END_CALLER: events.UtteranceEnd.CALLER,
    service_pb2.UTTERANCE_END_AUDIO: events.UtteranceEnd.AUDIO,
    service_pb2.UTTERANCE_END_SILENCE: events.UtteranceEnd.SILENCE,
    service_pb2.UTTERANCE_END_LONGEST: events.UtteranceEnd.LONGEST,
    service_pb2.UTTERANCE_END_STREAM: events.UtteranceEnd.STREAM,
}
_MODES: dict[int, events.StreamMode] = {
    service_pb2.STREAM_MODE_INCREMENTAL: "incremental",
    service_pb2.STREAM_MODE_WINDOWED: "windowed",
}


def _started(head: tuple[int, int], started: service_pb2.StreamStarted) -> events.StreamStarted:
    return events.StreamStarted(
        *head,
        request_id=started.request_id,
        model=started.model,
        model_version=started.model_version,
        window=_seconds(started.window),
        hop=_seconds(started.hop),
        lookahead=_seconds(started.lookahead),
        frame_hop=_seconds(started.frame_hop),
        mode=_MODES.get(started.mode),
    )


def _speech(head: tuple[int, int], speech: service_pb2.SpeechEvent) -> events.StreamSpeech | None:
    edges = {
        service_pb2.SPEECH_EVENT_TYPE_START: events.SpeechEdge.START,
        service_pb2.SPEECH_EVENT_TYPE_END: events.SpeechEdge.END,
    }
    edge = edges.get(speech.type)
    return edge and events.StreamSpeech(*head, edge, _seconds(speech.offset))


def _span(result: service_pb2.InterimResult | service_pb2.FinalResult) -> tuple[float, float]:
    return _seconds(result.start_offset), _seconds(result.end_offset)


def _emotion(message: recognition_pb2.EmotionResult) -> results.Emotion:
    return results.Emotion(
        label=message.label,
        confidence=message.confidence,
        scores=tuple(
            results.EmotionScore(score.label, score.native_label, score.probability)
            for score in message.scores
        ),
        margin=message.margin,
        entropy=message.entropy,
    )


def _frames(message: recognition_pb2.FrameScores) -> results.Frames:
    shape = (message.frame_count, len(message.labels))
    return results.Frames(
        labels=tuple(message.labels),
        probabilities=_array(message.probabilities, shape),
        first_index=message.first_frame_index,
        start=_seconds(message.start_offset),
        hop=_seconds(message.frame_hop),
        is_final=message.is_final,
    )


def _embedding(message: recognition_pb2.Embedding) -> Float32:
    return _array(message.values, tuple(message.shape))


def _array(values: Sequence[float], shape: tuple[int, ...]) -> Float32:
    flat = np.array(values, np.float32)
    if flat.size != np.prod(shape, dtype=np.int64):
        raise RecognitionError(
            f"the server's reply is malformed ({flat.size} values for shape {list(shape)}); "
            "do client and server have the same version?",
            code=grpc.StatusCode.INTERNAL,
        )
    array = flat.reshape(shape)
    array.flags.writeable = False
    return array


def _segments(messages: Iterable[recognition_pb2.Segment]) -> tuple[results.Segment, ...]:
    return tuple(map(_segment, messages))


def _segment(message: recognition_pb2.Segment) -> results.Segment:
    return results.Segment(
        start=_seconds(message.start_offset),
        end=_seconds(message.end_offset),
        emotion=_emotion(message.result) if message.HasField("result") else None,
    )


def _warnings(
    messages: Iterable[recognition_pb2.Warning],
) -> tuple[results.RecognitionWarning, ...]:
    return tuple(_warning(message) for message in messages)


def _warning(message: recognition_pb2.Warning) -> results.RecognitionWarning:
    known = {code.value: code for code in results.WarningCode}
    names = recognition_pb2.WarningCode
    name = names.Name(message.code) if message.code in names.values() else ""
    code = known.get(name.removeprefix(_WARNING_PREFIX), results.WarningCode.UNKNOWN)
    loss = _loss(message.loss) if message.HasField("loss") else None
    return results.RecognitionWarning(code, message.message, loss, message.silent_share or None)


def _loss(message: recognition_pb2.AudioLoss) -> results.AudioLoss:
    return results.AudioLoss(
        stated=_seconds(message.stated_duration) if message.HasField("stated_duration") else None,
        heard=_seconds(message.heard_duration),
        lost=_seconds(message.lost_duration) if message.HasField("lost_duration") else None,
    )


def _metadata(message: recognition_pb2.ResponseMetadata) -> results.Metadata:
    return results.Metadata(
        model=message.model,
        model_version=message.model_version,
        precision=message.precision,
        provider=message.provider,
        audio_duration=_seconds(message.audio_duration),
        decode_duration=_seconds(message.decode_duration),
        queue_duration=_seconds(message.queue_duration),
        inference_duration=_seconds(message.inference_duration),
        batch_size=message.batch_size,
        server_version=message.server_version,
        sample_rate=message.sample_rate_hertz,
        channel_count=message.channel_count,
    )


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
