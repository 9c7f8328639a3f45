"""The int8 graph: products with constant matrices are computed in integers.

Weights get one scale a column. Activations get one scale a row, taken from that row as it comes: a
frame is rounded by itself alone, so no clip's result depends on who else is in its batch, and no
range has to be guessed from recordings.

    scale = max|x| / 108 over the row                     [B, T, 1]
    y = scale * (round(x / scale) @ Q) * column_scale     Q int8 [K, N]

Rounding a matrix shifts what it gives by nearly the same vector at every frame. That does not
average out, so the mean shift is taken off the bias (https://arxiv.org/abs/1906.04721).

docs/quantization.md has the measurements behind each choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.numpy_helper import to_array

from emotion2vec_export.activations import mean_activations
from emotion2vec_export.blockwise_attention import block_attention
from emotion2vec_export.errors import ExportError
from emotion2vec_export.front_end import convolved, exactly, slice_front_end
from emotion2vec_export.graph import LOGITS, save_graph
from emotion2vec_export.levels import ACTIVATION_TOP, Float32, quantize_columns, smoothing
from emotion2vec_export.nodes import CONTRIB, Nodes, replace, tidy

_ENOUGH_ROWS = 512
"""A convolution that adds up fewer values stays in fp32: the errors of rounding hardly average out
over so few, every later layer hears them, and there is little time to be gained."""
# Axes of clips and frames: of what linear layers read, [B, T, K], and convolutions, [B, K, T].
_ROWS_BEFORE, _ROWS_AFTER = (0, 1), (0, 2)


class Layout(NamedTuple):
    """How a row of activations is laid out on the levels."""

    zero_point: int
    symmetric: bool
    """Whether a row's scale comes from its largest magnitude, or from its largest value."""
    smallest_scale: float
    """With a smaller one the levels would not reach the row's lowest value, or be none."""


