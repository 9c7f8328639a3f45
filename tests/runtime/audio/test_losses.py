"""Damaged, cut and odd recordings: all of it is heard, or what is lost is said."""

from __future__ import annotations

import struct
from functools import cache

import numpy as np
import pytest
from emotion2vec_runtime.audio import (
    AudioSpec,
    DecodedAudio,
    Encoding,
    Loss,
    LossKind,
    RecordingDecoder,
    decode,
)
from emotion2vec_runtime.errors import InvalidRequestError

from tests.runtime.audio.conftest import encode_ffmpeg, floats
from tests.runtime.audio.media import chunk, encode, fmt, pcm16, riff, speech, wav
from tests.runtime.audio.test_formats import offset

DETECT = AudioSpec(Encoding.DETECT)
BOTH = speech("angry", "sad")
LONG = np.tile(speech("angry", "sad", "happy", "neutral"), 3)
"""23 s."""


def read(data: bytes) -> DecodedAudio:
    return decode(data, DETECT, 300)


def only(audio: DecodedAudio, kind: LossKind) -> Loss:
    (loss,) = audio.losses
    assert loss.kind is kind
    return loss


@cache
def long(muxer: str, encoder: str, rate: int = 16000) -> bytes:
    return encode(LONG, muxer, encoder, rate)


def faststart(data: bytes) -> bytes:
    """An MP4 with its index first, as most are that are sent on."""
    at = data.index(b"moov") - 4
    size = struct.unpack_from(">I", data, at)[0]
    index = bytearray(data[at : at + size])
    table = index.index(b"stco") + 8
    for n in range(struct.unpack_from(">I", index, table)[0]):
        place = table + 4 + 4 * n
        struct.pack_into(">I", index, place, struct.unpack_from(">I", index, place)[0] + size)
    start = data.index(b"ftyp") - 4
    head = start + struct.unpack_from(">I", data, start)[0]
    return data[:head] + bytes(index) + data[head:at] + data[at + size :]


STATING = {
    "wav": lambda: wav(LONG),
    "adpcm": lambda: long("wav", "adpcm_ms"),
    "flac": lambda: long("flac", "flac"),
    "mp3": lambda: long("mp3", "libmp3lame"),
    "m4a": lambda: faststart(long("ipod", "aac")),
    "alac": lambda: faststart(long("ipod", "alac")),
    "pcm in mov": lambda: faststart(long("mov", "pcm_s16le")),
    "aiff": lambda: long("aiff", "pcm_s16be"),
    "au": lambda: long("au", "pcm_s16be"),
    "w64": lambda: long("w64", "pcm_s16le"),
    "caf": lambda: long("caf", "pcm_s16be"),
    "matroska": lambda: long("matroska", "libopus", 48000),
    "wma": lambda: long("asf", "wmav2"),
}


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("name", STATING)
def test_a_cut_file_says_how_much_of_it_there_is(name: str, share: float) -> None:
    data = STATING[name]()
    assert read(data).losses == ()
    audio = read(data[: round(len(data) * share)])
    loss = only(audio, LossKind.TRUNCATED)
    assert loss.stated_seconds == pytest.approx(LONG.size / 16000, abs=0.15)
    assert loss.heard_seconds == pytest.approx(audio.seconds, abs=0.1)
    assert audio.seconds == pytest.approx(share * LONG.size / 16000, rel=0.15)
    assert "says that it h" in loss.message


