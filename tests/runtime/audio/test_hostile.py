"""Bytes that mean harm: a result or a clear error, at a bounded price, and nothing is opened."""

from __future__ import annotations

import io
import socket
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from emotion2vec_runtime.audio import AudioSpec, Encoding, LossKind, decode
from emotion2vec_runtime.audio.containers import ffmpeg as ffmpeg_door
from emotion2vec_runtime.audio.containers.formats import Format
from emotion2vec_runtime.audio.containers.recording import ContainerSource
from emotion2vec_runtime.audio.headers import Length
from emotion2vec_runtime.errors import InvalidRequestError, TooLargeError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.audio.conftest import floats

DETECT = AudioSpec(Encoding.DETECT)
CONTAINERS = [e for e in Encoding if not e.is_raw]


def try_to_decode(data: bytes, spec: AudioSpec = DETECT) -> None:
    """Anything but these two errors fails the test."""
    try:
        audio = decode(data, spec, 5)
    except InvalidRequestError as error:
        assert error.field in ("audio", "audio_config.encoding")  # noqa: PT017
    except TooLargeError:
        pass
    else:
        assert floats(audio).size > 0
        assert floats(audio).ndim == 1
        assert np.isfinite(floats(audio)).all()


@settings(max_examples=300)
@given(data=st.binary(max_size=3000), encoding=st.sampled_from(CONTAINERS))
def test_random_bytes(data: bytes, encoding: Encoding) -> None:
    try_to_decode(data, AudioSpec(encoding))


@settings(max_examples=200)
@given(
    magic=st.sampled_from(
        [b"RIFF\0\0\0\0WAVEfmt ", b"fLaC", b"OggS\0", b"\0\0\0\x14ftypM4A ", b"ID3\4\0\0\0\0\0\0",
         b"\xff\xfb\x90\x00", b"\xff\xf1\x50\x80\x02\x1f\xfc"]
    ),
    data=st.binary(max_size=3000),
)  # fmt: skip
def test_random_bytes_behind_a_signature(magic: bytes, data: bytes) -> None:
    try_to_decode(magic + data)


@settings(max_examples=100)
@given(
    data=st.binary(max_size=999),
    encoding=st.sampled_from([e for e in Encoding if e.is_raw]),
    rate=st.sampled_from([8000, 16000, 44100]),
    channels=st.integers(1, 8),
)
def test_random_bytes_as_raw(data: bytes, encoding: Encoding, rate: int, channels: int) -> None:
    try_to_decode(data, AudioSpec(encoding, rate, channels))


FORMATS = [
    "wav", "wav-float-stereo", "flac", "mp3", "vorbis", "opus", "ogg-flac", "m4a", "alac", "mov",
    "mp4-fragmented", "adts",
]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(
    files: dict[str, bytes], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    original = files[name]

    @settings(max_examples=60)
    @given(
        cut=st.integers(0, len(original)),
        flips=st.lists(
            st.tuples(
                st.one_of(st.integers(0, 800), st.integers(0, len(original) - 1)),
                st.one_of(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]), st.integers(0, 255)),
            ),
            max_size=12,
        ),
    )
    def damage(cut: int, flips: list[tuple[int, int]]) -> None:
        data = bytearray(original)
        for at, value in flips:
            data[at % len(data)] = value
        try_to_decode(bytes(data))
        try_to_decode(bytes(data[:cut]))

    damage()
    assert capfd.readouterr() == ("", ""), "a decoder writes to the server's log"


def ogg_with_true_checksums(data: bytes) -> bytes:
    """As an attacker would: Ogg's checksum (RFC 3533, polynomial 0x04c11db7) hides damage."""
    table = []
    for octet in range(256):
        value = octet << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
        table.append(value)
    result = bytearray(data)
    at = 0
    while result[at : at + 4] == b"OggS" and at + 27 <= len(result):
        segments = result[at + 26]
        end = at + 27 + segments + sum(result[at + 27 : at + 27 + segments])
        result[at + 22 : at + 26] = bytes(4)
        check = 0
        for octet in result[at:end]:
            check = (check << 8 & 0xFFFFFFFF) ^ table[check >> 24 ^ octet]
        result[at + 22 : at + 26] = struct.pack("<I", check)
        at = end
    return bytes(result)


@pytest.mark.parametrize("name", ["vorbis", "opus", "ogg-flac"])
def test_damaged_ogg_with_true_checksums(files: dict[str, bytes], name: str) -> None:
    original = files[name]
    assert ogg_with_true_checksums(original) == original

    @settings(max_examples=40)
    @given(
        flips=st.lists(
            st.tuples(
                st.one_of(st.integers(27, 150), st.integers(27, len(original) - 1)),
                st.integers(0, 255),
            ),
            min_size=1,
            max_size=6,
        )
    )
    def damage(flips: list[tuple[int, int]]) -> None:
        data = bytearray(original)
        for at, value in flips:
            data[at] = value
        try_to_decode(ogg_with_true_checksums(bytes(data)))

    damage()


