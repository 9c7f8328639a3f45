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

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.numpy_helper import from_array, to_array

from emotion2vec_export.activations import mean_activations
from emotion2vec_export.errors import ExportError
from emotion2vec_export.graph import LOGITS, save_graph
from emotion2vec_export.levels import ACTIVATION_TOP, Float32, quantize_columns, smoothing

_CONTRIB = "com.microsoft"


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

    In fp32 stay the convolutions, attention's own products (both sides vary), and the classifier.

    Raises:
        ExportError: the graph has no linear layers beside the classifier.
    """
    model = onnx.load(graph)
    products = find_products(model.graph)
    if not products:
        raise ExportError("the graph has no layers that int8 makes faster; leave int8 out")
    means = mean_activations(graph, [product.x for product in products])
    _Rewriter(model, means).rewrite(products)
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


class _Rewriter:
    """Replaces linear layers of a graph, in place and in order."""

    def __init__(self, model: onnx.ModelProto, means: Mapping[str, NDArray[np.float64]]) -> None:
        self._model = model
        self._means = means
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {name: node for node in model.graph.node for name in node.output}
        self._nodes: list[onnx.NodeProto] = []

    def rewrite(self, products: Sequence[Product]) -> None:
        graph = self._model.graph
        by_output = {product.nodes[0].output[0]: product for product in products}
        replaced = {product.output for product in products}
        for node in graph.node:
            product = by_output.get(node.output[0])
            if product:
                self._replace(product)
            elif node.output[0] not in replaced:
                self._nodes.append(node)
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        graph.initializer.extend(t for name, t in self._constants.items() if name in used)
        self._model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))

    def _replace(self, product: Product) -> None:
        x, output = product.x, product.output
        factors = self._smoothing(product)
        columns = quantize_columns(product.weight * factors[:, None])
        if (factors != 1).any():
            x = self._node("Mul", [x, self._constant(f"{output}.smooth", 1 / factors)], output)
        gelu = self._producers[product.x].op_type == "Gelu"
        scale, levels = self._round_rows(x, _GELU if gelu else _SYMMETRIC, output)
        zero = self._nodes[-1].input[2]
        weight = self._constant(f"{output}.weight", columns.levels)
        scales = self._constant(f"{output}.weight_scale", columns.scales)
        inputs = [levels, weight, self._one(), scales, zero]
        y = self._node("MatMulIntegerToFloat", inputs, output, domain=_CONTRIB)
        y = self._node("Mul", [y, scale], f"{output}.scaled")
        rounded = columns.levels * columns.scales / factors[:, None]
        shift = self._means[product.x] @ (product.weight - rounded.astype(np.float64))
        bias = self._constant(f"{output}.bias", np.float32(product.bias + shift))
        self._nodes.append(helper.make_node("Add", [y, bias], [output], output))

    def _smoothing(self, product: Product) -> Float32:
        """[K]; ones where `x` is not the output of a layer norm with weights of its own."""
        norm = self._producers[product.x]
        weights = [
            to_array(self._constants[name]) for name in norm.input[1:] if name in self._constants
        ]
        if norm.op_type != "LayerNormalization" or len(weights) != 2:
            return np.ones(len(product.weight), np.float32)
        return smoothing(product.weight, *weights)

    def _round_rows(self, x: str, layout: Layout, output: str) -> tuple[str, str]:
        """The scale [B, T, 1] of each row of `x`, and its levels uint8 [B, T, K]."""
        axis = self._constant("int8.last_axis", np.array([-1]))
        reach = self._node("Abs", [x], f"{output}.magnitude") if layout.symmetric else x
        reach = self._node("ReduceMax", [reach, axis], f"{output}.reach", keepdims=1)
        above = np.float32(1 / (ACTIVATION_TOP - layout.zero_point))
        step = self._constant(f"int8.step_{layout.zero_point}", above)
        floor = self._constant(f"int8.floor_{layout.zero_point}", np.float32(layout.smallest_scale))
        scale = self._node("Mul", [reach, step], f"{output}.step")
        scale = self._node("Max", [scale, floor], f"{output}.scale")
        steps = self._node("Div", [x, scale], f"{output}.steps")
        zero = self._constant(f"int8.zero_{layout.zero_point}", np.uint8(layout.zero_point))
        return scale, self._node("QuantizeLinear", [steps, self._one(), zero], f"{output}.levels")

    def _one(self) -> str:
        return self._constant("int8.one", np.float32(1))

    def _node(
        self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any
    ) -> str:
        name = f"{output}.{operator}"
        self._nodes.append(
            helper.make_node(operator, inputs, [name], name, domain=domain, **attributes)
        )
        return name

    def _constant(self, name: str, value: np.generic | NDArray[np.generic]) -> str:
        self._constants[name] = from_array(np.asarray(value), name)
        return name
