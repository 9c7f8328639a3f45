"""How a model is loaded: batches at once, measured costs, what its manifest says."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from emotion2vec_server import loading
from emotion2vec_server.backends.base import Outputs
from emotion2vec_server.config import read_settings
from emotion2vec_server.errors import StartupError
from emotion2vec_server.metrics import Metrics


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


def files_in(directory: Path) -> int:
    return len(list(directory.iterdir()))


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
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(loading, "load_backend", lambda *_, **__: Backend(provider))
    monkeypatch.setattr(loading, "cache_directory", lambda: tmp_path)
    before = batch_threads()
    (recognizer,) = loading.load_recognizers(read_settings(arguments), Metrics(), lambda *_: None)
    try:
        assert batch_threads() - before == batches
    finally:
        await recognizer.batcher.close()


async def test_costs_that_were_measured_within_other_limits_are_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A model of single rows would know nothing of what batches save."""
    monkeypatch.setattr(loading, "load_backend", lambda *_, **__: Backend("cpu"))
    monkeypatch.setattr(loading, "cache_directory", lambda: tmp_path)
    for count, arguments in enumerate(
        (["--max-batch-size", "1"], [], ["--max-batch-seconds", "30"]), start=1
    ):
        for _ in range(2):
            settings = read_settings(arguments)
            (recognizer,) = loading.load_recognizers(settings, Metrics(), lambda *_: None)
            await recognizer.batcher.close()
            assert files_in(tmp_path) == count


@pytest.mark.parametrize(
    ("labels", "size", "words"),
    [
        (8, 128, "names 9 labels, its graph gives 8"),
        (0, 128, "names 9 labels, its graph gives 0"),
        (9, 32, "names 128 embedding values, its graph gives 32"),
    ],
)
def test_a_manifest_that_says_other_than_its_graph_is_refused(
    labels: int, size: int, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loading, "load_backend", lambda *_, **__: Backend("cpu", labels, size))
    monkeypatch.setattr(loading, "cache_directory", lambda: tmp_path)
    with pytest.raises(StartupError, match=words):
        loading.load_recognizers(read_settings([]), Metrics(), lambda *_: None)
