"""Positional convolutions on blocks of equally many frames, however long the clip is.

ONNX Runtime chooses a convolution's order of summation by its length. With all blocks of one length
a frame gets the same bits whether its clip is padded or not, which int8 needs: see `summation`.

    m = ceil(T / 64) blocks, each of 64 frames and the k - 1 around them
"""

from __future__ import annotations

from typing import NamedTuple

import onnx
from onnx import helper
from onnx.numpy_helper import to_array

from emotion2vec_export.nodes import Nodes, producers, readers, replace

_BLOCK = 64
"""1.3 s; 16 and 32 are no faster, but at a fraction of a second."""


class _Cuts(NamedTuple):
    """How time is cut: names of what all layers share."""

    pads: str
    """Frames before the first and after the last, for `Pad`."""
    places: str
    """[m, frames of a block and around it]"""
    frames: str
    """T, or T + 1 of an even kernel. A vector of one."""


def block_positions(model: onnx.ModelProto) -> None:
    """Rewrites the convolutions that have a bias, in place: the front end's have none."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    making, reading = producers(graph), readers(graph)
    cuts: _Cuts | None = None
    for node in [node for node in graph.node if node.op_type == "Conv" and len(node.input) == 3]:
        weight = to_array(constants[node.input[1]])
        size, _, kernel = weight.shape
        source = making[node.input[0]].input[0]  # [B, T, D]
        output = reading[node.output[0]].output[0]  # [B, T, D], or a surplus frame more
        nodes = Nodes(node.name)
        if cuts is None:
            cuts = _cuts(nodes, source, kernel)
        padded = nodes.add("Pad", source, cuts.pads, "", nodes.integers(1))
        windows = nodes.add("Gather", padded, cuts.places, axis=1)
        blocks = nodes.add("Reshape", windows, nodes.integers(-1, _BLOCK + kernel - 1, size))
        x = nodes.add("Transpose", blocks, perm=[0, 2, 1])
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        x = nodes.add("Conv", x, *node.input[1:], **{**attributes, "pads": [0, 0]})
        x = nodes.add("Transpose", x, perm=[0, 2, 1])
        whole = nodes.add("Concat", nodes.dimension(source, 0), nodes.integers(-1, size), axis=0)
        y = nodes.add("Reshape", x, whole)
        nodes.add("Slice", y, nodes.integers(0), cuts.frames, nodes.integers(1), output=output)
        replace(model, {output}, [nodes], before=output)


def _cuts(nodes: Nodes, x: str, kernel: int) -> _Cuts:
    """Cuts `x` [B, T, D] for a kernel that is padded by k // 2 on either side."""
    before, block = kernel // 2, nodes.integers(_BLOCK)
    length = nodes.dimension(x, 1)
    frames = length if kernel % 2 else nodes.add("Add", length, nodes.integers(1))
    count = nodes.ceil_div(frames, block)
    whole = nodes.add("Add", nodes.add("Mul", count, block), nodes.integers(kernel - 1 - before))
    after = nodes.add("Sub", whole, length)
    pads = nodes.add("Concat", nodes.integers(before), after, axis=0)
    numbers = nodes.add("Range", nodes.integer(0), nodes.add("Squeeze", count), nodes.integer(1))
    firsts = nodes.add("Mul", nodes.add("Unsqueeze", numbers, nodes.integers(1)), block)
    offsets = nodes.integers(*range(_BLOCK + kernel - 1))
    return _Cuts(pads, nodes.add("Add", firsts, offsets), frames)
