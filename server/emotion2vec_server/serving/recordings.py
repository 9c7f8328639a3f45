"""The use case "recognise a recording": what happens to a request, in the order in which it does.

A door reads and parses its protocol, and renders the answer; everything between is here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from emotion2vec_runtime.arrays import Samples
from emotion2vec_runtime.audio import AudioSpec, DecodedAudio, Level, decode
from emotion2vec_runtime.audio.voice import mostly_silent
from emotion2vec_runtime.errors import TooLargeError
from emotion2vec_runtime.recognition.recognition import Recognition
from emotion2vec_runtime.recognition.result import Options, interpret, of_channels
from emotion2vec_runtime.recognition.warnings import (
    RecognitionWarning,
    about_level,
    about_source,
)

from emotion2vec_server.batching.batcher import Completed
from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.serving.caller import Caller
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.config import Granularity, RecognitionConfig
from emotion2vec_server.serving.observer import Observer
from emotion2vec_server.serving.served_model import ServedModel, all_or_none, slowest
from emotion2vec_server.serving.uploads import Uploads

METHOD = "Recognize"
_QUICK_BYTES = 2**19
"""Of raw samples at the model's rate, 16 s in 16 bits: to take them in costs less (0.3 ms at most)
than to hand them to another thread, which has to wait for the interpreter lock there and back."""
_log = logging.getLogger(__name__)

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """What one caller may ask for, and below which confidence the caller is warned."""

    max_audio_seconds: float
    low_confidence: float


@dataclass(frozen=True, slots=True)
class RecordingRequest:
    """A request, parsed; `content` are the bytes of the recording."""

    request_id: str
    config: RecognitionConfig
    audio: AudioSpec
    content: bytes


class _Decoded(NamedTuple):
    """Decoded audio, what is doubtful about it, and how long it took to find out.

    `tracks` are what the model is to hear: the mix, or each channel; `doubts` are about each.
    """

    audio: DecodedAudio
    tracks: Sequence[Samples]
    warnings: tuple[RecognitionWarning, ...]
    doubts: Sequence[tuple[RecognitionWarning, ...]]
    seconds: float


class _ParsedRequest(NamedTuple):
    """A request, when nothing of its bytes is needed any more."""

    request_id: str
    model: ServedModel
    options: Options
    decoded: _Decoded


class Recordings:
    """Recognises whole recordings."""

    def __init__(
        self,
        catalog: Catalog,
        uploads: Uploads,
        executor: Executor,
        limits: RecordingLimits,
        observer: Observer,
    ) -> None:
        """`executor` runs what would block the event loop."""
        self._catalog = catalog
        self._uploads = uploads
        self._executor = executor
        self._limits = limits
        self._observer = observer

    async def recognize(
        self,
        caller: Caller,
        read: Callable[[], Awaitable[bytes]],
        parse: Callable[[bytes], RecordingRequest],
        render: Callable[[Answer], R],
        size: int | None = None,
    ) -> R:
        """Recognises one recording.

        Args:
            caller: who asks.
            read: reads the body; not called where there is no room for it.
            parse: makes a request of it.
            render: what the caller gets, of the answer. Called in another thread where it may take
                long.
            size: bytes that the body can't exceed, where that is known before it is read.

        Raises:
            RequestError: it can't be served, or not now.
        """
        parsed = await self._take_in(caller, read, parse, size)
        audio = parsed.decoded.audio
        self._observer.audio(METHOD, audio.seconds)
        tracks = await all_or_none(
            [
                parsed.model.recognize(
                    samples,
                    deadline=caller.deadline,
                    frame_embeddings=parsed.options.frame_embeddings,
                    speech_only=parsed.options.speech_only,
                    caller=caller.name,
                )
                for samples in parsed.decoded.tracks
            ]
        )
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("recognized", extra=_log_fields(parsed, slowest(tracks)))
        if len(tracks) == 1 and not tracks[0].result.segments:
            return render(self._answer(parsed, tracks))
        # Minutes of frames take long enough to be felt by the other callers.
        return await self._off_loop(lambda: render(self._answer(parsed, tracks)))

    async def _take_in(
        self,
        caller: Caller,
        read: Callable[[], Awaitable[bytes]],
        parse: Callable[[bytes], RecordingRequest],
        size: int | None,
    ) -> _ParsedRequest:
        """Reads and decodes a request; its bytes are given up with that.

        A model without room for the result is found out as soon as can be: before the body is read
        where there is one model, and before anything is decoded that takes long.
        """
        models = self._catalog.models()
        if len(models) == 1:
            models[0].batcher.check(deadline=caller.deadline, caller=caller.name)
        async with self._uploads.receive(caller.name, read, parse, size) as request:
            model = self._catalog.get(request.config.model)
            options = request.config.options(model, Granularity.UTTERANCE)
            limit = self._limits.max_audio_seconds
            if request.audio.is_as_heard and len(request.content) < _QUICK_BYTES:
                decoded = _decode(request, options, limit)
            else:
                model.batcher.check(deadline=caller.deadline, caller=caller.name)
                decoded = await self._off_loop(lambda: _decode(request, options, limit))
            return _ParsedRequest(request.request_id, model, options, decoded)

    async def _off_loop(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _answer(self, parsed: _ParsedRequest, tracks: Sequence[Completed[Recognition]]) -> Answer:
        decoded, about = parsed.decoded, slowest(tracks)
        results = [
            interpret(
                track.result,
                decoded.audio.seconds,
                parsed.options,
                parsed.model.manifest,
                samples=samples,
                warnings=doubts if parsed.options.separate else (*decoded.warnings, *doubts),
                low_confidence=self._limits.low_confidence,
            )
            for track, samples, doubts in zip(tracks, decoded.tracks, decoded.doubts, strict=True)
        ]
        result = (
            of_channels(results, decoded.audio.seconds, decoded.warnings)
            if parsed.options.separate
            else results[0]
        )
        return Answer(
            parsed.request_id,
            parsed.model,
            result,
            decode_seconds=decoded.seconds,
            queue_seconds=about.queue_seconds,
            run_seconds=about.run_seconds,
            batch_size=about.batch_size,
            source_rate=decoded.audio.source_rate,
            source_channels=decoded.audio.source_channels,
        )


def _decode(request: RecordingRequest, options: Options, max_seconds: float) -> _Decoded:
    began = time.perf_counter()
    try:
        audio = decode(request.content, request.audio, max_seconds, separate=options.separate)
    except TooLargeError as error:
        raise TooLargeError(
            f"the audio is longer than {max_seconds:g} s, the longest that Recognize takes here "
            "(--max-audio-seconds): send it with RecognizeRecording"
        ) from error
    tracks = (audio.samples,) if audio.channels is None else tuple(audio.channels)
    warnings = tuple(about_source(audio, is_mixed=not options.separate))
    doubts = [tuple(about_level(Level(one), mostly_silent(one))) for one in tracks]
    return _Decoded(audio, tracks, warnings, doubts, time.perf_counter() - began)


def _log_fields(parsed: _ParsedRequest, completed: Completed[None]) -> dict[str, object]:
    return {
        "request_id": parsed.request_id,
        "model": parsed.model.manifest.name,
        "audio_seconds": round(parsed.decoded.audio.seconds, 3),
        "decode_ms": round(1000 * parsed.decoded.seconds, 2),
        "queue_ms": round(1000 * completed.queue_seconds, 2),
        "inference_ms": round(1000 * completed.run_seconds, 2),
        "batch_size": completed.batch_size,
    }