@pytest.mark.parametrize(
    ("muxer", "encoder", "rate"), [("ogg", "libopus", 48000), ("ogg", "flac", 16000)]
)
def test_a_cut_ogg_misses_its_end_mark(muxer: str, encoder: str, rate: int) -> None:
    data = long(muxer, encoder, rate)
    loss = only(read(data[: len(data) // 2]), LossKind.TRUNCATED)
    assert loss.stated_seconds is None
    assert 10 < loss.heard_seconds < 20


def test_a_frame_that_is_cut_is_noticed() -> None:
    data = long("adts", "aac")
    assert only(read(data[: len(data) // 2 + 33]), LossKind.TRUNCATED).lost_seconds is None


def punched(data: bytes, begin: float, end: float) -> bytes:
    """`data` with zeros instead of that share of it."""
    start, stop = round(len(data) * begin), round(len(data) * end)
    return data[:start] + bytes(stop - start) + data[stop:]


HOLED = {
    "flac": (lambda: long("flac", "flac"), 0.5),
    "m4a": (lambda: faststart(long("ipod", "aac")), 0.2),
    "opus": (lambda: long("ogg", "libopus", 48000), 2.0),
    "mp3": (lambda: long("mp3", "libmp3lame"), 1.0),
    "adts": (lambda: long("adts", "aac"), 1.0),
    "live webm": (
        lambda: encode(LONG, "webm", "libopus", 48000, {"live": "1", "cluster_time_limit": "500"}),
        2.0,
    ),
}


@pytest.mark.parametrize("name", HOLED)
def test_what_follows_a_hole_stays_at_its_place(name: str) -> None:
    make, slack = HOLED[name]
    data = make()
    whole, audio = read(data), read(punched(data, 0.4, 0.6))
    loss = only(audio, LossKind.DAMAGED)
    assert loss.lost_seconds == pytest.approx(0.2 * whole.seconds, abs=0.8 + slack)
    assert audio.seconds == pytest.approx(whole.seconds, abs=slack)
    tail = floats(whole)[-5 * 16000 :]
    late, likeness = offset(floats(audio)[-5 * 16000 :], tail)
    assert likeness > 0.8
    assert abs(late) <= slack * 16000
    assert f"{loss.lost_seconds:.2f} s" in loss.message


@pytest.mark.parametrize(
    "second", [("libopus", 48000, 2), ("libopus", 48000, 1), ("flac", 16000, 1)]
)
def test_all_links_of_a_chain_are_heard(second: tuple[str, int, int]) -> None:
    encoder, rate, channels = second
    sad = np.tile(speech("sad"), (channels, 1))
    chain = encode(speech("angry"), "ogg", "libopus", 48000) + encode(
        sad, "ogg", encoder, rate, channels=channels
    )
    audio = read(chain)
    assert audio.losses == ()
    assert audio.seconds == pytest.approx(BOTH.size / 16000, abs=0.05)
    assert offset(floats(audio)[-16000:], BOTH[-16000:])[1] > 0.7


def test_channels_that_change_can_not_be_kept_apart() -> None:
    stereo = np.tile(speech("sad"), (2, 1))
    chain = encode(BOTH, "ogg", "libopus", 48000) + encode(
        stereo, "ogg", "libopus", 48000, channels=2
    )
    with pytest.raises(InvalidRequestError, match="from 1 to 2 channels"):
        decode(chain, DETECT, 300, separate=True)


def test_mp3_files_one_behind_the_other_are_all_heard() -> None:
    data = encode(BOTH, "mp3", "libmp3lame")
    audio = read(data + data)
    assert audio.seconds == pytest.approx(2 * BOTH.size / 16000, abs=0.2)


DATA = pcm16(BOTH)
WAVS = {
    "two data chunks": riff(fmt(), chunk(b"data", DATA[:32000]), chunk(b"data", DATA[32000:])),
    "two RIFFs": riff(fmt(), chunk(b"data", DATA[:40000]))
    + riff(fmt(), chunk(b"data", DATA[40000:])),
    "size 0 in data and RIFF": riff(
        chunk(b"JUNK", bytes(28)), fmt(), chunk(b"FLLR", bytes(4008)), chunk(b"data", DATA, 0),
        size=4088,
    ),
    "an odd chunk without its padding": riff(
        fmt(), chunk(b"JUNK", b"\1" * 11, pads=False), chunk(b"data", DATA)
    ),
    "an odd chunk": riff(fmt(), chunk(b"JUNK", b"\1" * 11), chunk(b"data", DATA)),
    "a list behind": riff(fmt(), chunk(b"data", DATA), chunk(b"LIST", b"INFOISFT" + bytes(10))),
    "a tag behind": riff(fmt(), chunk(b"data", DATA)) + b"TAG" + b"x" * 125,
    "zeros behind": riff(fmt(), chunk(b"data", DATA)) + bytes(5000),
}  # fmt: skip


@pytest.mark.parametrize("size", [50, 1_000_000])
@pytest.mark.parametrize("name", WAVS)
def test_odd_wav_files_are_heard_whole(name: str, size: int) -> None:
    audio = read(WAVS[name])
    np.testing.assert_array_equal(floats(audio), np.round(BOTH * 32768) / 32768)
    assert audio.losses == ()
    with RecordingDecoder(DETECT) as decoder:
        data = WAVS[name]
        parts = [decoder.push(data[at : at + size]) for at in range(0, len(data), size)]
        parts.append(decoder.finish())
    np.testing.assert_array_equal(np.concatenate(parts, axis=1)[0], floats(audio))


def test_bytes_behind_the_audio_of_a_wav_are_told() -> None:
    data = riff(fmt(), chunk(b"data", DATA, 16000), size=16036)
    audio = read(data)
    assert audio.seconds == 0.5
    assert f"{len(DATA) - 16000} bytes" in only(audio, LossKind.DAMAGED).message


def edited(data: bytes, edits: list[tuple[float, float]]) -> bytes:
    """An MP4 with its index last, playing (seconds, from when) one after another."""
    places = {name: data.index(name) - 4 for name in (b"moov", b"trak", b"edts", b"elst")}
    sizes = {name: struct.unpack_from(">I", data, at)[0] for name, at in places.items()}
    skip = struct.unpack_from(">i", data, places[b"elst"] + 20)[0]
    rows = b"".join(
        struct.pack(">IiI", round(seconds * 1000), skip + round(begin * 16000), 0x10000)
        for seconds, begin in edits
    )
    body = struct.pack(">II", 0, len(edits)) + rows
    table = struct.pack(">I", 8 + len(body)) + b"elst" + body
    at = places[b"elst"]
    grown = bytearray(data[:at] + table + data[at + sizes[b"elst"] :])
    for name in (b"moov", b"trak", b"edts"):
        struct.pack_into(">I", grown, places[name], sizes[name] + len(table) - sizes[b"elst"])
    return bytes(grown)


@pytest.mark.parametrize(
    ("edits", "seconds"),
    [([(0.2, 0.0), (1.15, 2.3)], 1.38), ([(1.0, 1.5)], 1.0), ([(1.0, 2.3), (1.0, 0.0)], 2.0)],
)
def test_edits_are_played_as_players_do(edits: list[tuple[float, float]], seconds: float) -> None:
    audio = read(edited(encode(BOTH, "ipod", "aac"), edits))
    assert audio.losses == ()
    # FFmpeg's players cut at packets, of 64 ms here.
    assert audio.seconds == pytest.approx(seconds, abs=0.08)
    part, begin = edits[-1]
    expected = BOTH[round(begin * 16000) : round((begin + part) * 16000)]
    late, likeness = offset(floats(audio)[-expected.size :], expected)
    assert likeness > 0.8
    assert abs(late) < 1100


def test_a_hole_does_not_fool_a_whole_video(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Sound that begins after the picture is no damage."""
    data = encode_ffmpeg(
        tmp_path_factory.mktemp("video") / "a", "matroska", "libopus", 48000, with_video=True
    )
    assert read(data).losses == ()
