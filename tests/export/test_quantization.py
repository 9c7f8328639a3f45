"""The int8 graph: what it computes in integers, how exactly, and for each clip by itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from emotion2vec_export import quantization
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.destination import Destination
from emotion2vec_export.errors import ExportError
from emotion2vec_export.graph import external_data, save_graph, tensor_specs
from emotion2vec_export.graph_runner import GraphRunner
from emotion2vec_export.levels import (
    ACTIVATION_TOP,
    PAIR_TOP,
    WEIGHT_TOP,
    pair_sums,
    quantize_columns,
    smoothing,
)
from emotion2vec_export.nodes import nested
from emotion2vec_export.parity import softmax, speech_like
from emotion2vec_export.pipeline import export_bundle
from emotion2vec_export.precision import RECIPES
from emotion2vec_export.recordings import TO_JUDGE, recording
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import load_bundle
from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx.numpy_helper import from_array, to_array

from tests.export.samples import Export, write_flat

BOUNDS = RECIPES["int8"].bounds
MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.floats(-100, 100, width=32),
)


@pytest.fixture(scope="module")
def fp32(flat_graph: Path) -> Path:
    return flat_graph


@pytest.fixture(scope="module")
def int8(fp32: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantized(fp32, tmp_path_factory.mktemp("int8"))


def quantized(graph: Path, directory: Path) -> Path:
    """The first form that int8 has of a graph."""
    return next(quantization.quantize(graph, directory)).path


def run(model: GraphRunner, *clips: np.ndarray) -> dict[str, np.ndarray]:
    lengths = np.array([len(clip) for clip in clips])
    waveform = np.zeros((len(clips), lengths.max()), np.float32)
    for row, clip in zip(waveform, clips, strict=True):
        row[: len(clip)] = clip
    return model.run(waveform, lengths)


@given(MATRICES)
def test_no_pair_of_weights_can_saturate_16_bits(weight: np.ndarray) -> None:
    levels = quantize_columns(weight).levels.astype(np.int64)
    assert np.abs(levels).max() <= WEIGHT_TOP
    assert pair_sums(levels).max() <= PAIR_TOP
    assert PAIR_TOP * ACTIVATION_TOP < 2**15


@given(MATRICES)
def test_a_weight_is_off_by_half_a_level_at_most(weight: np.ndarray) -> None:
    levels, scales = quantize_columns(weight)
    assert (np.abs(levels * scales - weight) <= 0.501 * scales).all()


def test_a_column_of_ordinary_weights_uses_the_whole_range() -> None:
    weight = np.random.default_rng(0).standard_normal((1024, 64)).astype(np.float32)
    assert np.abs(quantize_columns(weight).levels).max(axis=0).mean() > 0.85 * WEIGHT_TOP


def test_pair_sums_are_of_one_sign() -> None:
    weight = np.array([[3.0, -3], [4, 4], [-5, 1]])
    np.testing.assert_array_equal(pair_sums(weight), [[7, 4], [5, 1]])


def test_smoothing_changes_no_product() -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.standard_normal((16, 8)), rng.standard_normal((5, 16))
    factors = smoothing(weight, x)
    np.testing.assert_allclose((x / factors) @ (weight * factors[:, None]), x @ weight)
    assert smoothing(weight, 100 * x) == pytest.approx(factors)


def operators(path: Path) -> Counter[str]:
    nodes = onnx.load(path).graph.node
    return Counter(inner.op_type for node in nodes for inner in nested(node))


def test_every_layer_but_the_classifier_is_in_integers(fp32: Path, int8: Path) -> None:
    before, after = operators(fp32), operators(int8)
    # The feature projection, and in each of 3 blocks qkv, proj, fc1 and fc2.
    assert after["MatMulIntegerToFloat"] == 1 + 3 * 4
    # The front end's convolutions become products, which are not rounded.
    assert before["MatMul"] - after["MatMul"] == 1 + 3 * 4 - 7
    assert before["Conv"] - after["Conv"] == 7
    assert int8.stat().st_size < 0.8 * fp32.stat().st_size
    assert tensor_specs(int8) == tensor_specs(fp32)


def test_a_wide_model_is_close_and_each_clip_by_itself(wide_graph: Path, tmp_path: Path) -> None:
    int8 = quantized(wide_graph, tmp_path)
    # The feature projection, and four in each block.
    assert operators(int8)["MatMulIntegerToFloat"] == 1 + 2 * 4
    exact, rounded = GraphRunner(wide_graph), GraphRunner(int8)
    clip = speech_like(17000, 1)
    theirs, ours = (run(model, clip)["frame_embeddings"][0] for model in (exact, rounded))
    assert 0 < np.abs(ours - theirs).mean() < 0.03
    # Alone, and beside longer ones.
    speech = np.float32(50) * speech_like(30000, 2)
    for other in (speech, 0 * speech):
        beside = run(rounded, clip, other)["frame_embeddings"][0, : len(ours)]
        np.testing.assert_array_equal(beside, ours)


def test_the_second_form_rounds_less(fp32: Path, tmp_path: Path) -> None:
    first, second = (
        operators(form.path)["MatMulIntegerToFloat"]
        for form in quantization.quantize(fp32, tmp_path)
    )
    assert (first, second) == (1 + 3 * 4, 1 + 3 * 3)


def test_results_stay_close(fp32: Path, int8: Path) -> None:
    clips = [speech_like(samples, samples) for samples in (400, 5000, 16000)]
    exact, rounded = (run(GraphRunner(path), *clips) for path in (fp32, int8))
    for clip in range(len(clips)):
        ours, theirs = (softmax(outputs["logits"][clip]) for outputs in (rounded, exact))
        assert 0 < np.abs(ours - theirs).max() < BOUNDS.probability
    np.testing.assert_array_equal(exact["frame_lengths"], rounded["frame_lengths"])


@settings(max_examples=30)
@given(
    samples=st.integers(400, 12000),
    neighbours=st.lists(st.integers(400, 24000), min_size=1, max_size=7),
    loudness=st.floats(0, 99),
)
@example(samples=726, neighbours=[728], loudness=0.0)
@example(samples=400, neighbours=[24000], loudness=1.0)
def test_a_neighbour_moves_nothing(
    int8_model: GraphRunner, samples: int, neighbours: list[int], loudness: float
) -> None:
    """Frames are the same bits; their mean adds up the padding's zeros in another order."""
    clip = speech_like(samples, 1)
    others = [np.float32(loudness) * speech_like(neighbour, 2) for neighbour in neighbours]
    alone, beside = run(int8_model, clip), run(int8_model, clip, *others)
    frames = alone["frame_lengths"][0]
    for name in ("frame_embeddings", "frame_logits"):
        np.testing.assert_array_equal(beside[name][0, :frames], alone[name][0])
    for name in ("embedding", "logits"):
        np.testing.assert_allclose(beside[name][0], alone[name][0], atol=1e-5)


