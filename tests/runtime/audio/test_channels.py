"""What becomes of several channels."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile as sf
from emotion2vec_runtime.audio import AudioSpec, DecodedAudio, Encoding, decode

NOISE = np.random.default_rng(0).normal(0, 0.1, (4, 16000)).astype(np.float32)


def wav(*channels: np.ndarray, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    sf.write(file, np.stack(channels, axis=1), rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def read(data: bytes) -> DecodedAudio:
    return decode(data, AudioSpec(Encoding.DETECT), 300, separate=True)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_each_channel_is_what_it_is_alone_and_the_mix_is_their_mean(rate: int) -> None:
    audio = read(wav(NOISE[0], NOISE[1], NOISE[2], rate=rate))
    assert audio.channels is not None
    for channel, noise in zip(audio.channels, NOISE, strict=False):
        np.testing.assert_array_equal(channel, read(wav(noise, rate=rate)).samples)
    np.testing.assert_allclose(audio.samples, audio.channels.mean(axis=0), atol=1e-6)
    mixed = decode(wav(NOISE[0], NOISE[1], NOISE[2], rate=rate), AudioSpec(Encoding.DETECT), 300)
    assert mixed.channels is None
    np.testing.assert_allclose(mixed.samples, audio.samples, atol=1e-6)


def first_half(samples: np.ndarray) -> np.ndarray:
    return np.where(np.arange(samples.size) < samples.size // 2, samples, 0)


@pytest.mark.parametrize(
    ("name", "channels", "differ", "cancel"),
    [
        ("one channel", [NOISE[0]], False, False),
        ("the same twice", [NOISE[0], NOISE[0]], False, False),
        ("the same, one quieter", [NOISE[0], 0.1 * NOISE[0]], False, False),
        ("one channel unused", [NOISE[0], 0 * NOISE[0]], False, False),
        ("one channel is hiss", [NOISE[0], 1e-3 * NOISE[1]], False, False),
        ("one room, two microphones", [NOISE[0], NOISE[0] + 0.7 * NOISE[1]], False, False),
        ("silence", [0 * NOISE[0], 0 * NOISE[0]], False, False),
        ("an offset only", [0 * NOISE[0] + 0.5, 0 * NOISE[0] - 0.5], False, False),
        ("two speakers", [NOISE[0], NOISE[1]], True, False),
        ("taking turns", [first_half(NOISE[0]), first_half(NOISE[1])[::-1]], True, False),
        ("the third is another", [NOISE[0], NOISE[0], NOISE[1]], True, False),
        ("exact opposites", [NOISE[0], -NOISE[0]], False, True),
        ("opposites with noise", [NOISE[0], 0.2 * NOISE[1] - NOISE[0]], False, True),
        ("opposites, offset", [NOISE[0] + 0.5, 0.5 - NOISE[0]], False, True),
    ],
)
def test_likeness_of_channels_is_told(
    name: str, channels: list[np.ndarray], differ: bool, cancel: bool
) -> None:
    mix = read(wav(*channels)).mix
    assert mix is not None, name
    assert (mix.channels_differ, mix.cancels) == (differ, cancel)
