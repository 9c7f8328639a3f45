"""What the products of a graph are typically given, heard from speech."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from emotion2vec_export.graph_runner import GraphRunner
from emotion2vec_export.recordings import fitting_clips


def hear(graph: Path, names: Collection[str]) -> Mapping[str, NDArray[np.float32]]:
    """Runs the clips to fit to through the graph at `graph`.

    Args:
        names: of values [B, T, K].

    Returns:
        By name, the rows of all clips: [frames, K].
    """
    model = onnx.load(graph, load_external_data=False)
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    probe = graph.with_suffix(".probe.onnx")  # Beside the graph, whose weights it shares.
    try:
        onnx.save(model, probe)
        runner = GraphRunner(probe)
    finally:
        probe.unlink(missing_ok=True)
    heard = [runner.run(clip[None], np.array([len(clip)])) for clip in fitting_clips()]
    return {
        name: np.concatenate([np.asarray(outputs[name][0], np.float32) for outputs in heard])
        for name in names
    }
