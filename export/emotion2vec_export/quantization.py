"""The int8 graph: products with constant matrices are computed in integers.

Weights get one scale a column. Activations get one scale a row, taken from that row as it comes: a
frame is rounded by itself alone, so no clip's result depends on who else is in its batch, and no
range has to be guessed from recordings.

    scale = max|x| / 108 over the row                     [B, T, 1]
    y = scale * (round(x / scale) @ Q) * column_scale     Q int8 [K, N]

Matrices are rounded such that the products of rows as speech gives them stay what they are, not
the weights (`fit_columns`). What shift is left at every frame does not average out, so its mean is
taken off the bias (https://arxiv.org/abs/1906.04721).

docs/quantization.md has the measurements behind each choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx.numpy_helper import to_array

from emotion2vec_export.activations import Activations, hear
from emotion2vec_export.candidate import Candidate
from emotion2vec_export.cpu_graph import shape_for_cpu
from emotion2vec_export.errors import ExportError
from emotion2vec_export.front_end import Multiply, convolved, exactly
from emotion2vec_export.graph import LOGITS, save_graph
from emotion2vec_export.levels import (
    ACTIVATION_TOP,
    Columns,
    Float32,
    balance,
    fit_columns,
    quantize_columns,
    smoothing,
)
from emotion2vec_export.nodes import CONTRIB, Nodes, readers, replace, tidy

_ROUNDED_CONVOLUTIONS = 2
"""After the first, these two are 77% of the front end's work. Every later layer hears the errors of
all: with six of them rounded a probability moved by up to 0.025, with two by 0.014."""
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
    lowest: float | None
    """What no value is below, if its largest does not tell; None: the row's own lowest counts."""


_SYMMETRIC = Layout(ACTIVATION_TOP // 2, symmetric=True, lowest=0.0)
# GELU is never below -0.16997: few levels are needed there.
_GELU = Layout(27, symmetric=False, lowest=-0.17)
# The first convolution makes nothing of silence, and GELU values that the floor would swallow.
_QUIET_GELU = _GELU._replace(lowest=None)
_LEAST_SCALE = 1e-12


class Product(NamedTuple):
    """`output` [B, T, N] = `x` [B, T, K] @ `weight` [K, N] + `bias` [N]: one linear layer."""

    x: str
    weight: Float32
    bias: Float32
    output: str
    nodes: tuple[onnx.NodeProto, onnx.NodeProto]


def quantize(graph: Path, directory: Path) -> Iterator[Candidate]:
    """Writes int8 forms of the fp32 graph at `graph` into `directory`, the fastest first.

    Each takes the place of the one before. In fp32 stay the positional convolutions, attention's
    own products (both sides vary), the classifier, and of the front end's convolutions all but the
    second and the third at most.

    Raises:
        ExportError: the graph has no linear layers beside the classifier.
    """
    model = onnx.load(graph)
    products = find_products(model.graph)
    if not products:
        raise ExportError("the graph has no layers that int8 makes faster; leave int8 out")
    sources = convolved(model.graph)
    activations = hear(graph, {product.x for product in products}, sources)
    rounding = _Rounding(model, activations)
    for product in products:
        rounding.replace(product)
    tidy(model)
    path = directory / "model.int8.onnx"
    if rounding.convolutions:
        _write(model, rounding.front_end, path)
        yield Candidate(path, "blocks and front end")
    _write(model, exactly, path)
    yield Candidate(path, "blocks")


def _write(model: onnx.ModelProto, multiply: Multiply, path: Path) -> None:
    form = onnx.ModelProto()
    form.CopyFrom(model)
    shape_for_cpu(form, multiply)
    save_graph(form, path)


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

    def __init__(self, model: onnx.ModelProto, activations: Activations) -> None:
        self._model = model
        self._activations = activations
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {name: node for node in model.graph.node for name in node.output}
        reading = readers(model.graph)
        self.convolutions = [
            source
            for source in convolved(model.graph)[:_ROUNDED_CONVOLUTIONS]
            if self._terms(reading[source]) >= _ENOUGH_ROWS
        ]
        """What those read that may be rounded."""

    def _terms(self, convolution: onnx.NodeProto) -> int:
        """How many products a convolution adds up."""
        return math.prod(self._constants[convolution.input[1]].dims[1:])

    def replace(self, product: Product) -> None:
        """One linear layer, in place."""
        nodes = Nodes(product.output)
        rows = self._activations.rows[product.x]
        if self._producers[product.x].op_type == "Gelu":
            # Its fixed lowest value would be another in each channel.
            layout, factors = _GELU, np.ones(len(product.weight), np.float32)
        else:
            layout, factors = _SYMMETRIC, smoothing(product.weight, rows)
        columns = fit_columns(product.weight * factors[:, None], rows / factors)
        x = product.x
        if (factors != 1).any():
            x = nodes.add("Mul", x, nodes.constant(1 / factors))
        y = multiply_rounded(nodes, x, columns, layout)
        rounded = columns.levels * columns.scales / factors[:, None]
        shift = rows.mean(axis=0, dtype=np.float64) @ (product.weight - rounded)
        bias = nodes.constant(np.float32(product.bias + shift))
        nodes.add("Add", y, bias, output=product.output)
        old = {node.output[0] for node in product.nodes}
        replace(self._model, old, [nodes], before=product.output)

    def front_end(self, nodes: Nodes, x: str, weight: Float32, source: str) -> str:
        """`Multiply` of the front end."""
        if source not in self.convolutions:
            return exactly(nodes, x, weight, source)
        layout = _QUIET_GELU if source == self.convolutions[0] else _GELU
        mean = self._activations.means[source]
        typical = np.tile(mean, len(weight) // len(mean))
        columns = balance(weight, quantize_columns(weight), typical)
        return multiply_rounded(nodes, x, columns, layout)


def multiply_rounded(nodes: Nodes, x: str, columns: Columns, layout: Layout) -> str:
    """Appends about `x` [..., K] times the rounded matrix [K, N], computed in integers."""
    scale, levels = _round_rows(nodes, x, layout)
    matrix, scales = nodes.constant(columns.levels), nodes.constant(columns.scales)
    zero = nodes.byte(layout.zero_point)
    y = nodes.add(
        "MatMulIntegerToFloat", levels, matrix, nodes.number(1), scales, zero, domain=CONTRIB
    )
    return nodes.add("Mul", y, scale)


def _round_rows(nodes: Nodes, x: str, layout: Layout) -> tuple[str, str]:
    """The scale [..., 1] of each row of `x` [..., K], and its levels uint8 [..., K]."""
    axis, below = nodes.integers(-1), layout.zero_point
    reach = nodes.add("Abs", x) if layout.symmetric else x
    reach = nodes.add("ReduceMax", reach, axis, keepdims=1)
    scale = nodes.add("Mul", reach, nodes.number(1 / (ACTIVATION_TOP - below)))
    if layout.lowest is None:
        lowest = nodes.add("ReduceMin", x, axis, keepdims=1)
        lowest = nodes.add("Mul", lowest, nodes.number(-1 / below))
        scale = nodes.add("Max", scale, lowest, nodes.number(_LEAST_SCALE))
    else:
        least = max(_LEAST_SCALE, -layout.lowest / below)
        scale = nodes.add("Max", scale, nodes.number(least))
    steps = nodes.add("Div", x, scale)
    zero = nodes.byte(layout.zero_point)
    return scale, nodes.add("QuantizeLinear", steps, nodes.number(1), zero)
