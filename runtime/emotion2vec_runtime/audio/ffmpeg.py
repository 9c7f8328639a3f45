"""Compressed audio through FFmpeg's decoders: the one door to PyAV.

FFmpeg opens some four hundred formats, among them playlists that name other files and addresses.
So it never chooses: the demuxer is the one of the container that was sniffed, only the listed
decoders may be opened, a request to open anything else fails, and the bytes come from memory. MP4
is demuxed by `mp4`, and only its packets come here.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, NamedTuple, NoReturn, cast

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.packet import Packet
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.mp4 import read_track
from emotion2vec_runtime.audio.samples import scale_integers
from emotion2vec_runtime.audio.source import Source, check_shape, undecodable

_BLOCK = 8192
"""Frames joined to one block: codecs give as few as 16 at a time."""
_MAX_STREAMS = 16
_MAX_BARREN = 1000
"""Packets in a row that give no sound before the rest is taken for garbage. Damage and decoders'
delays cost a few; without a bound, a file of tiny broken packets costs minutes."""


class Format(NamedTuple):
    """A container that FFmpeg demuxes, and the decoders that it may use for it."""

    name: str
    demuxer: str
    decoders: tuple[str, ...]


FLAC: Final = Format("FLAC", "flac", ("flac",))
MP3: Final = Format("MP3", "mp3", ("mp3float", "mp3"))
OGG: Final = Format("Ogg", "ogg", ("vorbis", "opus", "flac"))
ADTS: Final = Format("AAC", "aac", ("aac",))


def open_compressed(data: memoryview, form: Format) -> Source:
    """FLAC, MP3, Ogg (Vorbis, Opus, FLAC) or AAC in ADTS; decoding begins as blocks are read.

    Damaged packets are passed over, as players do.

    Raises:
        InvalidRequestError: nothing in it can be decoded, or its rate or channels are unsupported.
            Reading the blocks raises it too, where these change on the way.
    """
    return _open(_demuxed(data, form), form.name)


def open_m4a(data: memoryview) -> Source:
    """AAC or ALAC in MP4; else as `open_compressed`."""
    track = read_track(data)
    source = _open(_decoded_packets(track.codec, track.setup, track.packets), "M4A")
    return source._replace(skip=track.skip, keep=track.keep)


def _open(frames: Iterator[av.AudioFrame], name: str) -> Source:
    first = next(frames, None)
    if first is None:
        raise undecodable(f"no sound can be decoded: the {name} file is damaged, cut or empty")
    channels = first.layout.nb_channels
    check_shape(first.sample_rate, channels)
    blocks = _joined(chain((first,), frames), first.sample_rate, channels)
    return Source(first.sample_rate, channels, blocks)


def _demuxed(data: memoryview, form: Format) -> Iterator[av.AudioFrame]:
    options = {
        "codec_whitelist": ",".join(form.decoders),
        "format_whitelist": form.demuxer,
        "max_streams": str(_MAX_STREAMS),
    }
    try:
        container = av.open(
            _Memory(data),
            "r",
            format=form.demuxer,
            container_options=options,
            metadata_errors="ignore",
            io_open=_refuse_to_open,
        )
    except av.FFmpegError:
        return
    with container:
        if not container.streams.audio:
            return
        stream = container.streams.audio[0]
        # The option binds FFmpeg's own probing only; PyAV opens the decoder without it.
        if stream.codec_context.name not in form.decoders:
            return
        yield from _decoded(stream.codec_context, _until_broken(container.demux(stream)))


def _decoded_packets(
    codec: str, setup: bytes, packets: Iterator[memoryview]
) -> Iterator[av.AudioFrame]:
    context = cast(av.AudioCodecContext, av.CodecContext.create(codec, "r"))
    context.extradata = setup
    yield from _decoded(context, (Packet(bytes(packet)) for packet in packets))


def _until_broken(packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    try:
        yield from packets
    except av.FFmpegError:
        return


def _decoded(
    context: av.AudioCodecContext, packets: Iterable[Packet[Any]]
) -> Iterator[av.AudioFrame]:
    barren = 0
    for packet in chain(packets, (None,)):
        frames = _decode_packet(context, packet)
        barren = 0 if frames else barren + 1
        if barren > _MAX_BARREN:
            return
        yield from frames


def _decode_packet(
    context: av.AudioCodecContext, packet: Packet[Any] | None
) -> list[av.AudioFrame]:
    """No frames from a damaged packet. None flushes; so would an empty one, in mid-stream."""
    if packet is not None and not packet.size:
        return []
    try:
        return context.decode(packet)
    except av.FFmpegError:
        return []


def _joined(frames: Iterable[av.AudioFrame], rate: int, channels: int) -> Iterator[Float32]:
    """Blocks of many frames: to make an array of each would cost a third of an MP3's decoding."""
    fifo = AudioFifo()
    for frame in frames:
        if frame.sample_rate != rate or frame.layout.nb_channels != channels:
            raise undecodable("the audio changes its sample rate or channels: split it there")
        # The samples count, not their times, which a damaged file may have wrong.
        frame.pts = None
        fifo.write(frame)
        if fifo.samples >= _BLOCK:
            yield _to_float(cast(av.AudioFrame, fifo.read()))
    if fifo.samples:
        yield _to_float(cast(av.AudioFrame, fifo.read()))


def _to_float(frame: av.AudioFrame) -> Float32:
    """[channels, n], integers scaled to -1..1."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if np.issubdtype(values.dtype, np.signedinteger):
        return scale_integers(cast(NDArray[np.signedinteger[Any]], values))
    return values.astype(np.float32, copy=False)


class _Memory:
    """Bytes as the file that PyAV reads; no call fails, whatever a header asks for."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def read(self, size: int) -> bytes:
        piece = bytes(self._data[self._position : self._position + max(0, size)])
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, len(self._data))[whence] if whence in (0, 1, 2) else 0
        self._position = min(max(0, base + offset), len(self._data))
        return self._position

    def tell(self) -> int:
        return self._position


def _refuse_to_open(url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    raise av.error.PermissionError(errno.EACCES, "audio may not open anything", url)
