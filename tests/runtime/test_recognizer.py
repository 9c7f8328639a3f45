"""The runtime by itself: a bundle at work in this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from emotion2vec_runtime import DEMO_BUNDLE, Recognizer, WarningCode, load
from emotion2vec_runtime.errors import BundleError, ConfigError, InvalidRequestError

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.flac"))


@pytest.fixture(scope="module")
def model() -> Recognizer:
    return load(DEMO_BUNDLE)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_the_examples_are_called_is_what_is_heard(model: Recognizer, path: Path) -> None:
    result = model.recognize(path)
    assert result.emotion is not None
    assert result.emotion.label == path.stem
    assert sum(result.emotion.scores.values()) == pytest.approx(1)
    assert result.emotion.confidence == max(result.emotion.scores.values())


def test_a_result_is_whole(model: Recognizer) -> None:
    samples, _ = soundfile.read(EXAMPLES[0], dtype="int16")
    frames = (len(samples) - 400) // 320 + 1
    result = model.recognize(EXAMPLES[0], frame_embeddings=True)
    assert result.audio_seconds == len(samples) / 16000
    assert result.frames is not None
    assert result.embedding is not None
    assert result.frame_embeddings is not None
    assert result.frames.shape == (frames, len(model.manifest.labels))
    np.testing.assert_allclose(result.frames.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(result.frame_embeddings.mean(axis=0), result.embedding, atol=1e-5)
    assert result.processed_audio is not None
    np.testing.assert_array_equal(result.processed_audio * 32768, samples)
    assert result.segments == ()
    assert result.warnings == ()


def test_path_bytes_and_samples_are_one(model: Recognizer) -> None:
    samples, _ = soundfile.read(EXAMPLES[1], dtype="int16")
    floats = (samples / 32768).astype(np.float32)
    stereo = np.stack([floats, floats], axis=1)
    double, big = floats.astype(np.float64), samples.astype(">i2")
    data = EXAMPLES[1].read_bytes()
    sources = (str(EXAMPLES[1]), data, memoryview(data), samples, floats, stereo, double, big)
    scores = []
    for source in sources:
        emotion = model.recognize(source).emotion
        assert emotion is not None
        scores.append(emotion.probabilities)
    np.testing.assert_allclose(scores, [scores[0]] * len(sources), atol=1e-5)


def test_another_rate_is_resampled(model: Recognizer) -> None:
    samples, _ = soundfile.read(EXAMPLES[2], dtype="float32")
    result = model.recognize(samples, sample_rate=8000)
    assert result.audio_seconds == pytest.approx(len(samples) / 8000, abs=1e-3)
    assert WarningCode.UPSAMPLED in {warning.code for warning in result.warnings}


def test_long_audio_comes_in_segments_that_tile(model: Recognizer) -> None:
    whole = np.concatenate([soundfile.read(path, dtype="int16")[0] for path in EXAMPLES])
    samples = np.resize(whole, 70 * 16000)
    result = model.recognize(samples)
    assert result.frames is not None
    assert len(result.frames) == (len(samples) - 400) // 320 + 1
    assert len(result.segments) >= 3
    assert result.segments[0].start == 0
    assert result.segments[-1].end == pytest.approx(70, abs=0.02)
    for part, following in zip(result.segments, result.segments[1:], strict=False):
        assert part.end == following.start


def test_labels_can_be_chosen(model: Recognizer) -> None:
    emotion = model.recognize(EXAMPLES[0], allowed_labels=["sad", "happy"]).emotion
    assert emotion is not None
    assert list(emotion.scores) == ["happy", "sad"]
    with pytest.raises(InvalidRequestError, match="unknown label 'glad'"):
        model.recognize(EXAMPLES[0], allowed_labels=["glad"])


@pytest.mark.parametrize(
    ("audio", "options", "words"),
    [
        (b"no audio", {}, "no WAV"),
        (np.zeros(399, np.float32), {}, "at least 400"),
        (np.zeros(16000, np.int32), {}, "int32"),
        (np.zeros((2, 16000), np.float32), {}, "up to 8 channels"),
        (np.zeros(16000, np.float32), {"sample_rate": 0}, "a rate of 0 Hz"),
        (5, {}, "can't be a int"),
        ([0.0, 0.1], {}, "can't be a list"),
        (np.zeros((2, 2, 2), np.int16), {}, r"\[2, 2, 2\]"),
        (np.full(16000, np.nan, np.float32), {}, "NaN"),
        (b"RIFF", {"sample_rate": 8000}, "states its own rate"),
    ],
)
def test_what_can_not_be_heard_is_said(
    model: Recognizer, audio: bytes, options: dict[str, int], words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        model.recognize(audio, **options)  # type: ignore[arg-type]


def test_what_can_not_be_loaded_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model bundle"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="unknown provider 'abacus': choose of"):
        load(DEMO_BUNDLE, provider="abacus")


def test_it_needs_neither_a_network_nor_grpc() -> None:
    code = (
        "import socket, sys; socket.socket.connect = socket.socket.bind = None; from emotion2vec_runtime import load; "
        f"load().recognize({str(EXAMPLES[0])!r}); "
        "print([name for name in sys.modules if name.partition('.')[0] in "
        "('grpc', 'emotion2vec', 'emotion2vec_server', 'google', 'prometheus_client')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_onnx_runtime_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "import emotion2vec_server.__main__ as command\n"
        "sys.argv = ['emotion2vec-server']\n"
        "sys.exit(command.main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'emotion2vec-runtime[cpu]', or 'emotion2vec-server[cpu]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_example_does_what_it_says() -> None:
    example = Path(__file__).parents[2] / "examples" / "in_process.py"
    done = subprocess.run(
        [sys.executable, str(example), *map(str, EXAMPLES[:2])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split(": ")[1].split()[0] for line in done.stdout.splitlines()] == [
        path.stem for path in EXAMPLES[:2]
    ]
