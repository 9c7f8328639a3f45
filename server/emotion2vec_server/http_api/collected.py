"""The parts of a recording put together again: the same result as Recognize gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.recognition.result import EmotionSegment, Options, Result

from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.serving.long_recordings import OpenRecording, RecordingEvent
from emotion2vec_server.serving.track import PartOfTrack


class Collected:
    """Takes the events of one recording in; `answer` is complete behind the last."""

    def __init__(self) -> None:
        self._parts: dict[int, list[PartOfTrack]] = {}
        self._answer: Answer | None = None
        self._options: Options | None = None
        self._rate = 1

    def add(self, opened: OpenRecording, event: RecordingEvent) -> None:
        self._options, self._rate = opened.options, opened.model.manifest.sample_rate
        if isinstance(event, Answer):
            self._answer = event
        else:
            self._parts.setdefault(event.channel, []).append(event)

    @property
    def answer(self) -> Answer:
        """The whole."""
        assert self._answer is not None  # noqa: S101 - the use case has returned
        assert self._options is not None  # noqa: S101
        result = self._answer.result
        if self._options.separate:
            channels = [self._joined(one, number) for number, one in enumerate(result.channels)]
            return replace(self._answer, result=replace(result, channels=tuple(channels)))
        return replace(self._answer, result=self._joined(result, 0))

    def _joined(self, result: Result, channel: int) -> Result:
        options, parts = self._options, self._parts.get(channel, [])
        assert options is not None  # noqa: S101
        classes = options.classes
        logits = [one.part.frame_logits for one in parts if one.part.frame_logits is not None]
        embeddings = [
            one.part.frame_embeddings for one in parts if one.part.frame_embeddings is not None
        ]
        return replace(
            result,
            frames=classes.probabilities(np.concatenate(logits))
            if options.frames and logits
            else None,
            frame_embeddings=_joined(embeddings) if options.frame_embeddings else None,
            processed_audio=np.concatenate([one.samples for one in parts])
            if options.processed_audio
            else None,
            segments=self._segments(parts) if len(parts) > 1 else (),
        )

    def _segments(self, parts: Sequence[PartOfTrack]) -> tuple[EmotionSegment, ...]:
        assert self._options is not None  # noqa: S101
        return tuple(
            EmotionSegment(
                one.part.start / self._rate,
                one.part.stop / self._rate,
                self._options.classes.emotion(one.part.logits),
            )
            for one in parts
            if one.part.logits is not None
        )


def _joined(arrays: Sequence[Float32]) -> Float32 | None:
    return np.concatenate(arrays) if arrays else None
