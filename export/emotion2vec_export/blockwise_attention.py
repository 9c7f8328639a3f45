"""Attention as CPUs run it best: some queries at a time, their ALiBi made on the spot.

Scores and biases of all queries with all keys have 150 MB each at 30 s of speech. Of 128 queries
they stay in the cache, so that making the biases anew in every layer costs no more than reading
them from memory, and memory grows with the length instead of its square:

    m = ceil(N / 128) blocks of n = ceil(N / m) queries
    bias = slope (-distance + padding)      [B, H, n, N], with -distance [B, 1, n, N] for all layers

The flat graph adds the padding's -1e4 after the slope; here it is multiplied, which saves a pass. A
head without ALiBi has a slope so small that it moves no score, yet makes -1e4 of the padding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.numpy_helper import to_array

from emotion2vec_export.levels import Float32
from emotion2vec_export.nodes import Nodes, producers, readers, replace

_BLOCK = 128
_LEAST_SLOPE = np.float32(1e-26)


class _Bias(NamedTuple):
    """A bias of the flat graph: slopes [H, 1, 1] x distance [N, N] + padded [B, 1, 1, N]."""

    slopes: str
    distance: str
    padded: str


class _Cuts(NamedTuple):
    """How queries are cut: names of vectors of one, and of what all layers share."""

    tokens: str
    """N"""
    blocks: str
    """How many."""
    each: str
    """Queries of one."""
    surplus: str
    """Queries that the last one lacks."""
    nearness: str
    """[B, blocks, queries of one, N]: -distance, and far below where the key is padding."""


def block_attention(model: onnx.ModelProto) -> None:
    """Rewrites the attention of a flat graph, in place. Attention without ALiBi stays as it is."""
    graph = model.graph
    making, reading = producers(graph), readers(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    shared: dict[tuple[str, str], _Cuts] = {}
    for node in [node for node in graph.node if node.op_type == "Attention"]:
        bias = _bias(making, node.input[3])
        if bias is None:
            return
        queries = making[node.input[0]].input[0]  # [B, N, H, D / H]
        merged = reading[reading[node.output[0]].output[0]].output[0]  # [B, N, D]
        nodes = Nodes(node.name)
        key = (bias.distance, bias.padded)
        if key not in shared:
            shared[key] = _cuts(nodes, bias, queries)
        slopes = np.maximum(to_array(constants[bias.slopes]), _LEAST_SLOPE)
        _attend(nodes, node, shared[key], slopes, queries, merged)
        replace(model, {merged}, [nodes], before=merged)


def _bias(making: dict[str, onnx.NodeProto], name: str) -> _Bias | None:
    total = making[name]
    if total.op_type != "Add":
        return None
    product = making[total.input[0]]
    return _Bias(product.input[0], product.input[1], total.input[1])


def _cuts(nodes: Nodes, bias: _Bias, queries: str) -> _Cuts:
    tokens = nodes.dimension(queries, 1)
    blocks = nodes.ceil_div(tokens, nodes.integers(_BLOCK))
    each = nodes.ceil_div(tokens, blocks)
    surplus = nodes.add("Sub", nodes.add("Mul", each, blocks), tokens)
    padding = nodes.add("Mul", bias.padded, nodes.number(float(1 / _LEAST_SLOPE)))
    nearness = nodes.add("Squeeze", nodes.add("Add", bias.distance, padding), nodes.integers(1))
    cuts = _Cuts(tokens, blocks, each, surplus, nearness)
    return cuts._replace(nearness=_cut(nodes, cuts, nearness, nodes.integers(-1)))


def _cut(nodes: Nodes, cuts: _Cuts, x: str, *rest: str) -> str:
    """[B, N, ...] to [B, blocks, queries of one, *rest]."""
    pads = nodes.add("Concat", nodes.integers(0), cuts.surplus, axis=0)
    padded = nodes.add("Pad", x, pads, "", nodes.integers(1))
    shape = nodes.add("Concat", nodes.integers(0), cuts.blocks, cuts.each, *rest, axis=0)
    return nodes.add("Reshape", padded, shape)


def _attend(
    nodes: Nodes, node: onnx.NodeProto, cuts: _Cuts, slopes: Float32, queries: str, output: str
) -> None:
    """Appends what gives `output` [B, N, D] of `queries` [B, N, H, D / H] in place of `node`."""
    heads = slopes.shape[0]
    body = nodes.body("block")
    own, nearness = f"{body.prefix}.queries", f"{body.prefix}.nearness"
    own_heads_first = body.add("Transpose", own, perm=[0, 2, 1, 3])
    bias = body.add("Unsqueeze", nearness, body.integers(1))
    bias = body.add("Mul", bias, body.constant(slopes))
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    y = body.add("Attention", own_heads_first, *node.input[1:3], bias, **attributes)
    y = body.add("Transpose", y, perm=[0, 2, 1, 3])
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        body.nodes,
        "block",
        [
            helper.make_tensor_value_info(own, kind, ["batch", "queries", heads, None]),
            helper.make_tensor_value_info(nearness, kind, ["batch", "queries", "tokens"]),
        ],
        [helper.make_tensor_value_info(y, kind, ["batch", "queries", heads, None])],
    )
    cut = _cut(nodes, cuts, queries, nodes.integers(heads, -1))
    parts = nodes.add(
        "Scan",
        cut,
        cuts.nearness,
        body=graph,
        num_scan_inputs=2,
        scan_input_axes=[1, 1],
        scan_output_axes=[1],
    )
    whole = nodes.add(
        "Concat",
        nodes.integers(0),
        nodes.add("Mul", cuts.each, cuts.blocks),
        nodes.integers(-1),
        axis=0,
    )
    y = nodes.add("Reshape", parts, whole)
    ends = (nodes.integers(0), cuts.tokens, nodes.integers(1))
    nodes.add("Slice", y, *ends, output=output)
