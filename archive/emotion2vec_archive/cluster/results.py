"""A model in this process, which answers as a server's client does."""

from __future__ import annotations

from emotion2vec_client import results
from emotion2vec_runtime import Recognizer, Result
from emotion2vec_runtime.audio import Loss
from emotion2vec_runtime.recognition import emotion as runtime_emotion
from emotion2vec_runtime.recognition.warnings import RecognitionWarning


def recognition_of(result: Result, recognizer: Recognizer) -> results.Recognition:
    """What a server would answer of this result, without the times that it took."""
    manifest = recognizer.manifest
    metadata = results.Metadata(
        model=manifest.name,
        model_version=manifest.version,
        precision=recognizer.precision,
        provider=recognizer.provider,
        audio_duration=result.audio_seconds,
        decode_duration=0.0,
        queue_duration=0.0,
        inference_duration=0.0,
        batch_size=1,
        sample_rate=result.source_rate,
        channel_count=result.source_channels,
    )
    return _recognition(result, metadata, manifest.frame_hop / manifest.sample_rate)


def _recognition(result: Result, metadata: results.Metadata, hop: float) -> results.Recognition:
    frames = None
    if result.frames is not None and result.emotion is not None:
        names = result.emotion.classes.names
        frames = results.Frames(names, result.frames, first_index=0, start=0.0, hop=hop)
    return results.Recognition(
        request_id="",
        emotion=_emotion(result.emotion),
        frames=frames,
        embedding=result.embedding,
        frame_embeddings=result.frame_embeddings,
        segments=tuple(
            results.Segment(part.start, part.end, _emotion(part.emotion))
            for part in result.segments
        ),
        processed_audio=None,
        warnings=tuple(map(_warning, result.warnings)),
        metadata=metadata,
        channels=tuple(_recognition(channel, metadata, hop) for channel in result.channels),
    )


def _emotion(emotion: runtime_emotion.Emotion | None) -> results.Emotion | None:
    if emotion is None:
        return None
    labels = emotion.classes.labels
    return results.Emotion(
        label=emotion.label,
        confidence=emotion.confidence,
        scores=tuple(
            results.EmotionScore(label.name, label.native_name, probability)
            for label, probability in zip(labels, emotion.probabilities, strict=True)
        ),
        margin=emotion.margin,
        entropy=emotion.entropy,
    )


def _warning(warning: RecognitionWarning) -> results.RecognitionWarning:
    return results.RecognitionWarning(
        results.WarningCode(warning.code.value),
        warning.message,
        None if warning.loss is None else _loss(warning.loss),
        warning.silent_share,
    )


def _loss(loss: Loss) -> results.AudioLoss:
    return results.AudioLoss(loss.stated_seconds, loss.heard_seconds, loss.lost_seconds)
