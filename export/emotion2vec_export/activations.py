"""What the products of a graph are typically given, heard from speech."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emotion2vec_export.graph_runner import GraphRunner
from emotion2vec_export.recordings import fitting_clips

_TIME_AXES = (0, 2)
"""Clips and frames of what a convolution reads, [B, C, T]."""


class Activations(NamedTuple):
    """By the values' names."""

    rows: dict[str, NDArray[np.float32]]
    """[frames of all clips, K], of what linear layers read."""
    means: dict[str, NDArray[np.float64]]
    """[C], of what convolutions read, whose rows would be too many to keep."""


def hear(graph: Path, linear: Collection[str] = (), convolved: Collection[str] = ()) -> Activations:
    """Runs the clips to fit to through the graph at `graph`.

    Args:
        linear: names of values [B, T, K].
        convolved: names of values [B, C, T].
    """
    model = onnx.load(graph, load_external_data=False)
    axes = numpy_helper.from_array(np.array(_TIME_AXES), "convolved.mean_axes")
    model.graph.initializer.append(axes)
    for name in convolved:
        node = helper.make_node("ReduceMean", [name, axes.name], [f"{name}.mean"], keepdims=0)
        model.graph.node.append(node)
    wanted = [*linear, *(f"{name}.mean" for name in convolved)]
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted
    )
    probe = graph.with_suffix(".probe.onnx")  # Beside the graph, whose weights it shares.
    try:
        onnx.save(model, probe)
        runner = GraphRunner(probe)
    finally:
        probe.unlink(missing_ok=True)
    heard = [runner.run(clip[None], np.array([len(clip)])) for clip in fitting_clips()]

    def of_all(name: str) -> list[NDArray[np.float32]]:
        return [np.asarray(outputs[name], np.float32) for outputs in heard]

    return Activations(
        rows={name: np.concatenate([x[0] for x in of_all(name)]) for name in linear},
        means={
            name: np.stack(of_all(f"{name}.mean")).mean(axis=0, dtype=np.float64)
            for name in convolved
        },
    )
