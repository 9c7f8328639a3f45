"""The CPU's form of the graph: the same results, in less memory."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from emotion2vec_export.cpu_graph import write_cpu_graph
from emotion2vec_export.graph import tensor_specs
from emotion2vec_export.nodes import nested
from emotion2vec_export.parity import speech_like

RATE = 16000


@pytest.fixture(scope="module")
def pair(flat_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The flat graph and the CPU's."""
    return flat_graph, write_cpu_graph(flat_graph, tmp_path_factory.mktemp("cpu"))


def test_it_is_made_of_standard_operators(pair: tuple[Path, Path]) -> None:
    flat, cpu = pair
    model = onnx.load(cpu)
    onnx.checker.check_model(model, full_check=True)
    nodes = [inner for node in model.graph.node for inner in nested(node)]
    assert {node.domain for node in nodes} == {""}
    count = Counter(node.op_type for node in nodes)
    # The positional convolutions stay; the front end's products are seven.
    assert count["Conv"] == 5
    before = Counter(node.op_type for node in onnx.load(flat).graph.node)
    assert count["MatMul"] == before["MatMul"] + 7
    assert count["Scan"] == 1 + before["Attention"]
    assert tensor_specs(flat) == tensor_specs(cpu)


def test_no_tensor_holds_the_front_end_of_a_whole_clip(wide_graph: Path, tmp_path: Path) -> None:
    cpu = write_cpu_graph(wide_graph, tmp_path)
    # What the first convolution gives: float32, 64 values a frame and channel.
    assert largest_tensor(wide_graph, seconds=5) > 249 * 64 * 512 * 4
    # Of a slice of 32 frames, what the second one reads: three values side by side.
    assert largest_tensor(cpu, seconds=5) < 33 * 32 * 3 * 512 * 4


def test_no_tensor_holds_all_scores(pair: tuple[Path, Path]) -> None:
    flat, cpu = pair
    tokens, heads = 1499 + 10, 4
    assert largest_tensor(flat, seconds=30) >= heads * tokens**2 * 4
    # Distances are counted in int64, for all heads.
    assert largest_tensor(cpu, seconds=30) <= tokens**2 * 8


def largest_tensor(path: Path, seconds: int) -> int:
    """Bytes of the largest output of a node, for a clip of that length."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(path.parent / "profile")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    clip = speech_like(seconds * RATE, 1)
    session.run(["logits"], {"waveform": clip[None], "lengths": np.array([len(clip)])})
    events = json.loads(Path(session.end_profiling()).read_text())
    sizes = [
        int(event["args"]["output_size"]) for event in events if "output_size" in event["args"]
    ]
    return max(sizes)
