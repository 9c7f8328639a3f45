"""The whole way, checkpoint to reply, against FunASR on the same samples."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from emotion2vec.v1 import audio_pb2, recognition_pb2, service_pb2, service_pb2_grpc
from emotion2vec_export.__main__ import main
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.reference import FunAsr
from emotion2vec_export.synthetic import LABELS, Size, write_synthetic
from emotion2vec_runtime.bundle import load_bundle
from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE

from tests.e2e.conftest import start_server

SIZE = Size(embed_dim=48, heads=6, prenet_depth=2, depth=2, channels=24, conv_pos_groups=8)
CASES = {
    "other labels": {
        "labels": ("快乐/joyful", "unuse_0", "平静/calm", "<unk>", "unuse_1"),
        "layer_norm_first": True,
    },
    "no classifier": {"labels": (), "normalize": False},
}


@pytest.fixture(scope="module")
def clips(examples: list[Path]) -> list[np.ndarray]:
    """Cuts of real recordings, of 25 ms to 12 s."""
    whole = np.concatenate([soundfile.read(path, dtype="int16")[0] for path in examples])
    random = np.random.default_rng(5)
    lengths = [400, 719, 8_000, 192_000, *random.integers(400, 64_000, 8)]
    starts = [int(random.integers(0, len(whole) - length)) for length in lengths]
    return [
        whole[start : start + int(length)] for start, length in zip(starts, lengths, strict=True)
    ]


@pytest.mark.parametrize("case", CASES)
def test_the_server_says_what_funasr_says(
    tmp_path: Path, clips: list[np.ndarray], case: str
) -> None:
    options = dict(CASES[case])
    labels = options.pop("labels")
    checkpoint, bundle = tmp_path / "checkpoint", tmp_path / "bundle"
    write_synthetic(checkpoint, SIZE, 7, labels, **options)
    assert main([str(checkpoint), "--output", str(bundle)]) == 0
    funasr = FunAsr(checkpoint, read_checkpoint(checkpoint).classes)
    server = start_server("--model", str(bundle))
    with server.channel() as channel, ThreadPoolExecutor(len(clips)) as callers:
        recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
        requests = [request(clip) for clip in clips]
        alone = [recognize(one) for one in requests]
        together = list(callers.map(recognize, requests))
    assert server.stop() == 0
    for clip, *replies in zip(clips, alone, together, strict=True):
        expected = funasr.recognize(clip.astype(np.float32) / 32768)
        for reply in replies:
            frames = np.reshape(reply.frame_embeddings.values, reply.frame_embeddings.shape)
            assert frames.shape == expected.frame_embeddings.shape
            assert cosines(frames, expected.frame_embeddings).min() > 0.99999
            if expected.probabilities is None:
                assert not reply.HasField("result")
                assert recognition_pb2.WARNING_CODE_EMBEDDING_ONLY in {
                    warning.code for warning in reply.warnings
                }
                assert reply.HasField("embedding")
            else:
                scores = [score.probability for score in reply.result.scores]
                np.testing.assert_allclose(scores, expected.probabilities, atol=1e-4)


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Of each frame. Single values of nearly silent frames are rounding, amplified by norms."""
    products = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return (ours * theirs).sum(axis=1) / products


def request(clip: np.ndarray) -> service_pb2.RecognizeRequest:
    return service_pb2.RecognizeRequest(
        config=recognition_pb2.RecognitionConfig(return_frame_embeddings=True),
        audio_config=audio_pb2.AudioConfig(
            encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16000
        ),
        audio=clip.astype("<i2").tobytes(),
    )


def test_several_models_side_by_side(tmp_path: Path, examples: list[Path]) -> None:
    checkpoint, bundle = tmp_path / "checkpoint", tmp_path / "bundle"
    write_synthetic(checkpoint, SIZE, 1, LABELS)
    assert main([str(checkpoint), "--output", str(bundle), "--name", "second"]) == 0
    server = start_server("--model", str(DEMO_BUNDLE), "--model", str(bundle))
    first = load_bundle(DEMO_BUNDLE).manifest.name
    with server.channel() as channel:
        stub = service_pb2_grpc.EmotionRecognitionServiceStub(channel)
        models = stub.ListModels(service_pb2.ListModelsRequest()).models
        assert [(model.name, model.is_default) for model in models] == [
            (first, True),
            ("second", False),
        ]
        audio = examples[0].read_bytes()
        for name in ("", first, "second"):
            config = recognition_pb2.RecognitionConfig(model=name)
            reply = stub.Recognize(service_pb2.RecognizeRequest(config=config, audio=audio))
            assert reply.metadata.model == (name or first)
    assert server.stop() == 0
