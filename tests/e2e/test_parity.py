"""The whole way, checkpoint to reply, against FunASR on the same samples."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from emotion2vec.v1 import audio_pb2, recognition_pb2, service_pb2, service_pb2_grpc
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.reference import FunAsr
from emotion2vec_runtime.bundle import load_bundle
from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE

from tests.e2e.conftest import RunningServer, start_server
from tests.export.samples import Export, export

# Names of samples; the server has them under those of MODELS.
OLD, HEADLESS = "old", "headless"
MODELS = {OLD: "second", HEADLESS: "checkpoint"}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Export]:
    """A model with labels of its own, and one without a classifier, both far from as published."""
    return {name: export(tmp_path_factory.getbasetemp(), name) for name in MODELS}


@pytest.fixture(scope="module")
def server(exports: dict[str, Export]) -> Iterator[RunningServer]:
    """With the exported models, of which the first is the default, and the demo model."""
    bundles = [*(made.bundle for made in exports.values()), DEMO_BUNDLE]
    server = start_server(*(part for bundle in bundles for part in ("--model", str(bundle))))
    yield server
    assert server.stop() == 0


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


@pytest.mark.parametrize(("sample", "model"), [(OLD, ""), (HEADLESS, MODELS[HEADLESS])])
def test_the_server_says_what_funasr_says(
    exports: dict[str, Export],
    server: RunningServer,
    clips: list[np.ndarray],
    sample: str,
    model: str,
) -> None:
    checkpoint = exports[sample].checkpoint
    funasr = FunAsr(checkpoint, read_checkpoint(checkpoint).classes)
    with server.channel() as channel, ThreadPoolExecutor(len(clips)) as callers:
        recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
        requests = [request(clip, model) for clip in clips]
        alone = [recognize(one) for one in requests]
        together = list(callers.map(recognize, requests))
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


def request(clip: np.ndarray, model: str) -> service_pb2.RecognizeRequest:
    return service_pb2.RecognizeRequest(
        config=recognition_pb2.RecognitionConfig(model=model, return_frame_embeddings=True),
        audio_config=audio_pb2.AudioConfig(
            encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16000
        ),
        audio=clip.astype("<i2").tobytes(),
    )


def test_several_models_side_by_side(server: RunningServer, examples: list[Path]) -> None:
    demo = load_bundle(DEMO_BUNDLE).manifest.name
    with server.channel() as channel:
        stub = service_pb2_grpc.EmotionRecognitionServiceStub(channel)
        models = stub.ListModels(service_pb2.ListModelsRequest()).models
        assert [(model.name, model.is_default) for model in models] == [
            (MODELS[OLD], True),
            (MODELS[HEADLESS], False),
            (demo, False),
        ]
        audio = examples[0].read_bytes()
        for name in ("", *MODELS.values(), demo):
            config = recognition_pb2.RecognitionConfig(model=name)
            reply = stub.Recognize(service_pb2.RecognizeRequest(config=config, audio=audio))
            assert reply.metadata.model == (name or MODELS[OLD])
