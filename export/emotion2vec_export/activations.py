"""What the products of a graph are typically given, heard from made-up audio."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emotion2vec_export.graph_runner import GraphRunner
from emotion2vec_export.parity import speech_like

_RATE = 16000
_SEEDS = (101, 102, 103)


def mean_activations(
    graph: Path, axes: Mapping[str, tuple[int, ...]]
) -> Mapping[str, NDArray[np.float64]]:
    """Means of values of the graph at `graph` over clips and frames: one [K] by name.

    The speech-like clips are not those of the parity check.

    Args:
        axes: the values' names, and which axes hold clips and frames.
    """
    model = onnx.load(graph, load_external_data=False)
    for name, over in axes.items():
        constant = numpy_helper.from_array(np.array(over), f"{name}.mean_axes")
        model.graph.initializer.append(constant)
        inputs = [name, constant.name]
        node = helper.make_node("ReduceMean", inputs, [f"{name}.mean"], keepdims=0)
        model.graph.node.append(node)
        output = helper.make_tensor_value_info(f"{name}.mean", TensorProto.FLOAT, None)
        model.graph.output.append(output)
    probe = graph.with_suffix(".probe.onnx")  # Beside the graph, whose weights it shares.
    try:
        onnx.save(model, probe)
        runner = GraphRunner(probe)
    finally:
        probe.unlink(missing_ok=True)
    # Silence too: all its frames are alike, so that a shift there is the whole difference.
    clips = [*(speech_like(3 * _RATE, seed) for seed in _SEEDS), np.zeros(_RATE, np.float32)]
    heard = [runner.run(clip[None], np.array([len(clip)])) for clip in clips]
    return {
        name: np.mean(
            [np.asarray(outputs[f"{name}.mean"], np.float64) for outputs in heard], axis=0
        )
        for name in axes
    }
