"""What bytes are, and who reads them: bare samples and plain WAV are read here, every other
container in a decoder process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emotion2vec_runtime.audio import headers
from emotion2vec_runtime.audio.containers.formats import Format
from emotion2vec_runtime.audio.loss import Loss, LossKind
from emotion2vec_runtime.audio.samples import SampleFormat
from emotion2vec_runtime.audio.sniff import Sniffed, sniff, sniff_among_samples
from emotion2vec_runtime.audio.source import Block, sample_blocks, undecodable
from emotion2vec_runtime.audio.spec import AudioSpec, Encoding
from emotion2vec_runtime.audio.wav import is_plain
from emotion2vec_runtime.audio.workers.job import Job
from emotion2vec_runtime.errors import InvalidRequestError

HEAD_BYTES: Final = 1 << 14
"""Bytes of a container that hold what it says of itself."""
RAW_FORMATS: Final = {
    Encoding.LINEAR16: SampleFormat.S16,
    Encoding.FLOAT32: SampleFormat.F32,
    Encoding.MULAW: SampleFormat.MULAW,
    Encoding.ALAW: SampleFormat.ALAW,
}


def raw_blocks(data: memoryview, spec: AudioSpec) -> Iterator[Block]:
    """A whole recording of bare samples.

    Raises:
        InvalidRequestError: the bytes are a file, or no whole samples.
    """
    check_no_container(data, spec.encoding)
    assert spec.sample_rate is not None  # noqa: S101 - AudioSpec sees to it
    sample_format = RAW_FORMATS[spec.encoding]
    frame = sample_format.width * spec.channels
    if len(data) % frame:
        raise undecodable(
            f"{len(data)} bytes are not whole {spec.encoding.value} samples of {frame} bytes: "
            "the end is missing, or the encoding or channel count is wrong"
        )
    return sample_blocks(data, sample_format, spec.sample_rate, spec.channels)


def check_no_container(data: memoryview, encoding: Encoding) -> None:
    """Refuses a file that was sent as bare samples.

    Raises:
        InvalidRequestError: the first bytes are a container's.
    """
    found = sniff_among_samples(data)
    if found is None:
        return
    name = found.format.encoding
    hint = "leave it unset"
    if name is not Encoding.DETECT:
        hint = f"set the encoding to {name.value}, or {hint}"
    raise InvalidRequestError(
        "audio_config.encoding",
        f"these bytes are a file ({found.format.title}) and not bare {encoding.value} samples: "
        f"{hint}",
    )


def find_container(data: memoryview, declared: Encoding) -> Sniffed:
    """Which container it is.

    Raises:
        InvalidRequestError: it is none, or another than the one that was declared.
    """
    found = sniff(data)
    if found is None:
        raise undecodable(
            "these bytes are no WAV, FLAC, MP3, OGG, M4A, WebM or other audio file that is known "
            "here: send one of them, or name the raw encoding"
        )
    true = found.format.encoding
    if declared not in (Encoding.DETECT, true):
        name = found.format.title if true is Encoding.DETECT else true.value
        raise InvalidRequestError(
            "audio_config.encoding",
            f"the encoding says {declared.value}, but these bytes are {name}: "
            "correct it, or leave it unset",
        )
    return found


def is_plain_wav(found: Sniffed, head: memoryview) -> bool:
    """Whether it is read here."""
    return found.format is Format.WAV and is_plain(head)


def new_job(found: Sniffed, head: bytes, max_seconds: float, *, separate: bool) -> Job:
    """What a decoder process is to do with it; `head` begins where the container does."""
    length = headers.length(head, found.format)
    return Job(found.format, length, max_seconds, separate, found.start)


def with_missing_bytes(
    losses: tuple[Loss, ...], found: Sniffed, head: bytes, size: int, heard_seconds: float
) -> tuple[Loss, ...]:
    """`losses`, and that bytes are missing where the container of `size` bytes states more and
    nothing else tells."""
    stated = headers.stated_bytes(head, found.format)
    if stated is None or size >= stated or any(loss.kind is LossKind.TRUNCATED for loss in losses):
        return losses
    message = f"the recording is cut short: it says that it has {stated} bytes, and has {size}"
    return (*losses, Loss(LossKind.TRUNCATED, None, heard_seconds, None, message))
