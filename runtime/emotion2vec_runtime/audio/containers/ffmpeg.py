"""FFmpeg's demuxers and decoders: the one door to PyAV.

FFmpeg opens some four hundred formats, among them playlists that name other files and addresses.
So it never chooses: the demuxer is the one of the container that was sniffed, only the listed
decoders may be opened, and a request to open anything else fails.
"""

from __future__ import annotations

import errno
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final, NamedTuple, NoReturn, cast

import av
import av.logging
import numpy as np
from av.audio.fifo import AudioFifo
from av.container import InputContainer
from av.packet import Packet
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.containers.formats import DECODERS, Format
from emotion2vec_runtime.audio.containers.ogg import Readable
from emotion2vec_runtime.audio.containers.timeline import Placed
from emotion2vec_runtime.audio.samples import scale_integers
from emotion2vec_runtime.audio.source import Block, check_shape, undecodable

_BLOCK = 1 << 15
"""Frames joined to one block: codecs give as few as 16 at a time."""
_MAX_STREAMS = 16
_READ_BYTES = 1 << 15
_READ_BYTES_OF_ADTS = 1 << 10
_LEAST_GAP = 2 * _READ_BYTES_OF_ADTS
_MAX_BARREN = 10_000
"""Packets in a row that give no sound before the rest is taken for garbage. Damage costs few, and a
hole of minutes thousands; without a bound, a file of tiny broken packets costs minutes."""
_UNSUPPORTED_AAC: Final = {17: "ER-AAC-LC", 23: "AAC-LD", 36: "MPEG-4 ALS", 39: "AAC-ELD"}
"""Audio object types of ISO/IEC 14496-3, table 1.17, that FFmpeg does not decode, or not all of."""


class Decoded(NamedTuple):
    """What came of one packet."""

    size: int
    """Bytes of the packet; 0 at the end of the file."""
    frames: list[av.AudioFrame]
    is_broken: bool
    gap: int = 0
    """Bytes that were stepped over before it, where nothing else tells of them."""


class _Place:
    """A file, and where FFmpeg is in it.

    FFmpeg steps over what is no ADTS without a word, and counts the places of packets without it.
    But reading is ahead of them only by what FFmpeg looked at to begin with, and then by one read:
    where that rises, there was more.
    """

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.now = 0
        self._accounted = 0
        self._ahead: int | None = None
        # A live file can't be sought in, and PyAV looks whether one can.
        if seek := getattr(file, "seek", None):
            self._seek = seek
            self.seek = self._seek_to
            self.tell = lambda: self.now

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self.now += len(data)
        return data

    def gap_before(self, size: int) -> int:
        """Bytes that were stepped over before the next packet, which is of this size."""
        self._accounted += size
        ahead = self.now - self._accounted
        rise = 0 if self._ahead is None else ahead - self._ahead
        gap = rise if rise > _LEAST_GAP else 0
        self._accounted += gap
        self._ahead = ahead - gap
        return gap

    def _seek_to(self, offset: int, whence: int = 0, /) -> int:
        self.now = int(self._seek(offset, whence))
        return self.now


class AudioTrack:
    """The first audio track of a container; a context manager."""

    def __init__(self, file: Readable, form: Format) -> None:
        """Opens it.

        Raises:
            InvalidRequestError: it is no such container, it has no audio, or that is in a codec
                that is not decoded.
        """
        self._format = form
        self._place = _Place(file)
        self.has_complained = False
        """Whether FFmpeg has called something an error so far."""
        av.logging.set_level(av.logging.ERROR)
        # Else what the last file was blamed for is not said again of this one.
        av.logging.set_skip_repeated(False)
        self._log = av.logging.Capture()
        self._complaints = self._log.__enter__()
        try:
            self._container = self._open()
        except BaseException:
            self._log.__exit__(None, None, None)
            raise
        try:
            self._stream = self._find_audio()
        except BaseException:
            self.close()
            raise

    def _open(self) -> InputContainer:
        form = self._format
        options = {
            "codec_whitelist": ",".join(sorted(DECODERS)),
            "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2" if form is Format.MP4 else form.demuxer,
            "max_streams": str(_MAX_STREAMS),
        }
        try:
            return av.open(
                self._place,
                "r",
                format=form.demuxer,
                container_options=options,
                metadata_errors="ignore",
                buffer_size=_READ_BYTES_OF_ADTS if form is Format.ADTS else _READ_BYTES,
                io_open=_refuse_to_open,
            )
        except (av.FFmpegError, ValueError) as error:
            raise undecodable(_why_closed(form)) from error

    def __enter__(self) -> AudioTrack:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()
        self._log.__exit__(None, None, None)

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
        barren = 0
        try:
            for packet in self._container.demux(self._stream):
                decoded = _decode_packet(context, packet)
                if self._format is Format.ADTS:
                    decoded = decoded._replace(gap=self._place.gap_before(packet.size))
                self._read_log()
                yield decoded
                barren = 0 if decoded.frames else barren + 1
                if barren > _MAX_BARREN:
                    break
            else:
                return
        except (av.FFmpegError, IndexError):
            # PyAV fails so where a damaged file seems to begin another stream in its middle.
            pass
        yield Decoded(0, [], is_broken=True)

    def _read_log(self) -> None:
        if self._complaints:
            # A video's own decoder is not on the list of those for audio.
            self.has_complained |= any("whitelist" not in log[2] for log in self._complaints)
            self._complaints.clear()

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


def load_all() -> None:
    """Loads what PyAV otherwise loads when a file has a use for it."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


def _decode_packet(context: av.AudioCodecContext, packet: Packet[Any]) -> Decoded:
    """Decodes one packet; an empty one, the last, flushes."""
    size = packet.size
    try:
        frames = context.decode(packet)
    except av.FFmpegError:
        return Decoded(size, [], is_broken=size > 0)
    return Decoded(size, frames, packet.is_corrupt)


class Joiner:
    """Joins frames to blocks: to make an array of each would cost a third of an MP3's decoding."""

    def __init__(self) -> None:
        self._fifo = AudioFifo()
        self._shape = (0, 0, "")

    def add(self, frame: av.AudioFrame, placed: Placed | None) -> Iterator[Block]:
        """Adds a frame as it was placed; yields what is to be heard by now.

        Raises:
            InvalidRequestError: its sample rate or channels are not supported.
        """
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        shape = (rate, channels, frame.format.name)
        if shape != self._shape:
            check_shape(rate, channels)
            yield from self.flush()
            # A queue takes frames of one shape, and does not notice if there are more channels.
            self._fifo, self._shape = AudioFifo(), shape
        if placed is not None:
            yield from self._add_part(frame, placed)
            return
        # Where the frame belongs is decided already, and the queue takes no jumps.
        frame.pts = None
        self._fifo.write(frame)
        if self._fifo.samples >= _BLOCK:
            yield from self.flush()

    def _add_part(self, frame: av.AudioFrame, placed: Placed) -> Iterator[Block]:
        yield from self.flush()
        if placed.silence:
            yield from self._silence(placed.silence)
        if placed.start < placed.stop:
            yield Block(frame.sample_rate, _to_float(frame)[:, placed.start : placed.stop])

    def _silence(self, count: int) -> Iterator[Block]:
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
