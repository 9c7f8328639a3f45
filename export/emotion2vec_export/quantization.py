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

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx.numpy_helper import to_array

from emotion2vec_export.activations import hear
from emotion2vec_export.candidate import Candidate
from emotion2vec_export.cpu_graph import shape_for_cpu, shape_step_for_cpu
from emotion2vec_export.errors import ExportError
from emotion2vec_export.fitted import Fitted, Layout, Rounded
from emotion2vec_export.front_end import exactly
from emotion2vec_export.graph import LOGITS, save_graph
from emotion2vec_export.levels import (
    ACTIVATION_TOP,
    Columns,
    Float32,
    fit_columns,
    smoothing,
)
from emotion2vec_export.nodes import CONTRIB, Nodes, producers, replace

_SYMMETRIC = Layout(ACTIVATION_TOP // 2, symmetric=True, lowest=0.0)
# GELU is never below -0.16997: few levels are needed there.
_GELU = Layout(27, symmetric=False, lowest=-0.17)
_LEAST_SCALE = 1e-12


class Product(NamedTuple):
    """`output` [B, T, N] = `x` [B, T, K] @ `weight` [K, N] + `bias` [N]: one linear layer."""

    x: str
    weight: Float32
    bias: Float32
    output: str
    nodes: tuple[onnx.NodeProto, onnx.NodeProto]
    reads_gelu: bool


def quantize(graph: Path, directory: Path) -> Iterator[Candidate]:
    """Writes int8 forms of the fp32 graph at `graph` into `directory`, the fastest first.

    Each takes the place of the one before. In fp32 stay the front end, the positional convolutions,
    attention's own products (both sides vary), and the classifier; of the second form also what
    reads a GELU, whose rows are the hardest to lay out.

    Raises:
        ExportError: the graph has no linear layers beside the classifier.
    """
    # The weights are read one by one: of a large model, in memory at once, they are most of it.
    structure = onnx.load(graph, load_external_data=False).graph
    inputs = {product.x for product in find_products(structure, graph.parent)}
    if not inputs:
        raise ExportError("the graph has no layers that int8 makes faster; leave int8 out")
    rows = hear(graph, inputs)
    fitted: Fitted = {}
    fewer: Fitted = {}
    for product in find_products(structure, graph.parent):
        key = _digest(product.weight)
        fitted[key] = _fit(product, rows[product.x])
        if not product.reads_gelu:
            fewer[key] = fitted[key]
    del rows
    path = directory / "model.int8.onnx"
    _write(graph, fitted, path)
    yield Candidate(path, "all layers of the blocks", fitted)
    _write(graph, fewer, path)
    yield Candidate(path, "without the second layers of MLPs", fewer)


def quantize_step(graph: Path, directory: Path, fitted: Fitted) -> Path:
    """Writes the int8 form of the flat graph of a step, with the matrices of the clips' graph."""
    model = onnx.load(graph)
    _round(model, fitted)
    shape_step_for_cpu(model, exactly)
    path = directory / "step.int8.onnx"
    save_graph(model, path)
    return path


def _write(graph: Path, fitted: Fitted, path: Path) -> None:
    model = onnx.load(graph)
    _round(model, fitted)
    shape_for_cpu(model, exactly)
    save_graph(model, path)


def _round(model: onnx.ModelProto, fitted: Fitted) -> None:
    """Puts the rounded forms in place of the linear layers that have one."""
    for product in [*find_products(model.graph)]:
        fit = fitted.get(_digest(product.weight))
        if fit is None:
            continue
        nodes = Nodes(product.output)
        x = product.x
        if (fit.factors != 1).any():
            x = nodes.add("Mul", x, nodes.constant(1 / fit.factors))
        y = multiply_rounded(nodes, x, fit.columns, fit.layout)
        nodes.add("Add", y, nodes.constant(fit.bias), output=product.output)
        old = {node.output[0] for node in product.nodes}
        replace(model, old, [nodes], before=product.output)


def _fit(product: Product, rows: Float32) -> Rounded:
    """`rows` [n, K] are what speech gives the layer."""
    if product.reads_gelu:
        # Its fixed lowest value would be another in each channel.
        layout, factors = _GELU, np.ones(len(product.weight), np.float32)
    else:
        layout, factors = _SYMMETRIC, smoothing(product.weight, rows)
    columns = fit_columns(product.weight * factors[:, None], rows / factors)
    rounded = columns.levels * columns.scales / factors[:, None]
    shift = rows.mean(axis=0, dtype=np.float64) @ (product.weight - rounded)
    return Rounded(layout, factors, columns, (product.bias + shift).astype(np.float32))


def _digest(weight: Float32) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(weight).tobytes()).digest()


def find_products(graph: onnx.GraphProto, directory: Path | None = None) -> Iterator[Product]:
    """The linear layers, save the classifier.

    Args:
        directory: where the weights lie that were not loaded with the graph.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    making = producers(graph)
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    for node in graph.node:
        adds = consumers.get(node.output[0], [])
        if node.op_type != "MatMul" or [add.op_type for add in adds] != ["Add"]:
            continue
        (bias,) = (name for name in adds[0].input if name != node.output[0])
        x, matrix = node.input
        if {matrix, bias} - constants.keys() or adds[0].output[0] in LOGITS:
            continue
        yield Product(
            x,
            _values(constants[matrix], directory),
            _values(constants[bias], directory),
            adds[0].output[0],
            (node, adds[0]),
            reads_gelu=making[x].op_type == "Gelu",
        )


def _values(tensor: onnx.TensorProto, directory: Path | None) -> Float32:
    if directory is None:
        return to_array(tensor)
    # It would keep what it loads.
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    return to_array(copy, str(directory))


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
    least = max(_LEAST_SCALE, -layout.lowest / below)
    scale = nodes.add("Max", scale, nodes.number(least))
    steps = nodes.add("Div", x, scale)
    zero = nodes.byte(layout.zero_point)
    return scale, nodes.add("QuantizeLinear", steps, nodes.number(1), zero)