def test_hours_in_a_small_file_are_not_unpacked() -> None:
    file = io.BytesIO()
    with sf.SoundFile(file, "w", 48000, 8, format="FLAC", subtype="PCM_16") as writer:
        silence = np.zeros((48000 * 10, 8), np.int16)
        for _ in range(12):
            writer.write(silence)
    data = file.getvalue()
    unpacked = 48000 * 120 * 8 * 2
    assert len(data) < unpacked / 500
    tracemalloc.start()
    with pytest.raises(TooLargeError, match="longer than 10 s"):
        decode(data, DETECT, 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6, "10 s of 16 kHz float are 0.6 MB; the file unpacks to 92 MB"


def patched(data: bytes, box: bytes, *words: int) -> bytes:
    """`words` written over what follows the version and flags of `box`."""
    result = bytearray(data)
    struct.pack_into(f">{len(words)}I", result, result.index(box) + 8, *words)
    return bytes(result)


@pytest.mark.parametrize("count", [1 << 19, 178_956_970, 0xFFFFFFFF])
def test_mp4_claims_more_packets_than_it_holds(files: dict[str, bytes], count: int) -> None:
    bomb = patched(patched(files["m4a"], b"stsz", 1, count), b"stsc", 1, 1, count)
    try_to_decode(bomb)
    np.testing.assert_allclose(decode(files["m4a"], DETECT, 5).seconds, 1, atol=1e-3)


def test_mp4_fragment_claims_more_packets_than_it_holds(files: dict[str, bytes]) -> None:
    data = bytearray(files["mp4-fragmented"])
    at = data.index(b"trun") + 4
    for flags in (0, 1):
        struct.pack_into(">II", data, at, flags, 0xFFFFFFFF)
        with pytest.raises(InvalidRequestError):
            decode(bytes(data), DETECT, 300)


def test_packets_without_sound_are_not_followed_for_ever(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    vorbis = files["vorbis"]
    headers = vorbis[: vorbis.rindex(b"OggS")]
    header = b"OggS\0\0" + struct.pack("<q", -1) + vorbis[14:18] + struct.pack("<II", 9, 0)
    page = ogg_with_true_checksums(header + b"\xff" + bytes(255))
    tried = []
    decode_packet = ffmpeg_door._decode_packet
    monkeypatch.setattr(
        ffmpeg_door,
        "_decode_packet",
        lambda context, packet: tried.append(1) or decode_packet(context, packet),
    )
    file = io.BytesIO(headers + page * 200)
    source = ContainerSource(file, Format.OGG, Length())
    seconds = sum(block.samples.shape[1] / block.sample_rate for block in source.blocks())
    assert 0 < seconds < 1
    assert 10_000 < len(tried) < 12_000
    assert next(iter(source.losses())).kind is LossKind.DAMAGED


@pytest.fixture
def listener() -> socket.socket:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def assert_not_called(listener: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()


def references(listener: socket.socket, file: Path) -> list[bytes]:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.wav"
    names = [url, f"file:{file}", str(file)]
    return [
        text.encode()
        for name in names
        for text in (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{name}\n#EXT-X-ENDLIST\n",
            f"ffconcat version 1.0\nfile '{name}'\n",
            f"v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\na=control:{name}\r\n",
            f'<?xml version="1.0"?><MPD><BaseURL>{name}</BaseURL></MPD>',
        )
    ]


@pytest.mark.parametrize("form", Format)
def test_playlists_open_nothing(
    listener: socket.socket, tmp_path: Path, files: dict[str, bytes], form: Format
) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(files["wav"])
    prefixes = [b"", b"ID3\4\0\0\0\0\0\0", b"fLaC", b"OggS\0", b"\xff\xfb\x90\x00"]
    for text in references(listener, file):
        for prefix in prefixes:
            with pytest.raises(InvalidRequestError):
                decode(prefix + text, DETECT, 300)
            # Even past the sniffing, at FFmpeg's own door.
            with pytest.raises(InvalidRequestError):
                list(ContainerSource(io.BytesIO(prefix + text), form, Length()).blocks())
    assert_not_called(listener)


def test_mp4_that_keeps_its_audio_elsewhere_opens_nothing(
    listener: socket.socket, tmp_path: Path, files: dict[str, bytes]
) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(files["wav"])
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/".encode()
    original = files["m4a"]
    at = original.index(b"dref") - 4
    size = struct.unpack_from(">I", original, at)[0]
    for name in (url, str(file).encode()):
        # 'url ' with flags 0: the media is not in this file. The rest of the box stays in length.
        entry = struct.pack(">I4sI", 12 + len(name) + 1, b"url ", 0) + name + b"\0"
        dref = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
        grown = bytearray(original[:at] + dref + original[at + size :])
        for box in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
            where = grown.index(box) - 4
            struct.pack_into(
                ">I", grown, where, struct.unpack_from(">I", grown, where)[0] + len(dref) - size
            )
        np.testing.assert_array_equal(
            floats(decode(bytes(grown), DETECT, 300)), floats(decode(original, DETECT, 300))
        )
    assert_not_called(listener)


def test_requests_of_ffmpeg_to_open_something_fail() -> None:
    with pytest.raises(ffmpeg_door.av.FFmpegError):
        ffmpeg_door._refuse_to_open("http://127.0.0.1/", 0, {})


def test_only_the_listed_decoders_are_opened(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg_door, "DECODERS", frozenset({"opus"}))
    with pytest.raises(InvalidRequestError, match="vorbis in Ogg is not supported"):
        ffmpeg_door.AudioTrack(io.BytesIO(files["vorbis"]), Format.OGG)
