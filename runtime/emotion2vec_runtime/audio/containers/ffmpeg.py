"""FFmpeg's demuxers and decoders: the one door to PyAV.

FFmpeg opens some four hundred formats, among them playlists that name other files and addresses.
So it never chooses: the demuxer is the one of the container that was sniffed, only the listed
decoders may be opened, and a request to open anything else fails.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, NoReturn, cast

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.packet import Packet
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.containers.formats import DECODERS, Format
from emotion2vec_runtime.audio.containers.ogg import Readable
from emotion2vec_runtime.audio.containers.timeline import Placed
from emotion2vec_runtime.audio.samples import scale_integers
from emotion2vec_runtime.audio.source import Block, undecodable

_BLOCK = 8192
"""Frames joined to one block: codecs give as few as 16 at a time."""
_MAX_STREAMS = 16
_READ_BYTES = 1 << 15
_UNSUPPORTED_AAC: Final = {17: "ER-AAC-LC", 23: "AAC-LD", 36: "MPEG-4 ALS", 39: "AAC-ELD"}
"""Audio object types of ISO/IEC 14496-3, table 1.17, that FFmpeg does not decode, or not all of."""


class Frame(NamedTuple):
    """Some decoded samples."""

    audio: av.AudioFrame
    rate: int
    channels: int
    size: int
    """Samples of each channel."""
    time: float | None
    """Seconds at which it is to be heard, where the container says so."""


class Decoded(NamedTuple):
    """What came of one packet."""

    size: int
    """Bytes of the packet; 0 at the end of the file."""
    seconds: float
    """How long the container says that the packet lasts; 0 where it does not."""
    frames: list[Frame]
    is_broken: bool


class AudioTrack:
    """The first audio track of a container; a context manager."""

    def __init__(self, file: Readable, form: Format) -> None:
        """Opens it.

        Raises:
            InvalidRequestError: it is no such container, it has no audio, or that is in a codec
                that is not decoded.
        """
        self._format = form
        options = {
            "codec_whitelist": ",".join(sorted(DECODERS)),
            "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2" if form is Format.MP4 else form.demuxer,
            "max_streams": str(_MAX_STREAMS),
        }
        try:
            self._container = av.open(
                file,
                "r",
                format=form.demuxer,
                container_options=options,
                metadata_errors="ignore",
                buffer_size=_READ_BYTES,
                io_open=_refuse_to_open,
            )
        except (av.FFmpegError, ValueError) as error:
            raise undecodable(_why_closed(form)) from error
        try:
            self._stream = self._find_audio()
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> AudioTrack:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def stated_seconds(self) -> float | None:
        """How long FFmpeg says that the track is, if it says so; it may be an estimate."""
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        if container.duration is not None and len(container.streams) == 1:
            return float(container.duration) / av.time_base
        return None

    def decode(self) -> Iterator[Decoded]:
        """Every packet in order, decoded; the last one flushes the decoder."""
        context = self._stream.codec_context
        try:
            for packet in self._container.demux(self._stream):
                yield _decode_packet(context, packet)
        except av.FFmpegError:
            yield Decoded(0, 0.0, [], is_broken=True)

    def why_silent(self) -> str:
        """What to say of a track of which nothing could be decoded."""
        title = self._format.title
        extra = self._stream.codec_context.extradata or b""
        if self._stream.codec_context.name == "aac" and len(extra) >= 2:
            kind = extra[0] >> 3
            if kind == 31:
                kind = 32 + ((extra[0] & 7) << 3 | extra[1] >> 5)
            if kind in _UNSUPPORTED_AAC:
                return f"{_UNSUPPORTED_AAC[kind]} in {title} is not supported: use another codec"
        return f"no sound can be decoded: the {title} file is damaged, cut or empty"

    def _find_audio(self) -> av.AudioStream:
        if not self._container.streams.audio:
            raise undecodable(
                f"the {self._format.title} file has no audio track: send one that has"
            )
        stream = self._container.streams.audio[0]
        context = cast("av.AudioCodecContext | None", stream.codec_context)
        name = context.name if context is not None else None
        # The option binds FFmpeg's own probing only; PyAV opens the decoder without it.
        if context is None or name not in DECODERS:
            raise undecodable(
                f"{name or 'the audio codec'} in {self._format.title} is not supported: use "
                "another codec"
            )
        context.thread_count = 1
        return stream


def _why_closed(form: Format) -> str:
    """What to say of a file that can't be opened."""
    if form is Format.MP4:
        return "the MP4 file is damaged, or its index, often its last part, is missing: send all"
    return f"the {form.title} file is damaged, cut or empty: send the whole file"


def _decode_packet(context: av.AudioCodecContext, packet: Packet[Any]) -> Decoded:
    """Decodes one packet; an empty one, the last, flushes."""
    seconds = float(packet.duration * packet.time_base) if packet.duration else 0.0
    size = packet.size
    try:
        frames = context.decode(packet)
    except av.FFmpegError:
        return Decoded(size, seconds, [], is_broken=size > 0)
    return Decoded(size, seconds, [_frame(audio) for audio in frames], packet.is_corrupt)


def _frame(audio: av.AudioFrame) -> Frame:
    time = None
    if audio.pts is not None and audio.time_base is not None:
        time = float(audio.pts * audio.time_base)
    return Frame(audio, audio.sample_rate, audio.layout.nb_channels, audio.samples, time)


class Joiner:
    """Joins frames to blocks: to make an array of each would cost a third of an MP3's decoding."""

    def __init__(self) -> None:
        self._fifo = AudioFifo()
        self._shape = (0, 0, "")

    def add(self, frame: Frame, placed: Placed) -> Iterator[Block]:
        """Adds a frame as it was placed; yields what is to be heard by now."""
        shape = (frame.rate, frame.channels, frame.audio.format.name)
        if shape != self._shape:
            yield from self.flush()
            self._fifo = AudioFifo()
            self._shape = shape
        if placed.silence:
            yield from self._silence(placed.silence)
        if (placed.start, placed.stop) != (0, frame.size):
            yield from self.flush()
            if placed.start < placed.stop:
                yield Block(frame.rate, _to_float(frame.audio)[:, placed.start : placed.stop])
            return
        # Where the frame belongs is decided already, and the queue takes no jumps.
        frame.audio.pts = None
        self._fifo.write(frame.audio)
        if self._fifo.samples >= _BLOCK:
            yield from self.flush()

    def _silence(self, count: int) -> Iterator[Block]:
        yield from self.flush()
        rate, channels, _ = self._shape
        while count > 0:
            size = min(count, _BLOCK)
            yield Block(rate, np.zeros((channels, size), np.float32))
            count -= size

    def flush(self) -> Iterator[Block]:
        """What is left."""
        if self._fifo.samples:
            frame = cast(av.AudioFrame, self._fifo.read())
            yield Block(frame.sample_rate, _to_float(frame))


def _to_float(frame: av.AudioFrame) -> Float32:
    """[channels, n], integers scaled to -1..1."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - np.float32(128)) / np.float32(128)
    if np.issubdtype(values.dtype, np.signedinteger):
        return scale_integers(cast(NDArray[np.signedinteger[Any]], values))
    return values.astype(np.float32, copy=False)


def _refuse_to_open(url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    raise av.error.PermissionError(errno.EACCES, "audio may not open anything", url)
