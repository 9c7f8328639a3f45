"""Grouped convolutions over time as matrix products, one a group.

A convolution of kernel k makes n neighbouring frames of the n + k - 1 around them. Side by side,
with d channels a group, these are a row of (n + k - 1) d values, and the matrix holds the kernel n
times, each time a frame further down. At one frame a row every frame would be copied k times; at n
it is (n + k - 1) / n times, for as many more multiplications by zero. Where n divides k - 1, a row
is made of whole blocks of n frames, (k - 1) / n + 1 of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.numpy_helper import to_array

from emotion2vec_export.nodes import Nodes, producers, readers, replace

_MOST_FRAMES = 6
"""Of a row. For the large model's kernel of 19 that is 4 copies of a frame and 19 MB a layer in
fp16."""


class _Rows(NamedTuple):
    """How time is cut: n frames a row, and names of what all layers share."""

    frames: int
    """n"""
    pads: str
    """Frames before the first and after the last, for `Pad`."""
    blocks: str
    """Of n frames, the padding's included: a vector of one."""
    places: str
    """[rows, (k - 1) / n + 1]: the blocks of each row."""
    given: str
    """Frames that come out: T, or T + 1 of an even kernel. A vector of one."""


def multiply_positions(model: onnx.ModelProto) -> None:
    """Rewrites the convolutions that have a bias, in place: the front end's have none."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    making, reading = producers(graph), readers(graph)
    rows: _Rows | None = None
    for node in [node for node in graph.node if node.op_type == "Conv" and len(node.input) == 3]:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        weight = to_array(constants[node.input[1]])
        source = making[node.input[0]].input[0]  # [B, T, D]
        output = reading[node.output[0]].output[0]  # [B, T, D], or a surplus frame more
        nodes = Nodes(node.name)
        if rows is None:
            rows = _rows(nodes, source, weight.shape[2])
        y = _convolve(nodes, source, weight, attributes["group"], rows)
        nodes.add("Add", y, node.input[2], output=output)
        replace(model, {output}, [nodes], before=output)


def _rows(nodes: Nodes, x: str, kernel: int) -> _Rows:
    """Cuts `x` [B, T, D] for a kernel that is padded by k // 2 on either side."""
    frames = max(n for n in range(1, _MOST_FRAMES + 1) if (kernel - 1) % n == 0)
    window, before = (kernel - 1) // frames + 1, kernel // 2
    length = nodes.dimension(x, 1)
    given = length if kernel % 2 else nodes.add("Add", length, nodes.integers(1))
    count = nodes.ceil_div(given, nodes.integers(frames))
    blocks = nodes.add("Add", count, nodes.integers(window - 1))
    whole = nodes.add("Mul", blocks, nodes.integers(frames))
    after = nodes.add("Sub", whole, nodes.add("Add", length, nodes.integers(before)))
    pads = nodes.add("Concat", nodes.integers(before), after, axis=0)
    firsts = nodes.add("Range", nodes.integer(0), nodes.add("Squeeze", count), nodes.integer(1))
    column = nodes.add("Unsqueeze", firsts, nodes.integers(1))
    places = nodes.add("Add", column, nodes.integers(*range(window)))
    return _Rows(frames, pads, blocks, places, given)


def _convolve(nodes: Nodes, x: str, weight: NDArray[np.float32], groups: int, rows: _Rows) -> str:
    """`x` [B, T, D] and `weight` [D, D / groups, k] to [B, T, D]."""
    size = weight.shape[0] // groups
    vector = nodes.integers
    padded = nodes.add("Pad", x, rows.pads, "", vector(1))
    apart = nodes.add("Reshape", padded, vector(0, 0, groups, size))
    apart = nodes.add("Transpose", apart, perm=[2, 0, 1, 3])
    shape = nodes.add("Concat", vector(0, 0), rows.blocks, vector(rows.frames * size), axis=0)
    blocks = nodes.add("Reshape", apart, shape)
    windows = nodes.add("Gather", blocks, rows.places, axis=2)
    matrix = _repeated(weight, groups, rows.frames)
    windows = nodes.add("Reshape", windows, vector(groups, -1, matrix.shape[1]))
    y = nodes.add("MatMul", windows, nodes.constant(matrix))
    shape = nodes.add("Concat", vector(groups), nodes.dimension(x, 0), vector(-1, size), axis=0)
    y = nodes.add("Transpose", nodes.add("Reshape", y, shape), perm=[1, 2, 0, 3])
    y = nodes.add("Reshape", y, vector(0, 0, groups * size))
    return nodes.add("Slice", y, vector(0), rows.given, vector(1))


def _repeated(weight: NDArray[np.float32], groups: int, frames: int) -> NDArray[np.float32]:
    """[D, d, k] to [groups, (frames + k - 1) d, frames d]."""
    outputs, size, kernel = weight.shape
    each = outputs // groups
    taps = weight.reshape(groups, each, size, kernel).transpose(0, 3, 2, 1)
    matrix = np.zeros((groups, frames + kernel - 1, size, frames, each), np.float32)
    for frame in range(frames):
        matrix[:, frame : frame + kernel, :, frame] = taps
    return matrix.reshape(groups, (frames + kernel - 1) * size, frames * each)
