"""How a model is loaded: batches at once, what its manifest says."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from emotion2vec_runtime.backends.base import Outputs
from emotion2vec_runtime.errors import LoadError
from emotion2vec_server.process import loading
from emotion2vec_server.process.metrics import Metrics
from emotion2vec_server.process.settings import read_settings


class Backend:
    precision, runtime = "fp16", "test"

    def __init__(self, provider: str, labels: int = 9, size: int = 128) -> None:
        """By default as wide as the demo model, which is what the manifest is of."""
        self.provider = provider
        self._labels = labels
        self._size = size

    def run(self, waveforms, lengths, *, frame_embeddings: bool = False) -> Outputs:
        logits, embedding = (
            np.zeros((len(lengths), width), np.float32) for width in (self._labels, self._size)
        )
        return Outputs(logits if self._labels else None, embedding, None, None, lengths // 320)


def batch_threads() -> int:
    return sum(thread.name.startswith("batch-") for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("provider", "arguments", "batches"),
    [
        ("cuda", [], 2),
        ("tensorrt", [], 1),
        ("cuda", ["--instances", "3"], 3),
        ("cpu", ["--instances", "2"], 2),
    ],
)
async def test_a_card_runs_two_batches_unless_told_otherwise(
    provider: str,
    arguments: list[str],
    batches: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "load_backend", lambda *_, **__: Backend(provider))
    before = batch_threads()
    (model,) = loading.load_models(read_settings(arguments), Metrics(), lambda *_: None)
    try:
        assert batch_threads() - before == batches
    finally:
        await model.batcher.close()


@pytest.mark.parametrize(
    ("labels", "size", "words"),
    [
        (8, 128, "names 9 labels, its graph gives 8"),
        (0, 128, "names 9 labels, its graph gives 0"),
        (9, 32, "names 128 embedding values, its graph gives 32"),
    ],
)
def test_a_manifest_that_says_other_than_its_graph_is_refused(
    labels: int, size: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "load_backend", lambda *_, **__: Backend("cpu", labels, size))
    with pytest.raises(LoadError, match=words):
        loading.load_models(read_settings([]), Metrics(), lambda *_: None)