_SYMMETRIC = Layout(ACTIVATION_TOP // 2, symmetric=True, smallest_scale=1e-12)
# GELU is never below -0.16997: few levels are needed there.
_GELU = Layout(27, symmetric=False, smallest_scale=0.17 / 27)


class Product(NamedTuple):
    """`output` [B, T, N] = `x` [B, T, K] @ `weight` [K, N] + `bias` [N]: one linear layer."""

    x: str
    weight: Float32
    bias: Float32
    output: str
    nodes: tuple[onnx.NodeProto, onnx.NodeProto]


def quantize(graph: Path, directory: Path) -> Path:
    """Writes the int8 form of the fp32 graph at `graph` into `directory`, and returns its path.

    In fp32 stay the first convolution of the front end, which sees 10 samples at a time, the
    positional convolutions, attention's own products (both sides vary), and the classifier.

    Raises:
        ExportError: the graph has no linear layers beside the classifier.
    """
    model = onnx.load(graph)
    products = find_products(model.graph)
    if not products:
        raise ExportError("the graph has no layers that int8 makes faster; leave int8 out")
    axes = {product.x: _ROWS_BEFORE for product in products}
    axes |= dict.fromkeys(convolved(model.graph), _ROWS_AFTER)
    rounding = _Rounding(model, mean_activations(graph, axes))
    for product in products:
        rounding.replace(product)
    slice_front_end(model, rounding.front_end)
    block_attention(model)
    tidy(model)
    path = directory / "model.int8.onnx"
    save_graph(model, path)
    return path


def find_products(graph: onnx.GraphProto) -> list[Product]:
    """The linear layers, save the classifier."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    def product(node: onnx.NodeProto) -> Product | None:
        adds = consumers.get(node.output[0], [])
        if node.op_type != "MatMul" or [add.op_type for add in adds] != ["Add"]:
            return None
        (bias,) = (name for name in adds[0].input if name != node.output[0])
        matrix = node.input[1]
        if {matrix, bias} - constants.keys() or adds[0].output[0] in LOGITS:
            return None
        weight, offset = to_array(constants[matrix]), to_array(constants[bias])
        return Product(node.input[0], weight, offset, adds[0].output[0], (node, adds[0]))

    return [found for node in graph.node if (found := product(node))]


class _Rounding:
    """Replaces products of a flat graph by rounded ones."""

    def __init__(self, model: onnx.ModelProto, means: Mapping[str, NDArray[np.float64]]) -> None:
        self._model = model
        self._means = means
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {name: node for node in model.graph.node for name in node.output}

    def replace(self, product: Product) -> None:
        """One linear layer, in place."""
        nodes = Nodes(product.output)
        factors = self._smoothing(product)
        layout = _GELU if self._producers[product.x].op_type == "Gelu" else _SYMMETRIC
        y, rounded = multiply_rounded(nodes, product.x, product.weight, layout, factors)
        shift = self._means[product.x] @ (product.weight - rounded)
        bias = nodes.constant(np.float32(product.bias + shift))
        nodes.add("Add", y, bias, output=product.output)
        old = {node.output[0] for node in product.nodes}
        replace(self._model, old, [nodes], before=product.output)

    def front_end(self, nodes: Nodes, x: str, weight: Float32, source: str) -> str:
        """`Multiply` of the front end."""
        if not source or len(weight) < _ENOUGH_ROWS:
            return exactly(nodes, x, weight, source)
        mean = self._means[source]
        ones = np.ones(len(weight), np.float32)
        y, rounded = multiply_rounded(nodes, x, weight, _GELU, ones)
        shift = np.tile(mean, len(weight) // len(mean)) @ (weight - rounded)
        return nodes.add("Add", y, nodes.constant(np.float32(shift)))

    def _smoothing(self, product: Product) -> Float32:
        """[K]; ones where `x` is not the output of a layer norm with weights of its own."""
        norm = self._producers[product.x]
        weights = [
            to_array(self._constants[name]) for name in norm.input[1:] if name in self._constants
        ]
        if norm.op_type != "LayerNormalization" or len(weights) != 2:
            return np.ones(len(product.weight), np.float32)
        return smoothing(product.weight, *weights)


def multiply_rounded(
    nodes: Nodes, x: str, weight: Float32, layout: Layout, factors: Float32
) -> tuple[str, NDArray[np.float64]]:
    """Appends about `x` [..., K] @ `weight` [K, N], computed in integers.

    Args:
        factors: [K], what to divide `x` by before it is rounded.

    Returns:
        The product's name, and the matrix [K, N] that it really multiplies with.
    """
    columns = quantize_columns(weight * factors[:, None])
    if (factors != 1).any():
        x = nodes.add("Mul", x, nodes.constant(1 / factors))
    scale, levels = _round_rows(nodes, x, layout)
    matrix, scales = nodes.constant(columns.levels), nodes.constant(columns.scales)
    zero = nodes.byte(layout.zero_point)
    y = nodes.add(
        "MatMulIntegerToFloat", levels, matrix, nodes.number(1), scales, zero, domain=CONTRIB
    )
    rounded = columns.levels * columns.scales.astype(np.float64) / factors[:, None]
    return nodes.add("Mul", y, scale), rounded


def _round_rows(nodes: Nodes, x: str, layout: Layout) -> tuple[str, str]:
    """The scale [..., 1] of each row of `x` [..., K], and its levels uint8 [..., K]."""
    reach = nodes.add("Abs", x) if layout.symmetric else x
    reach = nodes.add("ReduceMax", reach, nodes.integers(-1), keepdims=1)
    step = nodes.number(1 / (ACTIVATION_TOP - layout.zero_point))
    scale = nodes.add("Max", nodes.add("Mul", reach, step), nodes.number(layout.smallest_scale))
    steps = nodes.add("Div", x, scale)
    zero = nodes.byte(layout.zero_point)
    return scale, nodes.add("QuantizeLinear", steps, nodes.number(1), zero)
