"""The parts of a recording put together again: the same result as Recognize gives.

What is kept of a recording grows with its length where frames, frame embeddings or the processed
audio are asked for. So it is bounded, for one answer and for all that are put together at once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.recognition.result import EmotionSegment, Options, Result

from emotion2vec_server.errors import RETRY_SECONDS, OverloadedError
from emotion2vec_server.http_api.problem import HttpError
from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.serving.long_recordings import OpenRecording, RecordingEvent
from emotion2vec_server.serving.track import PartOfTrack

_MOST_BYTES: Final = 256 * 2**20
"""Of one answer: the processed audio of 70 minutes."""
_MOST_BYTES_OF_ALL: Final = 4 * _MOST_BYTES


class Shelf:
    """Counts the bytes of all answers that are being put together. Safe in any thread."""

    def __init__(self) -> None:
        self._held = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Holds so many bytes more.

        Raises:
            OverloadedError: there are too many.
        """
        with self._lock:
            if self._held + size > _MOST_BYTES_OF_ALL:
                raise OverloadedError(
                    "too many large answers are being put together; try again, or ask for "
                    "application/x-ndjson, which comes in parts",
                    RETRY_SECONDS,
                )
            self._held += size

    def give_back(self, size: int) -> None:
        with self._lock:
            self._held -= size


@dataclass(slots=True)
class _Channel:
    """What is kept of one channel's parts: what was asked for."""

    logits: list[Float32] = field(default_factory=list)
    embeddings: list[Float32] = field(default_factory=list)
    samples: list[Float32] = field(default_factory=list)
    segments: list[EmotionSegment] = field(default_factory=list)

    def add(self, event: PartOfTrack, options: Options, rate: int) -> int:
        """Takes a part in; returns the bytes that are kept of it."""
        part = event.part
        wanted = (
            (options.frames, self.logits, part.frame_logits),
            (options.frame_embeddings, self.embeddings, part.frame_embeddings),
            (options.processed_audio, self.samples, event.samples),
        )
        size = 0
        for is_wanted, kept, array in wanted:
            if is_wanted and array is not None:
                kept.append(array)
                size += array.nbytes
        if part.logits is not None:
            emotion = options.classes.emotion(part.logits)
            self.segments.append(EmotionSegment(part.start / rate, part.stop / rate, emotion))
        return size

    def joined(self, result: Result, options: Options) -> Result:
        """The result with what its parts held."""
        logits, samples = _joined(self.logits), _joined(self.samples)
        return replace(
            result,
            frames=None if logits is None else options.classes.probabilities(logits),
            frame_embeddings=_joined(self.embeddings),
            processed_audio=samples,
            segments=tuple(self.segments) if len(self.segments) > 1 else (),
        )


class Collected:
    """Takes the events of one recording in; `answer` is complete behind the last. Closed, it gives
    its room back."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._size = 0
        self._channels: dict[int, _Channel] = {}
        self._answer: Answer | None = None
        self._options: Options | None = None

    def add(self, opened: OpenRecording, event: RecordingEvent) -> None:
        """Keeps of an event what the answer needs.

        Raises:
            HttpError: the answer would be too large.
            OverloadedError: with the others it would.
        """
        self._options = opened.options
        if isinstance(event, Answer):
            self._answer = event
            return
        channel = self._channels.setdefault(event.channel, _Channel())
        size = channel.add(event, opened.options, opened.model.manifest.sample_rate)
        if self._size + size > _MOST_BYTES:
            raise HttpError(
                413,
                f"the answer would hold more than {_MOST_BYTES} bytes: ask for "
                "application/x-ndjson, which comes in parts, or for less",
            )
        self._shelf.take(size)
        self._size += size

    def close(self) -> None:
        self._shelf.give_back(self._size)
        self._size = 0

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
        assert self._options is not None  # noqa: S101
        return self._channels.get(channel, _Channel()).joined(result, self._options)


def _joined(arrays: list[Float32]) -> Float32 | None:
    return np.concatenate(arrays) if arrays else None
