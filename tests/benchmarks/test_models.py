"""The synthetic graphs stand in for a bundle's, so they must behave like one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from emotion2vec_runtime.backends.base import Outputs
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import load_bundle

from benchmarks import models
from benchmarks.models import FRAME_FIELD, FRAME_HOP, LABELS, Shape, synthetic_graph
from benchmarks.peers.model import Model

SMALL = Shape(channels=4, hidden=8, layers=2)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(models, "CACHE", tmp_path)
    monkeypatch.setitem(models.SHAPES, "light", SMALL)
    return models.bundle("light")


def run(bundle: Path, clips: list[np.ndarray]) -> Outputs:
    backend = load_backend(load_bundle(bundle), precision="fp32", provider="cpu", threads=1)
    batch = np.zeros((len(clips), max(map(len, clips))), dtype=np.float32)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    return backend.run(batch, np.array([len(clip) for clip in clips]), frame_embeddings=True)


def test_the_bundle_loads_and_padding_changes_nothing(bundle: Path) -> None:
    random = np.random.default_rng(0)
    clips = [random.standard_normal(n).astype(np.float32) for n in (400, 5000, 16_000)]
    together = run(bundle, clips)
    manifest = load_bundle(bundle).manifest
    for index, clip in enumerate(clips):
        alone = run(bundle, [clip])
        assert alone.logits is not None
        assert together.logits is not None
        np.testing.assert_allclose(together.logits[index], alone.logits[0], atol=1e-4)
        assert together.frame_lengths[index] == manifest.frame_count(len(clip))
        assert alone.embedding.shape == (1, manifest.embedding_size)


def test_a_bundle_is_made_once(bundle: Path) -> None:
    before = (bundle / "manifest.json").stat().st_mtime_ns
    assert models.bundle("light") == bundle
    assert (bundle / "manifest.json").stat().st_mtime_ns == before


def test_peers_get_the_probabilities_of_that_graph(bundle: Path) -> None:
    pcm = (np.sin(np.arange(9000) / 20) * 20_000).astype("<i2")
    logits = run(bundle, [pcm.astype(np.float32) / 32768]).logits
    assert logits is not None
    wanted = np.exp(logits[0]) / np.exp(logits[0]).sum()
    model = Model(str(models.graph_file("light")), threads=1, provider="cpu")
    got = model([pcm.tobytes(), pcm[:4000].tobytes()])
    assert got.shape == (2, len(LABELS))
    np.testing.assert_allclose(got[0], wanted, atol=1e-5)


def test_the_graph_is_valid_onnx() -> None:
    graph = synthetic_graph(SMALL)
    onnx.checker.check_model(graph, full_check=True)
    assert (FRAME_FIELD, FRAME_HOP) == (400, 320)
