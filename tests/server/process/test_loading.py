"""How a model is loaded: batches at once, what its manifest says."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from emotion2vec_runtime.audio import AudioSpec, Encoding
from emotion2vec_runtime.backends.base import Outputs
from emotion2vec_runtime.bundle import StreamFidelity
from emotion2vec_runtime.errors import LoadError
from emotion2vec_server.process import loading
from emotion2vec_server.process.metrics import Metrics
from emotion2vec_server.process.settings import read_settings
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.config import RecognitionConfig
from emotion2vec_server.serving.stream_config import StreamConfig, settle


class Backend:
    precision, cards = "fp16", 1

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


@pytest.mark.parametrize(
    ("windowed", "incremental", "in_steps"),
    [
        (0.2, 0.1, True),
        # Closer by less than what the speech measured on decides.
        (0.1, 0.109, True),
        (0.1, 0.12, False),
        # A bundle from before this was measured.
        (None, None, True),
    ],
)
async def test_streams_go_the_way_that_the_export_found_closer(
    windowed: float | None,
    incremental: float | None,
    in_steps: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory = shutil.copytree(loading.DEMO_BUNDLE, tmp_path / "bundle")
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["streams"] = [
        StreamFidelity(
            mode=mode,
            window_seconds=3,
            hop_seconds=0.5,
            lookahead_seconds=0.4,
            difference=difference,
            agreement=0.9,
        ).model_dump()
        for mode, difference in (("windowed", windowed), ("incremental", incremental))
        if difference is not None
    ]
    (directory / "manifest.json").write_text(json.dumps(manifest))
    settings = read_settings(["--model", str(directory)])
    with caplog.at_level("INFO"):
        (model,) = loading.load_models(settings, Metrics(), lambda *_: None)
    catalog = Catalog()
    catalog.open([model])
    audio = AudioSpec(Encoding.LINEAR16, 16000)
    try:
        opened = settle(StreamConfig("", RecognitionConfig(), audio), catalog, 300)
        assert opened.stream_options.framing.incremental == in_steps
        # Whoever names a mode gets that one.
        asked = StreamConfig("", RecognitionConfig(), audio, incremental=not in_steps)
        opened = settle(asked, catalog, 300)
        assert opened.stream_options.framing.incremental != in_steps
        assert f"live streams go in {'steps' if in_steps else 'windows'}" in caplog.text
    finally:
        await model.batcher.close()
