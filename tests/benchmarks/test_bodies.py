"""What is sent: the same speech in every encoding."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from emotion2vec_client import AsyncClient

from benchmarks import bodies as module
from benchmarks.bodies import ENCODINGS, bodies
from benchmarks.process import emotion2vec_server
from benchmarks.speech import SAMPLE_RATE, Int16
from benchmarks.targets import open_target


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "CACHE", tmp_path / "bodies")
    return tmp_path / "bodies"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one with the demo model."""
    log = tmp_path_factory.mktemp("logs") / "server.log"
    with emotion2vec_server(log, "--provider", "cpu") as running:
        yield running.address


def tone(seconds: float, hertz: float = 440) -> Int16:
    samples = np.arange(round(seconds * SAMPLE_RATE))
    pcm: Int16 = (8000 * np.sin(2 * np.pi * hertz / SAMPLE_RATE * samples)).astype(np.int16)
    return pcm


def heard(body: bytes) -> Int16:
    samples, rate = soundfile.read(io.BytesIO(body), dtype="int16")
    assert (rate, samples.ndim) == (SAMPLE_RATE, 1)
    pcm: Int16 = samples
    return pcm


def test_raw_bodies_are_the_samples() -> None:
    assert bodies([tone(0.5)], "raw") == [tone(0.5).tobytes()]


def test_flac_holds_the_same_samples() -> None:
    (body,) = bodies([tone(0.5)], "flac")
    assert body.startswith(b"fLaC")
    np.testing.assert_array_equal(heard(body), tone(0.5))


def test_mp3_sounds_the_same() -> None:
    (body,) = bodies([tone(2)], "mp3")
    spectrum = np.abs(np.fft.rfft(heard(body)))
    assert spectrum.argmax() / len(heard(body)) * SAMPLE_RATE == pytest.approx(440, abs=1)


def test_bodies_are_made_once_and_kept(cache: Path) -> None:
    clips = [tone(0.5), tone(0.5, 880)]
    first = bodies(clips, "mp3")
    made = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(made) == 2
    assert bodies(clips, "mp3") == first
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == made


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", ["client", "recognize"])
async def test_our_server_answers_them_alike(kind: str, encoding: str, server: str) -> None:
    target = open_target(kind, server, bodies([tone(2)], encoding), encoding)
    answer = await target.call(0)
    await target.close()
    async with AsyncClient(server) as client:
        whole = await client.recognize(tone(2), sample_rate=SAMPLE_RATE)
    assert whole.emotion is not None
    wanted = [score.probability for score in whole.emotion.scores]
    np.testing.assert_allclose(answer.scores, wanted, atol=0.05)
