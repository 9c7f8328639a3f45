"""Recordings spoiled at random, as transfers, disks and strangers spoil them."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.runtime.audio.media import RECIPES, encode, name_of, speech, wav

_WORDS = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\1",
    b"\1\0\0\0",
    b"\x80\0\0\0",
]
_HEAD = 600
"""Bytes at the beginning, where most of what a file says of itself stands."""


def seeds(seconds: float) -> dict[str, bytes]:
    """A short recording in every container and codec."""
    samples = speech("angry")[8000 : 8000 + round(seconds * 16000)]
    made = {name_of(r): encode(samples, r.muxer, r.encoder, r.rate, r.options) for r in RECIPES}
    return {"plain WAV": wav(samples), **made}


class Mutator:
    """Makes spoiled recordings; the same ones for the same seed."""

    def __init__(self, recordings: dict[str, bytes], seed: int) -> None:
        self._recordings = recordings
        self._names = sorted(recordings)
        self._random = random.Random(seed)

    def next(self) -> tuple[str, bytes]:
        """A recording's name, and what became of it."""
        name = self._random.choice(self._names)
        data = bytearray(self._recordings[name])
        spoil: Callable[[bytearray], None] = self._random.choice(
            [
                self._flip,
                self._word,
                self._zero,
                self._cut_out,
                self._repeat,
                self._cut,
                self._splice,
            ]
        )
        for _ in range(self._random.choice([1, 1, 2, 4])):
            if len(data) > 8:
                spoil(data)
        return name, bytes(data)

    def _place(self, data: bytearray) -> int:
        limit = len(data) if self._random.random() < 0.5 else min(_HEAD, len(data))
        return self._random.randrange(limit)

    def _range(self, data: bytearray) -> slice:
        start = self._place(data)
        return slice(start, start + self._random.randint(1, max(1, len(data) // 4)))

    def _flip(self, data: bytearray) -> None:
        for _ in range(self._random.randint(1, 16)):
            data[self._place(data)] ^= 1 << self._random.randrange(8)

    def _word(self, data: bytearray) -> None:
        at = self._place(data)
        data[at : at + 4] = self._random.choice(_WORDS)

    def _zero(self, data: bytearray) -> None:
        where = self._range(data)
        data[where] = bytes(len(data[where]))

    def _cut_out(self, data: bytearray) -> None:
        del data[self._range(data)]

    def _repeat(self, data: bytearray) -> None:
        where = self._range(data)
        data[where.start : where.start] = data[where]

    def _cut(self, data: bytearray) -> None:
        del data[self._place(data) + 1 :]

    def _splice(self, data: bytearray) -> None:
        other = self._recordings[self._random.choice(self._names)]
        at = self._place(data)
        data[at:] = other[self._random.randrange(len(other)) :]
