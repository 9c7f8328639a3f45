"""A recording of any length, decoded as its bytes come."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.decode import decode
from emotion2vec_runtime.audio.loss import Loss
from emotion2vec_runtime.audio.mix import Mix
from emotion2vec_runtime.audio.samples import as_float
from emotion2vec_runtime.audio.spec import AudioSpec


class RecordingDecoder:
    """Decodes one recording; its outputs in a row are what `decode` gives for the whole.

    Calls block; whoever owns it makes them one at a time, off an event loop. It is a context
    manager that closes itself.
    """

    def __init__(
        self, spec: AudioSpec, max_seconds: float = math.inf, *, separate: bool = False
    ) -> None:
        """`separate` keeps the channels apart: outputs are [C, n] then, else [1, n]."""
        self._spec = spec
        self._max_seconds = max_seconds
        self._separate = separate
        self._data = bytearray()
        self.source_rate = spec.sample_rate or 0
        """Hz; 0 until it is known."""
        self.source_channels = 0
        """0 until it is known."""
        self.losses: tuple[Loss, ...] = ()
        """What was not heard; complete after `finish`."""
        self.mix: Mix | None = None
        """What averaging the channels did; complete after `finish`."""

    def push(self, data: bytes | memoryview) -> Float32:
        """What these bytes complete: [1, n] or [C, n] at 16 kHz; n may be 0.

        Raises:
            InvalidRequestError: as `decode`.
            TooLargeError: longer than `max_seconds`.
        """
        self._data += data
        return np.empty((1, 0), np.float32)

    def finish(self) -> Float32:
        """The rest, shaped alike. The decoder is spent afterwards.

        Raises:
            InvalidRequestError: as `decode`.
            TooLargeError: longer than `max_seconds`.
        """
        audio = decode(bytes(self._data), self._spec, self._max_seconds, separate=self._separate)
        self.source_rate, self.source_channels = audio.source_rate, audio.source_channels
        self.losses, self.mix = audio.losses, audio.mix
        return as_float(audio.samples)[np.newaxis] if audio.channels is None else audio.channels

    def feed(self, data: bytes | memoryview) -> Iterator[Float32]:
        yield self.push(data)

    def rest(self) -> Iterator[Float32]:
        yield self.finish()

    def close(self) -> None:
        """Frees what decoding holds at once, finished or not. May be called again."""
        self._data = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
