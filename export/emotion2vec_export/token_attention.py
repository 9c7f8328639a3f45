"""Attention on tokens as the products give and take them, [B, N, D], without a transposition.

Queries, keys and values are products of their own, and two of their biases go:

- From the bias of keys, b_k, all scores of a query q get the same q b_k, which softmax does not
  see: keys need none.
- Attention's weights add up to 1, so that what is added to all values comes out as it went in, and
  can be added after the projection: b' = b + b_v W.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.numpy_helper import to_array

from emotion2vec_export.nodes import Nodes, producers, readers, replace

_Matrix = NDArray[np.float32]


class _Attention(NamedTuple):
    """One of the flat graph, from the tokens [B, N, D] to its projection with bias."""

    tokens: str
    weight: _Matrix
    """Of queries, keys and values: [D, 3 D]."""
    bias: _Matrix
    """[3 D]"""
    heads: int
    mask: str
    projection: _Matrix
    """[D, D]"""
    shift: _Matrix
    """[D]"""
    output: str


def attend_tokens(model: onnx.ModelProto) -> None:
    """Rewrites the attention of a flat graph, in place."""
    for node in [node for node in model.graph.node if node.op_type == "Attention"]:
        found = _find(model.graph, node)
        nodes = Nodes(node.name)
        w_q, w_k, w_v = (
            nodes.constant(np.ascontiguousarray(part)) for part in np.split(found.weight, 3, axis=1)
        )
        b_q, _, b_v = np.split(found.bias, 3)
        q = nodes.add("Add", nodes.add("MatMul", found.tokens, w_q), nodes.constant(b_q))
        k, v = (nodes.add("MatMul", found.tokens, weight) for weight in (w_k, w_v))
        heads = found.heads
        y = nodes.add("Attention", q, k, v, found.mask, q_num_heads=heads, kv_num_heads=heads)
        y = nodes.add("MatMul", y, nodes.constant(found.projection))
        shift = nodes.constant(found.shift + b_v @ found.projection)
        nodes.add("Add", y, shift, output=found.output)
        replace(model, {found.output}, [nodes], before=found.output)


def _find(graph: onnx.GraphProto, node: onnx.NodeProto) -> _Attention:
    """MatMul, Add, Split, Reshape, Transpose, `node`, Transpose, Reshape, MatMul, Add."""
    making, reading = producers(graph), readers(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}

    def operand(of: onnx.NodeProto) -> _Matrix:
        return to_array(constants[next(name for name in of.input if name in constants)])

    reshaped = making[making[node.input[0]].input[0]]  # To [B, N, heads, D / heads].
    heads = to_array(constants[making[reshaped.input[1]].input[2]])
    shifted = making[making[reshaped.input[0]].input[0]]
    product = making[shifted.input[0]]
    projection = reading[reading[reading[node.output[0]].output[0]].output[0]]
    shift = reading[projection.output[0]]
    return _Attention(
        tokens=product.input[0],
        weight=operand(product),
        bias=operand(shifted),
        heads=int(heads[0]),
        mask=node.input[3],
        projection=operand(projection),
        shift=operand(shift),
        output=shift.output[0],
    )
