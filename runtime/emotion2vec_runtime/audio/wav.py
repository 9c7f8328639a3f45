"""WAV: RIFF chunks, one of which holds bare samples. So it is read here, as it comes, without a
library and without a copy.

Writers crash, glue files together and forget to correct sizes. So audio is looked for to the file's
end: in further data chunks, in a further RIFF behind the first; and what is left over is told.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, fmt and data chunks),
RFC 2361 (format tags), KSDATAFORMAT_SUBTYPE GUIDs (WAVE_FORMAT_EXTENSIBLE), EBU Tech 3306 (ds64).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Generator, Iterator
from typing import Final, NamedTuple

from emotion2vec_runtime.audio.loss import Loss, LossKind
from emotion2vec_runtime.audio.samples import SampleFormat
from emotion2vec_runtime.audio.source import Block, check_shape, sample_blocks, undecodable

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
_FORMATS: Final = {
    (_PCM, 1): SampleFormat.U8,
    (_PCM, 2): SampleFormat.S16,
    (_PCM, 3): SampleFormat.S24,
    (_PCM, 4): SampleFormat.S32,
    (_FLOAT, 4): SampleFormat.F32,
    (_FLOAT, 8): SampleFormat.F64,
    (_ALAW, 1): SampleFormat.ALAW,
    (_MULAW, 1): SampleFormat.MULAW,
}
"""By format tag and bytes of a sample. PCM of fewer bits than its bytes have stands in the upper
ones."""
_PLAIN_TAGS: Final = frozenset(tag for tag, _ in _FORMATS)
_LARGEST_KNOWN: Final = 0x7FFFF000
"""Sizes from here on, and 0, are left behind by writers that could not seek back: the data goes on
to the end of the file."""
_RIFF, _HEADER = 12, 8
_RIFFS: Final = (b"RIFF", b"RF64", b"BW64")
_FORMAT_BYTES, _LEAST_FORMAT_BYTES = 40, 16
_KNOWN_CHUNKS: Final = (*_RIFFS, b"data", b"fmt ", b"fact", b"LIST", b"bext", b"JUNK", b"cue ")
_SLACK: Final = 0.01
"""Seconds; less is rounding."""
_NAME: Final = re.compile(rb"[A-Za-z0-9_ -]{4}")
_MAX_CHUNKS = 10_000
_TRAILERS: Final = (b"TAG", b"APETAGEX", b"ID3", b"3DI")
"""What taggers append to any file."""


class _Format(NamedTuple):
    samples: SampleFormat
    sample_rate: int
    channels: int

    @property
    def frame(self) -> int:
        """Bytes of a sample of each channel."""
        return self.samples.width * self.channels


def is_plain(head: bytes | memoryview) -> bool:
    """Whether a WAV file that begins so holds bare samples, which are read here, and not a codec's
    packets. True where that can't be told."""
    at = _RIFF
    for _ in range(_MAX_CHUNKS):
        if at + _HEADER + 16 > len(head):
            return True
        name, size = struct.unpack_from("<4sI", head, at)
        if name == b"fmt ":
            body = bytes(head[at + _HEADER : at + _HEADER + min(size, _FORMAT_BYTES)])
            tag = _read_tag(body)
            return tag in _PLAIN_TAGS
        at += _HEADER + size + (size & 1)
    return True