@pytest.fixture(scope="module")
def int8_model(int8: Path) -> GraphRunner:
    return GraphRunner(int8)


def test_a_channel_that_a_norm_makes_large_spoils_no_other(
    fp32: Path, tmp_path: Path, monkeypatch
) -> None:
    """Such outliers are what trained transformers have."""
    graph = tmp_path / "model.onnx"
    onnx.save(enlarged(onnx.load(fp32), channel=3, times=60), graph)
    clip = speech_like(16000, 5)
    exact = run(GraphRunner(graph), clip)["frame_logits"]

    def error() -> float:
        rounded = run(GraphRunner(quantized(graph, tmp_path)), clip)["frame_logits"]
        return float(np.abs(rounded - exact).mean())

    smoothed = error()
    monkeypatch.setattr(
        "emotion2vec_export.quantization.smoothing",
        lambda weight, rows: np.ones(len(weight), np.float32),
    )
    assert smoothed < error() / 2


def enlarged(model: onnx.ModelProto, channel: int, times: float) -> onnx.ModelProto:
    """The blocks' norms give one channel so many times as large, which their readers undo."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    large = set()

    def scale(name: str, factor: float) -> None:
        values = to_array(constants[name]).copy()
        values[channel] *= factor
        constants[name].CopyFrom(from_array(values, name))

    for node in model.graph.node:
        if node.op_type == "LayerNormalization" and node.input[1].startswith("blocks."):
            scale(node.input[1], times)
            large.add(node.output[0])
        elif node.op_type == "Slice" and node.input[0] in large:
            large.add(node.output[0])
        elif node.op_type == "MatMul" and node.input[0] in large:
            scale(node.input[1], 1 / times)
    return model


def test_what_is_fitted_to_speech_is_closer_on_other_speech(
    fp32: Path, int8: Path, tmp_path: Path, monkeypatch
) -> None:
    clips = [recording(name) for name in TO_JUDGE]
    exact = [run(GraphRunner(fp32), clip)["frame_embeddings"] for clip in clips]

    def error(path: Path) -> float:
        rounded = [run(GraphRunner(path), clip)["frame_embeddings"] for clip in clips]
        squares = [np.square(a - b).mean() for a, b in zip(rounded, exact, strict=True)]
        return float(np.sqrt(np.mean(squares)))

    fitted = error(int8)
    monkeypatch.setattr(quantization, "fit_columns", lambda weight, rows: quantize_columns(weight))
    assert fitted < error(quantized(fp32, tmp_path))


def test_a_graph_without_layers_is_refused(fp32: Path, tmp_path: Path) -> None:
    model = onnx.load(fp32)
    for node in model.graph.node:
        node.op_type = node.op_type.replace("MatMul", "Gemm")
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match="leave int8 out"):
        quantized(tmp_path / "model.onnx", tmp_path)


def test_large_weights_lie_beside_the_graph(int8: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("emotion2vec_export.graph._EXTERNAL_DATA_BYTES", 0)
    path = tmp_path / "model.onnx"
    save_graph(onnx.load(int8), path)
    (data,) = external_data(path)
    assert data.stat().st_mode & 0o777 == 0o644
    clip = speech_like(800, 0)
    np.testing.assert_array_equal(
        run(GraphRunner(path), clip)["logits"], run(GraphRunner(int8), clip)["logits"]
    )


@pytest.mark.usefixtures("already_exported")
def test_a_bundle_may_hold_int8_alone(published: Export, silence, tmp_path: Path) -> None:
    export_bundle(
        read_checkpoint(published.checkpoint),
        Destination(tmp_path / "bundle"),
        name="micro",
        source="tests",
        precisions=["int8"],
        progress=silence,
    )
    bundle = load_bundle(tmp_path / "bundle")
    artifact, _ = bundle.manifest.artifacts
    parity = artifact.parity
    assert parity is not None
    assert {row.case.partition(",")[0] for row in parity.rows if not row.decides} == {
        "one frame",
        "silence",
    }
    assert all(row.difference > 0 for row in parity.rows)
    assert parity.passed
    backend = load_backend(bundle, precision="auto", provider="cpu", threads=1)
    assert backend.precision == "int8"


@pytest.mark.slow
def test_the_demo_model_keeps_its_answers(tmp_path: Path) -> None:
    """Trained weights are harder to round than random ones."""
    soundfile = pytest.importorskip("soundfile")
    root = Path(__file__).parents[2]
    flat = write_flat(root / "export" / "demo" / "checkpoint", tmp_path / "flat.onnx")
    exact = GraphRunner(DEMO_BUNDLE / "model.fp32.onnx")
    rounded = GraphRunner(quantized(flat, tmp_path))
    heldout = root / "tests" / "data" / "heldout"
    differences = []
    for path in sorted(heldout.glob("*.flac"))[::3]:
        clip, _ = soundfile.read(path, dtype="float32")
        ours, theirs = (softmax(run(model, clip)["logits"][0]) for model in (rounded, exact))
        differences.append(np.abs(ours - theirs).max())
        runner_up, best = np.sort(theirs)[-2:]
        assert ours.argmax() == theirs.argmax() or best - runner_up < 0.05, path.name
    assert max(differences) < 0.02
    assert np.mean(differences) < 0.005
