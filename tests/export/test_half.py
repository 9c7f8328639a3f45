"""The fp16 graph: the type of every node, and what it computes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from emotion2vec_export.errors import ExportError
from emotion2vec_export.graph import tensor_specs
from emotion2vec_export.graph_runner import GraphRunner
from emotion2vec_export.half import halve
from emotion2vec_export.parity import softmax, speech_like
from emotion2vec_export.precision import RECIPES
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

BOUNDS = RECIPES["fp16"].bounds
PRODUCTS = {"Attention", "Conv", "Gemm", "MatMul"}
SENSITIVE = {"Div", "Exp", "Pow", "ReduceMean", "ReduceSum", "Reciprocal", "Softmax", "Sqrt", "Sub"}
# Each takes ways through the graph that the others don't.
KINDS = ("published", "old")


class Pair(NamedTuple):
    """The graphs of one kind of model."""

    kind: str
    fp32: Path
    fp16: Path


@pytest.fixture(scope="module")
def fp32(flat_graph: Path) -> Path:
    return flat_graph


@pytest.fixture(scope="module")
def fp16(fp32: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return halve(fp32, tmp_path_factory.mktemp("fp16"))


@pytest.fixture(scope="module")
def model(fp16: Path) -> GraphRunner:
    return GraphRunner(fp16)


@pytest.fixture(scope="module", params=KINDS)
def pair(request, exported, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    flat = exported(request.param).flat
    return Pair(request.param, flat, halve(flat, tmp_path_factory.mktemp("pair")))


def types_of(path: Path) -> dict[str, int]:
    """ONNX element type of every tensor of a graph."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def run(model: GraphRunner, *clips: np.ndarray) -> dict[str, np.ndarray]:
    lengths = np.array([len(clip) for clip in clips])
    waveform = np.zeros((len(clips), lengths.max()), np.float32)
    for row, clip in zip(waveform, clips, strict=True):
        row[: len(clip)] = clip
    return model.run(waveform, lengths)


def test_every_node_has_the_type_it_should(pair: Pair) -> None:
    fp32, fp16 = pair.fp32, pair.fp16
    onnx.checker.check_model(fp16, full_check=True)
    types, graph = types_of(fp16), onnx.load(fp16).graph
    answers = {value.name for value in graph.output}
    for node in graph.node:
        half = TensorProto.FLOAT16 in {types[name] for name in node.output}
        if node.op_type in PRODUCTS:
            readers = [n for n in graph.node if node.output[0] in n.input]
            answered = {node.output[0], *(name for n in readers for name in n.output)} & answers
            assert half != bool(answered), node.output
        if node.op_type in SENSITIVE:
            assert not half, (node.op_type, node.output)
        if node.op_type == "LayerNormalization":
            assert {a.name: a.i for a in node.attribute}["stash_type"] == TensorProto.FLOAT
    before, after = (operators(path) for path in (fp32, fp16))
    assert before - after == Counter()
    assert (after - before).keys() == {"Cast"}
    assert tensor_specs(fp32) == tensor_specs(fp16)


def test_casts_are_few_and_never_there_and_back(pair: Pair) -> None:
    casts = [node for node in onnx.load(pair.fp16).graph.node if node.op_type == "Cast"]
    halves = [node for node in casts if node.name.endswith(".fp16")]
    wholes = [node for node in casts if node.name.endswith(".fp32")]
    # To fp16: the waveform, the mask, ALiBi (one a layer where each has its own), and what a norm
    # over time gives; to fp32: what the last norm takes, and what a norm over time takes.
    assert len(halves) == {"published": 3, "old": 6}[pair.kind]
    assert len(wholes) == {"published": 1, "old": 2}[pair.kind]
    assert {node.input[0] for node in wholes}.isdisjoint(node.output[0] for node in halves)
    assert {node.input[0] for node in halves}.isdisjoint(node.output[0] for node in wholes)


def test_constants_are_finite_and_a_mask_is_no_lowest_float(fp16: Path) -> None:
    for tensor in onnx.load(fp16).graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            values = numpy_helper.to_array(tensor)
            assert np.isfinite(values).all(), tensor.name
            assert values.min(initial=0) >= -1e4, tensor.name


