"""Sums over a clip's samples whose order does not depend on how far the clip is padded.

A sum of floats depends on its order, and a plain reduction's order on the length of the row: a clip
alone and the same clip padded were normalised to waveforms that differ in their last bits. Rounding
to int8 makes a whole level of that here and there, and later layers 0.01 of a probability. So
samples are added up in rows of equal length, and the rows' sums one after the other: zeros behind
the clip change neither.

    sum over S = last of cumsum(sum of each row of 512)
"""

from __future__ import annotations

import onnx

from emotion2vec_export.nodes import Nodes, replace

_ROW = 512
"""Whole vector registers of any CPU, and few rows, so that adding them one by one stays exact."""
_END = 2**63 - 1


def order_sums(model: onnx.ModelProto) -> None:
    """Rewrites the sums over samples that normalise the waveform of a flat graph, in place."""
    for node in _sums(model.graph):
        x, total = node.input[0], node.output[0]
        nodes = Nodes(f"{node.name}.ordered")
        row, axis = nodes.integers(_ROW), nodes.integers(1)
        samples = nodes.dimension(x, 1)
        rows = nodes.ceil_div(samples, row)
        missing = nodes.add("Sub", nodes.add("Mul", rows, row), samples)
        pads = nodes.add("Concat", nodes.integers(0), missing, axis=0)
        padded = nodes.add("Pad", x, pads, "", axis)
        cut = nodes.add("Reshape", padded, nodes.integers(0, -1, _ROW))
        sums = nodes.add("ReduceSum", cut, nodes.integers(2), keepdims=0)
        running = nodes.add("CumSum", sums, nodes.integer(1))
        nodes.add("Slice", running, nodes.integers(-1), nodes.integers(_END), axis, output=total)
        replace(model, {total}, [nodes], before=total)


def _sums(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Those before the first convolution; none where the model takes the waveform as it is."""
    first = next(index for index, node in enumerate(graph.node) if node.op_type == "Conv")
    return [node for node in graph.node[:first] if node.op_type == "ReduceSum"]
