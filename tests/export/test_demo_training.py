"""Training teaches, its fast arithmetic is FunASR's, and a run can be repeated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from emotion2vec_export.demo.batches import Batch, BatchMaker
from emotion2vec_export.demo.corpus import LABELS, Clip
from emotion2vec_export.demo.effects import SAMPLE_RATE
from emotion2vec_export.demo.evaluation import evaluate
from emotion2vec_export.demo.recipe import Plan
from emotion2vec_export.demo.training import batch_logits, build_model, train
from numpy.typing import NDArray

PLAN = Plan(steps=12, learning_rate=2e-3, warmup=0.2)


def toy_clips() -> dict[str, list[NDArray[np.int16]]]:
    """One tone a class: quick to make and easy to learn."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    return {
        label: [(8000 * np.sin(2 * np.pi * 150 * 1.6**number * time)).astype(np.int16)]
        for number, label in enumerate(LABELS)
    }


def maker() -> BatchMaker:
    return BatchMaker(toy_clips(), seed=0, seconds=6, ramp=1000)


def test_the_fast_forward_pass_is_funasr_s() -> None:
    model = build_model(PLAN).eval()
    waveforms = torch.randn(2, 9000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        normalised = torch.nn.functional.layer_norm(waveforms, waveforms.shape[-1:])
        frames = model(normalised, padding_mask=None, mask=False, features_only=True)["x"]
        expected = model.get_submodule("proj")(frames)
        torch.testing.assert_close(batch_logits(model, waveforms), expected, atol=1e-4, rtol=0)


def test_the_loss_falls() -> None:
    losses = [progress.loss for progress in train(build_model(PLAN), maker(), PLAN)]
    assert len(losses) == PLAN.steps
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1


def test_a_run_repeats_itself() -> None:
    plan = Plan(steps=2)
    first, second = (
        [progress.loss for progress in train(build_model(plan), maker(), plan)] for _ in range(2)
    )
    assert first == second


def test_batches_carry_a_class_for_every_frame() -> None:
    for step in range(5):
        batch = maker().make(step)
        rows, samples = batch.waveforms.shape
        assert batch.frame_classes.shape == (rows, (samples - 400) // 320 + 1)
        assert batch.waveforms.dtype == np.float32
        assert np.isfinite(batch.waveforms).all()


def test_batches_start_with_one_class_a_clip_and_end_mixed() -> None:
    def mixed(batch: Batch) -> bool:
        speech = [set(row) - {LABELS.index("unknown")} for row in batch.frame_classes]
        return any(len(classes) > 1 for classes in speech)

    ramped = BatchMaker(toy_clips(), seed=0, seconds=6, ramp=10)
    assert not mixed(ramped.make(0))
    assert any(mixed(ramped.make(step)) for step in range(10, 30))


def test_evaluation_counts_what_was_said() -> None:
    def always_sad(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.eye(len(LABELS), dtype=np.float32)[[LABELS.index("sad")] * 2] * 4

    clips = [Clip(np.zeros(720, np.float32), label) for label in ("sad", "happy", "sad", "angry")]
    result = evaluate(always_sad, clips)
    assert result.accuracy == pytest.approx(0.5)
    assert result.frame_accuracy == pytest.approx(0.5)
    assert result.confusion[LABELS.index("happy"), LABELS.index("sad")] == 1
    assert result.confidences == pytest.approx(np.exp(4) / (np.exp(4) + 8))
