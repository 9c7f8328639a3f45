"""The GPU's form of the graph: the same results, without a convolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from emotion2vec_export.gpu_graph import shape_for_gpu, write_gpu_graph
from emotion2vec_export.graph import save_graph, tensor_specs
from emotion2vec_export.graph_runner import GraphRunner
from emotion2vec_export.parity import speech_like


@pytest.fixture(scope="module")
def pair(flat_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The flat graph, and the GPU's in fp32."""
    model = onnx.load(flat_graph)
    shape_for_gpu(model)
    shaped = tmp_path_factory.mktemp("gpu") / "gpu.onnx"
    save_graph(model, shaped)
    return flat_graph, shaped


def test_samples_up_to_the_next_frame_count(pair: tuple[Path, Path]) -> None:
    """They belong to no frame, but to what the waveform is normalised by."""
    flat, gpu = map(GraphRunner, pair)
    for length in (719, 720, 1039):
        waveform = np.zeros((1, length), np.float32)
        waveform[0] = speech_like(length, 1)
        waveform[0, -1] = 30
        ours, theirs = (form.run(waveform, np.array([length])) for form in (gpu, flat))
        np.testing.assert_allclose(ours["logits"], theirs["logits"], atol=1e-4)


def test_no_convolution_is_left_that_would_be_planned_anew(pair: tuple[Path, Path]) -> None:
    flat, gpu = (onnx.load(path) for path in pair)
    assert any(node.op_type == "Conv" for node in flat.graph.node)
    assert not any(node.op_type == "Conv" for node in gpu.graph.node)
    assert {node.domain for node in gpu.graph.node} == {""}
    assert tensor_specs(pair[0]) == tensor_specs(pair[1])


def test_attention_has_a_multiple_of_8_tokens(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """ONNX Runtime's attention without scores in memory takes a bias only then."""
    model = onnx.load(pair[1])
    node = next(node for node in model.graph.node if node.op_type == "Attention")
    for name in (node.input[0], node.input[3]):
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    onnx.save(model, tmp_path / "shown.onnx")
    shown = GraphRunner(tmp_path / "shown.onnx")
    for samples in range(400, 400 + 9 * 320, 160):
        values = shown.run(np.zeros((2, samples), np.float32), np.array([samples, 400]))
        assert values[node.input[0]].shape[1] % 8 == 0
        assert values[node.input[3]].shape[2:] == (values[node.input[0]].shape[1],) * 2


def test_onnx_runtime_joins_what_it_is_written_to_join(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "joined.onnx")
    onnxruntime.InferenceSession(pair[1], options, providers=["CPUExecutionProvider"])
    gpu, joined = (
        [node.op_type for node in onnx.load(path).graph.node]
        for path in (pair[1], tmp_path / "joined.onnx")
    )
    blocks = gpu.count("Attention")
    assert joined.count("SkipLayerNormalization") == 2 * blocks
    # Those of the blocks, and of the front end.
    assert joined.count("BiasGelu") == blocks + 7


def test_it_is_what_the_bundle_has_in_fp16(pair: tuple[Path, Path], tmp_path: Path) -> None:
    path = write_gpu_graph(pair[0], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name]
    onnx.checker.check_model(path, full_check=True)
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    half = onnx.TensorProto.FLOAT16
    products = [node for node in graph.node if node.op_type in ("Attention", "MatMul")]
    whole = [node.output[0] for node in products if types[node.output[0]] != half]
    # The classifier's, of all frames.
    assert len(whole) == 1
    blocks = sum(node.op_type == "Attention" for node in graph.node)
    convolutions = 7 + 5
    assert len(products) == 7 * blocks + convolutions + 1 + len(whole)
    summing = {"Div", "Pow", "Reciprocal", "ReduceSum", "Sqrt"}
    assert not any(types[node.output[0]] == half for node in graph.node if node.op_type in summing)
    clip = speech_like(16000, 0)[None]
    ours, theirs = (
        GraphRunner(form).run(clip, np.array([16000]))["embedding"] for form in (path, pair[0])
    )
    assert 0 < np.abs(ours - theirs).max() < 0.05