def test_half_the_bytes(fp32: Path, fp16: Path) -> None:
    def weights(path: Path) -> int:
        return sum(len(tensor.raw_data) for tensor in onnx.load(path).graph.initializer)

    assert weights(fp16) < 0.52 * weights(fp32)


def test_results_stay_close(pair: Pair) -> None:
    fp32, fp16 = GraphRunner(pair.fp32), GraphRunner(pair.fp16)
    speech = [speech_like(samples, samples) for samples in (400, 5000, 16000)]
    clips = [*speech, 1000 * speech[1], np.clip(100 * speech[2], -1, 1), 0 * speech[1]]
    exact, rounded = run(fp32, *clips), run(fp16, *clips)
    np.testing.assert_array_equal(exact["frame_lengths"], rounded["frame_lengths"])
    for clip, frames in enumerate(exact["frame_lengths"]):
        ours, theirs = (softmax(outputs["logits"][clip]) for outputs in (rounded, exact))
        assert 0 < np.abs(ours - theirs).max() < BOUNDS.probability
        ours, theirs = (outputs["frame_embeddings"][clip, :frames] for outputs in (rounded, exact))
        assert np.abs(ours - theirs).max() < BOUNDS.frame_embedding


@settings(max_examples=30)
@given(
    samples=st.integers(400, 20000),
    neighbour=st.integers(400, 20000),
    loudness=st.sampled_from([0.0, 1e-30, 1e-6, 1.0, 1e3, 1e18]),
    constant=st.sampled_from([0.0, 1.0, -1e6]),
)
def test_nothing_is_ever_not_a_number(
    model: GraphRunner, samples: int, neighbour: int, loudness: float, constant: float
) -> None:
    clip = (np.float32(loudness) * speech_like(samples, 1) + np.float32(constant)).clip(-1e18, 1e18)
    for name, value in run(model, clip, speech_like(neighbour, 2)).items():
        assert np.isfinite(value).all(), name


@settings(max_examples=20)
@given(samples=st.integers(400, 8000), neighbour=st.integers(400, 16000))
def test_a_neighbour_moves_nothing(model: GraphRunner, samples: int, neighbour: int) -> None:
    clip, other = speech_like(samples, 1), speech_like(neighbour, 2)
    alone, beside = run(model, clip), run(model, clip, other)
    np.testing.assert_allclose(beside["logits"][0], alone["logits"][0], atol=1e-2)
    np.testing.assert_allclose(beside["embedding"][0], alone["embedding"][0], atol=1e-2)


def test_a_layer_whose_weights_are_too_large_stays_fp32(fp32: Path, tmp_path: Path) -> None:
    model = onnx.load(fp32)
    (matrix,) = [tensor for tensor in model.graph.initializer if tensor.dims == [128, 512]][:1]
    values = numpy_helper.to_array(matrix).copy()
    values[0, 0] = 1e5
    matrix.CopyFrom(numpy_helper.from_array(values, matrix.name))
    onnx.save(model, tmp_path / "model.onnx")
    fp16 = halve(tmp_path / "model.onnx", tmp_path)
    types = types_of(fp16)
    products = [node for node in onnx.load(fp16).graph.node if node.op_type == "MatMul"]
    whole = [node.input[1] for node in products if types[node.output[0]] == TensorProto.FLOAT]
    assert len(whole) == 2  # this one, and the classifier's
    assert matrix.name in whole
    assert np.isfinite(run(GraphRunner(fp16), speech_like(5000, 1))["logits"]).all()


def test_a_graph_without_layers_is_refused(tmp_path: Path) -> None:
    values = [onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    node = onnx.helper.make_node("Sqrt", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "no layers", values[:1], values[1:])
    opset = onnx.helper.make_opsetid("", 23)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset]), tmp_path / "model.onnx")
    with pytest.raises(ExportError, match="leave fp16 out"):
        halve(tmp_path / "model.onnx", tmp_path)
