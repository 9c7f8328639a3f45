"""The microphone, through sounddevice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sounddevice

from emotion2vec_client.audio import RawFormat
from emotion2vec_client.command.sources import CHUNK_SECONDS, LiveChunks, Source


@contextmanager
def microphone() -> Iterator[tuple[Source, LiveChunks]]:
    """Listens to the default input, one channel, at its own sample rate.

    Raises:
        OSError: there is no input, or it can't be opened.
    """
    chunks = LiveChunks()

    def heard(data: Any, _frames: int, _time: Any, _status: Any) -> None:
        chunks.offer(bytes(data))

    try:
        rate = int(sounddevice.query_devices(kind="input")["default_samplerate"])
        stream = sounddevice.RawInputStream(
            samplerate=rate,
            blocksize=int(rate * CHUNK_SECONDS),
            channels=1,
            dtype="int16",
            callback=heard,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise OSError(f"no microphone can be opened ({error})") from error
    with stream:
        yield Source(chunks, RawFormat("linear16", rate, 1)), chunks
