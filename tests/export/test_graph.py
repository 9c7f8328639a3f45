"""The exported graph, as ONNX Runtime runs it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.errors import ExportError
from emotion2vec_export.graph import OPSET, OUTPUTS, external_data, tensor_specs
from emotion2vec_export.graph_runner import GraphRunner
from emotion2vec_export.model import Emotion2vec
from emotion2vec_export.parity import speech_like
from emotion2vec_export.weights import load_model
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.samples import Export


@pytest.fixture(scope="module")
def model(published: Export) -> Emotion2vec:
    checkpoint = read_checkpoint(published.checkpoint)
    return load_model(checkpoint.config, checkpoint.classes, checkpoint.weights)


@pytest.fixture(scope="module")
def runtime(flat_graph: Path) -> GraphRunner:
    return GraphRunner(flat_graph)


@settings(max_examples=25)
@given(st.lists(st.integers(400, 8000), min_size=1, max_size=4))
def test_onnx_runtime_gives_what_torch_gives(model, runtime, lengths: list[int]) -> None:
    waveform = np.zeros((len(lengths), max(lengths)), np.float32)
    for row, length in zip(waveform, lengths, strict=True):
        row[:length] = speech_like(length, length)
    outputs = runtime.run(waveform, np.array(lengths))
    expected = model(torch.from_numpy(waveform), torch.tensor(lengths))
    assert tuple(outputs) == OUTPUTS
    for name, value in expected._asdict().items():
        assert outputs[name].dtype == value.numpy().dtype
        np.testing.assert_allclose(outputs[name], value.numpy(), atol=1e-3, err_msg=name)


@pytest.mark.parametrize("samples", [400, 719, 720])
def test_the_shortest_clips_have_whole_frames(runtime, samples: int) -> None:
    outputs = runtime.run(speech_like(samples, 0)[None], np.array([samples]))
    assert outputs["frame_lengths"].tolist() == [(samples - 400) // 320 + 1]
    assert outputs["frame_logits"].shape[1] == outputs["frame_lengths"][0]


def test_a_graph_that_can_not_be_loaded_is_an_error_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"junk")
    with pytest.raises(ExportError, match="ONNX Runtime can't load the exported graph"):
        GraphRunner(tmp_path / "model.onnx")


def test_axes_are_named(flat_graph: Path) -> None:
    inputs, outputs = tensor_specs(flat_graph)
    assert {spec.name: spec.shape for spec in (*inputs, *outputs)} == {
        "waveform": ("batch", "samples"),
        "lengths": ("batch",),
        "logits": ("batch", 3),
        "embedding": ("batch", 128),
        "frame_logits": ("batch", "frames", 3),
        "frame_embeddings": ("batch", "frames", 128),
        "frame_lengths": ("batch",),
    }


def test_the_graph_is_made_of_whole_operators(flat_graph: Path) -> None:
    """What one node can say is not spelled out: a chain is slower, and unsafe in fp16."""
    loaded = onnx.load(flat_graph)
    onnx.checker.check_model(loaded, full_check=True)
    nodes = Counter(node.op_type for node in loaded.graph.node)
    assert {node.domain for node in loaded.graph.node} == {""}
    assert [opset.version for opset in loaded.opset_import if not opset.domain] == [OPSET]
    # 3 blocks of 2 norms, 7 front-end and 5 positional layers, feature norm and context norm.
    assert nodes["LayerNormalization"] == 3 * 2 + 7 + 5 + 2
    assert nodes["Gelu"] == 3 + 7 + 5
    assert nodes["Attention"] == 3
    assert not nodes.keys() & {"Erf", "Softmax", "Loop", "If", "Mod", "ReduceMean"}


def test_large_weights_lie_beside_the_graph_and_once(wide_graph: Path) -> None:
    (data,) = external_data(wide_graph)
    assert data == wide_graph.with_name("flat.onnx.data")
    weights = read_checkpoint(wide_graph.with_name("checkpoint")).weights
    size = sum(weight.nbytes for weight in weights.values())
    assert data.stat().st_size < 1.1 * size + 100_000
    outputs = GraphRunner(wide_graph).run(speech_like(800, 0)[None], np.array([800]))
    assert outputs["embedding"].shape == (1, 1024)
