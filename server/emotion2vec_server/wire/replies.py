"""What the use cases answer to protobuf replies. Pure translation: no policy, no I/O."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from emotion2vec.v1 import models_pb2, recognition_pb2, service_pb2
from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio import Level
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition.emotion import Classes, Emotion
from emotion2vec_runtime.recognition.result import EmotionSegment, Result
from emotion2vec_runtime.recognition.warnings import RecognitionWarning, WarningCode
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.serving.long_recordings import OpenRecording, RecordingEvent
from emotion2vec_server.serving.served_model import ServedModel
from emotion2vec_server.serving.track import PartOfTrack

ModelMessage = models_pb2.Model
_FramedReply = service_pb2.RecognizeResponse | recognition_pb2.ChannelResult
_Reply = _FramedReply | service_pb2.FinalResult

_QUIET = 1 / 256
"""Of full scale: 48 dB below it, 16 bits have 8 left."""
_VERSION = version("emotion2vec-server")
_WARNING_CODES: dict[WarningCode, recognition_pb2.WarningCode] = {
    code: getattr(recognition_pb2, f"WARNING_CODE_{code.value}") for code in WarningCode
}


def recognize_response(answer: Answer) -> bytes:
    """The reply to a Recognize call, serialized."""
    return recognize_message(answer).SerializeToString()


def recording_response(opened: OpenRecording, event: RecordingEvent) -> bytes:
    """The message for one event of a recording, serialized."""
    return recording_message(opened, event).SerializeToString()


def recording_message(
    opened: OpenRecording, event: RecordingEvent
) -> service_pb2.RecognizeRecordingResponse:
    """The message for one event of a recording."""
    reply = service_pb2.RecognizeRecordingResponse()
    if isinstance(event, Answer):
        reply.result.MergeFrom(recognize_message(event))
    else:
        reply.part.MergeFrom(_recording_part(opened, event))
    return reply


def recognize_message(answer: Answer, *, arrays: bool = True) -> service_pb2.RecognizeResponse:
    """The reply about a whole recording; without `arrays`, which may stand in files beside it, it
    has no frames, embeddings and audio."""
    reply = service_pb2.RecognizeResponse(request_id=answer.request_id)
    result = answer.result if arrays else _without_arrays(answer.result)
    set_result(reply, result)
    reply.metadata.CopyFrom(metadata(answer))
    manifest = answer.model.manifest
    _set_frames(reply, result, manifest)
    for number, channel in enumerate(result.channels):
        message = reply.channel_results.add(channel=number)
        set_result(message, channel)
        _set_frames(message, channel, manifest)
    return reply


def _without_arrays(result: Result) -> Result:
    return replace(
        result,
        frames=None,
        embedding=None,
        frame_embeddings=None,
        processed_audio=None,
        channels=tuple(map(_without_arrays, result.channels)),
    )


def _recording_part(opened: OpenRecording, event: PartOfTrack) -> service_pb2.RecordingPart:
    part, options, manifest = event.part, opened.options, opened.model.manifest
    rate = manifest.sample_rate
    message = service_pb2.RecordingPart(channel=event.channel)
    message.segment.start_offset.CopyFrom(duration(part.start / rate))
    message.segment.end_offset.CopyFrom(duration(part.stop / rate))
    if part.logits is not None:
        message.segment.result.CopyFrom(emotion_result(options.classes.emotion(part.logits)))
    if options.frames and part.frame_logits is not None:
        scores = frame_scores(
            options.classes.probabilities(part.frame_logits),
            options.classes,
            manifest,
            first_frame=part.first_frame,
            start_seconds=part.start / rate,
        )
        message.frames.CopyFrom(scores)
    if options.frame_embeddings and part.frame_embeddings is not None:
        message.frame_embeddings.CopyFrom(embedding(part.frame_embeddings))
    if options.processed_audio:
        message.processed_audio, message.processed_audio_scale = linear16(event.samples)
    return message


def _set_frames(reply: _FramedReply, result: Result, manifest: Manifest) -> None:
    if result.frames is not None and result.emotion is not None:
        reply.frames.CopyFrom(frame_scores(result.frames, result.emotion.classes, manifest))


def set_result(reply: _Reply, result: Result) -> None:
    if result.emotion is not None:
        reply.result.CopyFrom(emotion_result(result.emotion))
    if result.embedding is not None:
        reply.embedding.CopyFrom(embedding(result.embedding))
    if result.frame_embeddings is not None:
        reply.frame_embeddings.CopyFrom(embedding(result.frame_embeddings))
    if result.processed_audio is not None:
        reply.processed_audio, reply.processed_audio_scale = linear16(result.processed_audio)
    reply.segments.extend(map(segment, result.segments))
    reply.warnings.extend(map(warning, result.warnings))


def metadata(answer: Answer) -> recognition_pb2.ResponseMetadata:
    return recognition_pb2.ResponseMetadata(
        model=answer.model.manifest.name,
        model_version=answer.model.manifest.version,
        precision=answer.model.precision,
        provider=answer.model.provider,
        audio_duration=duration(answer.result.audio_seconds),
        decode_duration=duration(answer.decode_seconds),
        queue_duration=duration(answer.queue_seconds),
        inference_duration=duration(answer.run_seconds),
        batch_size=answer.batch_size,
        server_version=_VERSION,
        sample_rate_hertz=answer.source_rate,
        channel_count=answer.source_channels,
    )


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
    probabilities: Float32,
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


def embedding(values: Float32) -> recognition_pb2.Embedding:
    """An embedding [D], or one a frame [T, D]."""
    message = recognition_pb2.Embedding(shape=values.shape)
    _merge_floats(message, "values", values)
    return message


def segment(part: EmotionSegment) -> recognition_pb2.Segment:
    """One window of long audio."""
    return recognition_pb2.Segment(
        start_offset=duration(part.start),
        end_offset=duration(part.end),
        result=emotion_result(part.emotion),
    )


def warning(found: RecognitionWarning) -> recognition_pb2.Warning:
    message = recognition_pb2.Warning(code=_WARNING_CODES[found.code], message=found.message)
    if found.silent_share is not None:
        message.silent_share = found.silent_share
    if found.loss is not None:
        message.loss.heard_duration.CopyFrom(duration(found.loss.heard_seconds))
        if found.loss.stated_seconds is not None:
            message.loss.stated_duration.CopyFrom(duration(found.loss.stated_seconds))
        if found.loss.lost_seconds is not None:
            message.loss.lost_duration.CopyFrom(duration(found.loss.lost_seconds))
    return message


def linear16(samples: Samples) -> tuple[bytes, float]:
    """Samples as 16-bit little-endian PCM, and what to multiply them by to have them back.

    That is 1 unless they are beyond full scale, where they would be clipped, or so quiet that 16
    bits would not hold them: the model divides loudness out and hears either.
    """
    if samples.dtype == np.int16:
        return samples.astype("<i2", copy=False).tobytes(), 1.0
    peak = Level(samples).peak
    scale = peak if peak > 1.0 or 0.0 < peak < _QUIET else 1.0
    scaled = np.clip(np.rint(samples * (32768.0 / scale)), -32768, 32767)
    return bytes(scaled.astype("<i2").data), scale


def model_message(
    model: ServedModel,
    *,
    is_default: bool,
    max_audio_seconds: float,
    max_recording_seconds: float,
) -> ModelMessage:
    """A model's description."""
    manifest = model.manifest
    rate = manifest.sample_rate
    return ModelMessage(
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
        max_recording_duration=duration(max_recording_seconds),
        precision=model.precision,
        provider=model.provider,
    )


def _merge_floats(message: Message, field: str, values: Float32) -> None:
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
