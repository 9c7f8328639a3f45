"""The use case "recognise a recording": what happens to a request, in the order in which it does.

A door reads and parses its protocol, and renders the answer; everything between is here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from emotion2vec_runtime.audio import AudioSpec, DecodedAudio, decode
from emotion2vec_runtime.recognition.recognition import Recognition
from emotion2vec_runtime.recognition.result import Options, interpret
from emotion2vec_runtime.recognition.warnings import RecognitionWarning, about_audio

from emotion2vec_server.batching.batcher import Completed
from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.serving.caller import Caller
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.config import Granularity, RecognitionConfig
from emotion2vec_server.serving.observer import Observer
from emotion2vec_server.serving.served_model import ServedModel
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
    """Decoded audio, what is doubtful about it, and how long it took to find out."""

    audio: DecodedAudio
    warnings: tuple[RecognitionWarning, ...]
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
    ) -> R:
        """Recognises one recording.

        Args:
            caller: who asks.
            read: reads the body; not called where there is no room for it.
            parse: makes a request of it.
            render: what the caller gets, of the answer. Called in another thread where it may take
                long.

        Raises:
            RequestError: it can't be served, or not now.
        """
        parsed = await self._take_in(caller, read, parse)
        audio = parsed.decoded.audio
        self._observer.audio(METHOD, audio.seconds)
        completed = await parsed.model.recognize(
            audio.samples,
            deadline=caller.deadline,
            frame_embeddings=parsed.options.frame_embeddings,
            caller=caller.name,
        )
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("recognized", extra=_log_fields(parsed, completed))
        if not completed.result.segments:
            return render(self._answer(parsed, completed))
        # Minutes of frames take long enough to be felt by the other callers.
        return await self._off_loop(lambda: render(self._answer(parsed, completed)))

    async def _take_in(
        self,
        caller: Caller,
        read: Callable[[], Awaitable[bytes]],
        parse: Callable[[bytes], RecordingRequest],
    ) -> _ParsedRequest:
        """Reads and decodes a request; its bytes are given up with that.

        A model without room for the result is found out as soon as can be: before the body is read
        where there is one model, and before anything is decoded that takes long.
        """
        models = self._catalog.models()
        if len(models) == 1:
            models[0].batcher.check(deadline=caller.deadline, caller=caller.name)
        async with self._uploads.receive(caller.name, read, parse) as request:
            model = self._catalog.get(request.config.model)
            options = request.config.options(model, Granularity.UTTERANCE)
            limit = self._limits.max_audio_seconds
            if request.audio.is_as_heard and len(request.content) < _QUICK_BYTES:
                decoded = _decode(request.content, request.audio, limit)
            else:
                model.batcher.check(deadline=caller.deadline, caller=caller.name)
                decoded = await self._off_loop(
                    lambda: _decode(request.content, request.audio, limit)
                )
            return _ParsedRequest(request.request_id, model, options, decoded)

    async def _off_loop(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _answer(self, parsed: _ParsedRequest, completed: Completed[Recognition]) -> Answer:
        result = interpret(
            completed.result,
            parsed.decoded.audio.samples,
            parsed.options,
            parsed.model.manifest,
            warnings=parsed.decoded.warnings,
            low_confidence=self._limits.low_confidence,
        )
        return Answer(
            parsed.request_id,
            parsed.model,
            result,
            decode_seconds=parsed.decoded.seconds,
            queue_seconds=completed.queue_seconds,
            run_seconds=completed.run_seconds,
            batch_size=completed.batch_size,
        )


def _decode(data: bytes, spec: AudioSpec, max_seconds: float) -> _Decoded:
    began = time.perf_counter()
    audio = decode(data, spec, max_seconds)
    warnings = tuple(about_audio(audio, audio.level))
    return _Decoded(audio, warnings, time.perf_counter() - began)


def _log_fields(parsed: _ParsedRequest, completed: Completed[Recognition]) -> dict[str, object]:
    return {
        "request_id": parsed.request_id,
        "model": parsed.model.manifest.name,
        "audio_seconds": round(parsed.decoded.audio.seconds, 3),
        "decode_ms": round(1000 * parsed.decoded.seconds, 2),
        "queue_ms": round(1000 * completed.queue_seconds, 2),
        "inference_ms": round(1000 * completed.run_seconds, 2),
        "batch_size": completed.batch_size,
    }
