"""The benchmark for GPU machines, as far as a CPU can run it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import load_bundle

from benchmarks.gpu import __main__ as command
from benchmarks.gpu.measure import closeness, probabilities, shapes
from benchmarks.gpu.subject import Subject, batch


def test_it_runs_and_says_what_is_missing(tmp_path: Path, monkeypatch) -> None:
    contestants = ["torch fp32", "onnxruntime fp16", "tensorrt fp16"]
    options = {"--device": "cpu", "--size": "tiny", "--lengths": "0.5", "--batches": "2"}
    arguments = [part for option in options.items() for part in option]
    arguments += ["--graphs", str(tmp_path / "graphs"), "--only", *contestants]
    monkeypatch.setattr(sys, "argv", ["gpu", *arguments, "--output", str(tmp_path / "gpu.json")])
    assert command.main() == 0
    results = json.loads((tmp_path / "gpu.json").read_text())
    found = results["contestants"]
    assert list(found) == contestants
    assert "card" in found["tensorrt fp16"]["missing"]
    for name in contestants[:2]:
        close, (timing,) = found[name]["closeness"], found[name]["timings"]
        assert close["finite"]
        assert close["labels_kept"] == close["labels"] > 0
        assert close["largest_difference"] < 0.01
        assert timing["batch"] == 2
        assert timing["audio_rate"] == pytest.approx(1 / timing["p50"])


def test_its_model_is_a_bundle(tmp_path: Path) -> None:
    """What `--card` serves."""
    Subject("tiny", tmp_path).bundle()
    bundle = load_bundle(tmp_path)
    backend = load_backend(bundle, precision="fp16", provider="cpu", threads=1)
    outputs = backend.run(*batch(2, 1.0))
    assert outputs.logits is not None
    assert outputs.logits.shape == (2, len(bundle.manifest.labels))


def test_a_form_that_differs_is_seen() -> None:
    def run(logits: list[float]):
        return lambda waveforms, lengths: np.tile(np.array(logits, np.float32), (len(lengths), 1))

    exact = probabilities(run([0, 1]))
    assert closeness(exact, exact).largest_difference == 0
    other = closeness(probabilities(run([1, 0])), exact)
    assert (other.labels_kept, other.finite) == (0, True)
    assert other.labels > 0
    assert not closeness(probabilities(run([np.nan, 0])), exact).finite


def test_no_batch_is_beyond_the_budget() -> None:
    assert shapes([1, 30], [1, 8, 64], 240) == [(1, 1), (1, 8), (1, 64), (30, 1), (30, 8)]
