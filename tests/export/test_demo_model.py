"""The demo model as committed: its checkpoint, its bundle and its report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.demo.corpus import LABELS, Clip
from emotion2vec_export.demo.evaluation import Evaluation, evaluate
from emotion2vec_export.demo.recipe import NAME
from emotion2vec_export.demo.recordings import read_recordings
from emotion2vec_export.graph_runner import GraphRunner
from emotion2vec_export.reference import FunAsr
from emotion2vec_runtime.bundle import Bundle, load_bundle
from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "export" / "demo" / "checkpoint"
GOAL = 0.90


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Five clips a class, of sentences and voices that training never used."""
    return list(read_recordings(ROOT / "tests" / "data" / "heldout"))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(DEMO_BUNDLE)


@pytest.fixture(scope="module")
def evaluation(bundle: Bundle, clips: list[Clip]) -> Evaluation:
    graph = GraphRunner(bundle.path(bundle.manifest.artifacts[0]))

    def frame_logits(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs = graph.run(samples[None], np.array([samples.size]))
        return np.asarray(outputs["frame_logits"][0], dtype=np.float32)

    return evaluate(frame_logits, clips)


def test_it_says_that_it_is_a_demo(bundle: Bundle) -> None:
    assert bundle.manifest.name == NAME
    assert "demo" in NAME
    assert bundle.manifest.demo
    assert tuple(label.name for label in bundle.manifest.labels) == LABELS


def test_it_recognises_held_out_speech(evaluation: Evaluation) -> None:
    assert evaluation.confusion.sum() == 5 * len(LABELS)
    assert evaluation.accuracy >= GOAL


def test_its_frames_know_the_class_too(evaluation: Evaluation) -> None:
    assert evaluation.frame_accuracy >= 0.75


def test_it_is_not_sure_of_everything(evaluation: Evaluation) -> None:
    assert np.median(evaluation.confidences) < 0.99
    assert np.ptp(evaluation.confidences) > 0.1


def test_the_bundle_was_made_from_the_checkpoint(bundle: Bundle) -> None:
    checkpoint = read_checkpoint(CHECKPOINT)
    assert bundle.manifest.source_revision == f"sha256:{checkpoint.sha256}"


def test_funasr_agrees_on_a_clip_of_each_class(bundle: Bundle, clips: list[Clip]) -> None:
    checkpoint = read_checkpoint(CHECKPOINT)
    reference = FunAsr(CHECKPOINT, checkpoint.classes)
    graph = GraphRunner(bundle.path(bundle.manifest.artifacts[0]))
    for clip in {clip.label: clip for clip in clips}.values():
        expected = reference.recognize(clip.samples).probabilities
        logits = graph.run(clip.samples[None], np.array([clip.samples.size]))["logits"][0]
        powers = np.exp(logits - logits.max())
        np.testing.assert_allclose(powers / powers.sum(), expected, atol=1e-4)


def test_the_report_is_of_this_model_and_good_enough() -> None:
    report = json.loads((ROOT / "export" / "demo" / "report.json").read_text(encoding="utf-8"))
    held_out = report["held_out"]
    assert report["model"] == NAME
    assert report["training_seconds"] < 45 * 60
    assert held_out["accuracy"] >= GOAL
    confusion = np.array(held_out["confusion"])
    assert confusion.trace() / confusion.sum() == pytest.approx(held_out["accuracy"], abs=1e-4)


def test_all_of_it_is_small() -> None:
    def size(directory: Path, pattern: str = "*") -> int:
        return sum(path.stat().st_size for path in directory.glob(pattern) if path.is_file())

    assert size(CHECKPOINT) + size(DEMO_BUNDLE) < 13e6
    assert size(ROOT / "tests" / "data" / "heldout") < 1.6e6
    assert size(ROOT / "examples", "*.flac") < 4e5
    assert {path.stem for path in (ROOT / "examples").glob("*.flac")} == set(LABELS)
