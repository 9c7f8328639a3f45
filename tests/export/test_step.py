"""A step of live streams: one of a whole clip is the model itself, and neighbours move nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.cpu_graph import write_cpu_step
from emotion2vec_export.graph import write_step_graph
from emotion2vec_export.model import Emotion2vec
from emotion2vec_export.parity import speech_like
from emotion2vec_export.step import Step, positional_context
from emotion2vec_export.stepping import Stepped, TorchSteps
from emotion2vec_export.weights import load_model
from emotion2vec_runtime.backends.onnx_runtime import OnnxStepBackend
from emotion2vec_runtime.backends.providers import provider_named
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.samples import Export

STREAMED = {"hop": 25, "lookahead": 20, "left": 40}


@pytest.fixture(scope="module")
def model(published: Export) -> Emotion2vec:
    checkpoint = read_checkpoint(published.checkpoint)
    return load_model(checkpoint.config, checkpoint.classes, checkpoint.weights).eval()


@pytest.fixture(scope="module")
def backend(model: Emotion2vec, tmp_path_factory: pytest.TempPathFactory) -> OnnxStepBackend:
    directory = tmp_path_factory.mktemp("step")
    write_step_graph(Step(model), directory / "flat.onnx")
    path = write_cpu_step(directory / "flat.onnx", directory)
    context = positional_context(model.config)
    return OnnxStepBackend(path, provider_named("cpu"), context=context, threads=1)


def run(model: Stepped, *clips: np.ndarray) -> list[np.ndarray]:
    """Frame embeddings of each clip [T, D]."""
    lengths = np.array([len(clip) for clip in clips])
    waveforms = np.zeros((len(clips), lengths.max()), np.float32)
    for row, clip in zip(waveforms, clips, strict=True):
        row[: len(clip)] = clip
    outputs = model.run(waveforms, lengths)
    return [
        frames[:length]
        for frames, length in zip(outputs.frame_embeddings, outputs.frame_lengths, strict=True)
    ]


@pytest.mark.parametrize("samples", [400, 7000, 40037])
def test_one_step_over_a_clip_is_the_model(
    model: Emotion2vec, backend: OnnxStepBackend, samples: int
) -> None:
    clip = speech_like(samples, 1)
    with torch.no_grad():
        whole = model(torch.from_numpy(clip)[None], torch.tensor([samples]))
    (ours,) = run(Stepped(backend, model.config, "fp32"), clip)
    np.testing.assert_allclose(ours, whole.frame_embeddings[0], atol=2e-5)


def test_steps_are_those_of_torch(model: Emotion2vec, backend: OnnxStepBackend) -> None:
    clips = [speech_like(samples, samples) for samples in (60000, 31000, 700)]
    theirs = run(Stepped(TorchSteps(Step(model)), model.config, "fp32", **STREAMED), *clips)
    ours = run(Stepped(backend, model.config, "fp32", **STREAMED), *clips)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=5e-5)


def test_a_frame_with_all_of_the_past_and_the_future_is_the_models(
    model: Emotion2vec, backend: OnnxStepBackend
) -> None:
    """The more a step keeps and waits for, the closer it is to the model on the whole clip."""
    clip = speech_like(64000, 5)
    (whole,) = run(Stepped(backend, model.config, "fp32"), clip)

    def error(lookahead: int, left: int) -> float:
        stepped = Stepped(backend, model.config, "fp32", hop=25, lookahead=lookahead, left=left)
        return float(np.abs(run(stepped, clip)[0] - whole).mean())

    assert 0 < error(100, 200) < error(20, 200) / 2
    assert error(20, 200) < error(0, 200)
    assert error(20, 200) < error(20, 5)


@settings(max_examples=15)
@given(
    samples=st.integers(400, 40000),
    neighbours=st.lists(st.integers(400, 60000), min_size=1, max_size=3),
    hop=st.integers(1, 60),
    lookahead=st.integers(0, 60),
    left=st.integers(1, 100),
)
def test_a_neighbour_moves_nothing(
    model: Emotion2vec,
    backend: OnnxStepBackend,
    samples: int,
    neighbours: list[int],
    hop: int,
    lookahead: int,
    left: int,
) -> None:
    stepped = Stepped(backend, model.config, "fp32", hop=hop, lookahead=lookahead, left=left)
    clip = speech_like(samples, 1)
    others = [30 * speech_like(length, length) for length in neighbours]
    (alone,), (beside, *_) = run(stepped, clip), run(stepped, clip, *others)
    np.testing.assert_allclose(beside, alone, atol=1e-4)
