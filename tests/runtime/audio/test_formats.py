"""Every container and codec of the list: what was recorded is what is heard, at its place."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soxr
from emotion2vec_runtime.audio import AudioSpec, Encoding, RecordingDecoder, decode
from emotion2vec_runtime.errors import InvalidRequestError

from tests.runtime.audio.conftest import encode_sndfile, floats
from tests.runtime.audio.media import (
    RECIPES,
    Recipe,
    chunk,
    encode,
    fmt,
    name_of,
    riff,
    speech,
)

DETECT = AudioSpec(Encoding.DETECT)
_RESAMPLED = 100
"""Samples, 6 ms: what the resamplers on the way may move a recording by."""
SPEECH = speech("angry")


@cache
def made(recipe: Recipe) -> bytes:
    return encode(SPEECH, recipe.muxer, recipe.encoder, recipe.rate, recipe.options)


# A cache needs something to hash.
Recipe.__hash__ = lambda recipe: hash(name_of(recipe))  # type: ignore[method-assign]


def offset(heard: np.ndarray, recorded: np.ndarray) -> tuple[int, float]:
    """By how many samples `heard` is late, and how alike they are then."""
    size = 1 << 18
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(recorded, size))
    correlation = np.fft.irfft(spectrum, size)
    late = int(np.argmax(correlation))
    energy = np.linalg.norm(heard) * np.linalg.norm(recorded)
    return late if late < size // 2 else late - size, float(correlation[late] / energy)


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_what_was_recorded_is_heard(recipe: Recipe) -> None:
    audio = decode(made(recipe), DETECT, 300)
    late, likeness = offset(floats(audio), SPEECH)
    assert likeness > recipe.likeness
    assert audio.losses == ()
    assert (audio.source_rate, audio.source_channels) == (recipe.rate, 1)
    assert (0 if recipe.early else -1000) <= late + _RESAMPLED <= 2000
    if recipe.early:
        assert late <= _RESAMPLED
    assert audio.seconds == pytest.approx(SPEECH.size / 16000, abs=0.2)


def test_the_documentation_names_what_is_tested_here() -> None:
    rows: dict[str, list[str]] = {}
    for recipe in RECIPES:
        codecs = rows.setdefault(recipe.container, [])
        if recipe.codec not in codecs:
            codecs.append(recipe.codec)
    table = [f"| {container} | {', '.join(codecs)} |" for container, codecs in rows.items()]
    text = (Path(__file__).parents[3] / "docs" / "audio.md").read_text(encoding="utf-8")
    assert "\n".join(table) in text, "these rows:\n" + "\n".join(table)


@pytest.mark.parametrize(("bits", "width"), [(12, 2), (20, 3), (24, 4)])
def test_samples_of_fewer_bits_stand_in_the_upper_ones(bits: int, width: int) -> None:
    values = np.round(SPEECH[:8000].astype(np.float64) * 2 ** (bits - 1)).astype("<i4")
    shifted = values << (32 - bits)
    octets = shifted.view(np.uint8).reshape(-1, 4)[:, 4 - width :]
    data = riff(fmt(bits=bits, align=width), chunk(b"data", octets.tobytes()))
    np.testing.assert_allclose(floats(decode(data, DETECT, 5)), SPEECH[:8000], atol=2.0**-bits * 2)


def test_gsm_in_wav_is_heard() -> None:
    data = encode_sndfile("WAV", "GSM610", 8000, samples=soxr.resample(SPEECH, 16000, 8000))
    late, likeness = offset(floats(decode(data, DETECT, 300)), SPEECH)
    assert abs(late) < 200
    assert likeness > 0.6


JUNK = np.random.default_rng(0).bytes(3000)
APE_TAG = b"APETAGEX" + bytes([0xD0, 7, 0, 0, 100, 0, 0, 0]) + bytes(116)


@pytest.mark.parametrize("junk", [JUNK, APE_TAG, b"\xff\xfb" * 50])
def test_mp3_behind_junk_is_heard(junk: bytes) -> None:
    data = encode(SPEECH, "mp3", "libmp3lame")
    heard, clean = decode(junk + data, DETECT, 300), decode(data, DETECT, 300)
    assert heard.seconds == pytest.approx(clean.seconds, abs=0.08)
    assert offset(floats(heard), SPEECH)[1] > 0.8


def test_what_no_decoder_knows_is_named() -> None:
    data = bytearray(encode(SPEECH, "ipod", "aac"))
    # AudioSpecificConfig: audio object type 2 (LC), 16 kHz, mono. Type 23 is AAC-LD.
    at = data.index(bytes.fromhex("1408"))
    data[at] = 23 << 3 | data[at] & 7
    with pytest.raises(InvalidRequestError, match="AAC-LD in MP4 is not supported"):
        decode(bytes(data), DETECT, 300)


def test_a_video_s_sound_is_heard(files: dict[str, bytes]) -> None:
    audio = decode(files["mp4-video"], DETECT, 300)
    assert audio.seconds == pytest.approx(1, abs=0.05)
    assert audio.losses == ()


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_a_file_on_a_stream_of_bare_samples_is_noticed(recipe: Recipe) -> None:
    data = made(recipe)
    for encoding in (Encoding.LINEAR16, Encoding.MULAW):
        with pytest.raises(InvalidRequestError) as caught:
            decode(data[: len(data) // 8 * 8], AudioSpec(encoding, 8000), 300)
        assert caught.value.field == "audio_config.encoding"


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_pieces_make_the_whole(recipe: Recipe) -> None:
    whole = decode(made(recipe), DETECT, 300)
    with RecordingDecoder(DETECT) as decoder:
        parts = [
            decoder.push(made(recipe)[at : at + 999]) for at in range(0, len(made(recipe)), 999)
        ]
        parts.append(decoder.finish())
    heard = np.concatenate(parts, axis=1)[0]
    np.testing.assert_array_equal(heard, floats(whole))
    assert decoder.losses == whole.losses


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_file(seed: int) -> None:
    noise = np.random.default_rng(seed).bytes(200_000)
    assert decode(noise, AudioSpec(Encoding.LINEAR16, 16000), 300).seconds == 6.25
    with pytest.raises(InvalidRequestError, match="no WAV"):
        decode(noise, DETECT, 300)