class WavParser:
    """Reads WAV that comes in pieces of any size."""

    def __init__(self) -> None:
        self._ahead = memoryview(b"")
        self._has_ended = False
        self._form: _Format | None = None
        self._long_size: int | None = None
        self._stated = self._heard = 0.0
        self._has_data = False
        self._left_over = 0
        self._steps = self._parse()

    def push(self, data: memoryview) -> Iterator[Block]:
        """The audio in some more bytes.

        Raises:
            InvalidRequestError: no format before the data, another codec, or a header that
                contradicts itself.
        """
        self._ahead = memoryview(bytes(self._ahead) + data) if self._ahead else data
        yield from self._run()

    def finish(self) -> Iterator[Block]:
        """The rest.

        Raises:
            InvalidRequestError: as `push`, or there was no data.
        """
        self._has_ended = True
        yield from self._run()
        if not self._has_data:
            raise undecodable("the WAV file ends, or is damaged, before its data: send all of it")

    def losses(self) -> tuple[Loss, ...]:
        """What was not heard, after `finish`."""
        return tuple(self._find_losses())

    def _find_losses(self) -> Iterator[Loss]:
        stated, heard = self._stated, self._heard
        if heard < stated - _SLACK:
            yield Loss(
                LossKind.TRUNCATED,
                stated,
                heard,
                stated - heard,
                f"the recording ends early: it says that it holds {stated:.2f} s, and ends after "
                f"{heard:.2f} s",
            )
        if self._left_over:
            yield Loss(
                LossKind.DAMAGED,
                stated,
                heard,
                None,
                f"{self._left_over} bytes behind the audio were left out: nothing says what they "
                "are",
            )

    def _run(self) -> Iterator[Block]:
        for step in self._steps:
            if step is None:
                return
            yield step

    # The steps below yield the audio that they come upon, and None where they need more bytes.

    def _parse(self) -> Iterator[Block | None]:
        yield from self._skip(_RIFF)
        for _ in range(_MAX_CHUNKS):
            if not (yield from self._has(_HEADER)):
                break
            name, size = struct.unpack_from("<4sI", self._ahead)
            if name in _RIFFS and (yield from self._has(_RIFF)):
                # Another file was appended to this one.
                yield from self._skip(_RIFF)
                continue
            if not _NAME.fullmatch(name):
                break
            yield from self._skip(_HEADER)
            yield from self._read_chunk(name, size)
            if size & 1:
                yield from self._skip_padding()
        yield from self._count_left_over()

    def _read_chunk(self, name: bytes, size: int) -> Iterator[Block | None]:
        if name == b"data":
            yield from self._read_data(size)
            return
        if name == b"fmt ":
            yield from self._has(min(size, _FORMAT_BYTES))
            self._form = _read_format(bytes(self._ahead[: min(size, _FORMAT_BYTES)]))
        elif name == b"ds64" and (yield from self._has(16)):
            self._long_size = int.from_bytes(self._ahead[8:16], "little")
        skipped = yield from self._skip(size)
        if skipped < size and self._has_data:
            self._left_over += skipped

    def _read_data(self, size: int) -> Iterator[Block | None]:
        form = self._form
        if form is None:
            raise undecodable("the WAV file has no format before its data: write it again")
        check_shape(form.sample_rate, form.channels)
        self._has_data = True
        left: int | None = size
        if size == 0 or size >= _LARGEST_KNOWN:
            left = self._long_size or None
        if left is not None:
            self._stated += left / form.frame / form.sample_rate
        while left is None or left >= form.frame:
            if not (yield from self._has(form.frame)):
                break
            count = min(len(self._ahead), len(self._ahead) if left is None else left)
            piece = self._take(count // form.frame * form.frame)
            left = None if left is None else left - len(piece)
            self._heard += len(piece) / form.frame / form.sample_rate
            yield from sample_blocks(piece, *form)
        yield from self._skip(left or 0)

    def _skip_padding(self) -> Iterator[None]:
        """Chunks of an odd size have a byte of padding behind them, which some writers forget."""
        if (yield from self._has(1)) and not (
            (yield from self._has(4)) and bytes(self._ahead[:4]) in _KNOWN_CHUNKS
        ):
            self._take(1)

    def _count_left_over(self) -> Iterator[None]:
        is_first = True
        while (yield from self._has(1)):
            piece = bytes(self._take(len(self._ahead)))
            if is_first and piece.startswith(_TRAILERS):
                return
            is_first = False
            self._left_over += len(piece) if piece.strip(b"\0") else 0

    def _has(self, count: int) -> Generator[None, None, bool]:
        """Whether so many bytes lie ahead; waits for them."""
        while len(self._ahead) < count:
            if self._has_ended:
                return False
            yield None
        return True

    def _skip(self, count: int) -> Generator[None, None, int]:
        """How many of so many bytes there were to skip."""
        left = count
        while left and (yield from self._has(1)):
            left -= len(self._take(min(left, len(self._ahead))))
        return count - left

    def _take(self, count: int) -> memoryview:
        taken, self._ahead = self._ahead[:count], self._ahead[count:]
        return taken


def _read_format(body: bytes) -> _Format:
    if len(body) < _LEAST_FORMAT_BYTES:
        raise undecodable("the WAV file's format chunk is cut short: send the whole file")
    _, channels, sample_rate, _, align, bits = struct.unpack_from("<HHIIHH", body)
    tag = _read_tag(body)
    check_shape(sample_rate, channels)
    width = align // channels or (bits + 7) // 8
    samples = _FORMATS.get((tag, width))
    if samples is None or (bits + 7) // 8 > width:
        raise undecodable(
            f"WAV with format tag {tag:#06x} and {bits} bits in {width} bytes is not supported: "
            "use PCM, float, mu-law or A-law"
        )
    if align not in (0, channels * width):
        raise undecodable(
            "the WAV file's header contradicts itself about its frame size: write it again"
        )
    return _Format(samples, sample_rate, channels)


def _read_tag(body: bytes) -> int:
    """The format tag, of which an extensible header has the true one further on."""
    tag = int.from_bytes(body[:2], "little")
    if tag == _EXTENSIBLE and len(body) >= _FORMAT_BYTES and body[26:40] == _GUID_TAIL:
        return int.from_bytes(body[24:26], "little")
    return tag
