"""The int8 graph: products with constant matrices computed in integers, and nothing calibrated.

Weights get one scale a column. Activations get one scale a row, taken from that row as it comes: a
frame is rounded by itself alone, so no clip's result depends on who else is in its batch, and no
recording has to stand in for what will be said. docs/quantization.md has the measurements.

    scale = max|x| / A over the row                       [B, T, 1]
    y = scale * (round(x / scale) @ Q) * column_scale     Q int8 [K, N]

Where x is the output of a layer norm, it is divided by one constant a channel first, and the matrix
multiplied by it (SmoothQuant, https://arxiv.org/abs/2211.10438, with the norm's own weights for
ranges as in Outlier Suppression, https://arxiv.org/abs/2209.13325): a channel that the norm makes
large then no longer coarsens the others. Where x is the output of a GELU, which is never below
_GELU_MINIMUM, the zero point lies low and most steps are spent above it.

CPUs without VNNI add two products of 8-bit numbers in 16 bits and saturate. _LEVELS keeps every such
sum within 16 bits, so that all CPUs compute the same integers, and what the export measured on one
holds on the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from emotion2vec_export.graph import LOGITS, save_graph

Float32 = NDArray[np.float32]

_CONTRIB = "com.microsoft"
_LEVELS = 90
"""Weights are in -90..90 and activations in 0..180: 2 * 180 * 90 is below 2^15."""
_GELU_MINIMUM = 0.17
"""GELU's lowest value is -0.16997."""
_NORM_DEVIATIONS = 3.0
"""What a layer norm's output is taken to reach, in standard deviations, before its weights."""
_TINY = 1e-12


class Range(NamedTuple):
    """How a row of activations is laid out on the levels 0..2 * _LEVELS."""

    zero_point: int
    symmetric: bool
    """Whether the row's scale comes from its largest magnitude, or from its largest value."""
    smallest_scale: float
    """Below it a scale would not reach the row's lowest value, or be zero."""

    @property
    def levels_above(self) -> int:
        return 2 * _LEVELS - self.zero_point


_SYMMETRIC = Range(_LEVELS, symmetric=True, smallest_scale=_TINY)
_GELU_ZERO = 24
_GELU = Range(_GELU_ZERO, symmetric=False, smallest_scale=_GELU_MINIMUM / _GELU_ZERO)


def quantize(graph: Path, directory: Path) -> Path:
    """Writes the int8 form of the fp32 graph at `graph` into `directory`, and returns its path.

    What stays fp32: the convolutions, attention's products (both sides vary), and the classifier,
    which costs nothing and speaks last.
    """
    model = onnx.load(graph)
    rewriter = _Rewriter(model)
    rewriter.rewrite()
    path = directory / "model.int8.onnx"
    save_graph(model, path)
    return path


def quantize_columns(weight: Float32) -> tuple[NDArray[np.int8], Float32]:
    """[K, N] to integers [K, N] and a scale for each column [N]."""
    scales = np.maximum(np.abs(weight).max(axis=0) / np.float32(_LEVELS), np.float32(_TINY))
    return np.rint(weight / scales).astype(np.int8), scales.astype(np.float32)


def smoothing(weight: Float32, gamma: Float32, beta: Float32) -> Float32:
    """What to divide each channel of a layer norm's output by: [K], about 1.

    Args:
        weight: [K, N], which the output is multiplied with.
        gamma: [K] scales of the norm.
        beta: [K] its offsets.
    """
    reach = np.maximum(_NORM_DEVIATIONS * np.abs(gamma) + np.abs(beta), np.float32(_TINY))
    rows = np.maximum(np.abs(weight).max(axis=1), np.float32(_TINY))
    factors = np.sqrt(reach / rows)
    return np.asarray(factors / np.exp(np.log(factors).mean()), np.float32)


class _Rewriter:
    """Replaces nodes of a graph, in place and in order."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._graph = model.graph
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {name: node for node in model.graph.node for name in node.output}
        self._nodes: list[onnx.NodeProto] = []
        self._added: dict[str, onnx.TensorProto] = {}

    def rewrite(self) -> None:
        heads = self._heads()
        for node in self._graph.node:
            if node.op_type == "MatMul" and node.input[1] in self._constants:
                weight = numpy_helper.to_array(self._constants[node.input[1]])
                if weight.ndim == 2 and node.output[0] not in heads:
                    self._product(node.input[0], weight, node.output[0])
                    continue
            self._nodes.append(node)
        self._finish()

    def _heads(self) -> set[str]:
        """Outputs of the products that make logits: those, and what a bias is added to."""
        names = set(LOGITS)
        for name in LOGITS:
            if name in self._producers:
                names.update(self._producers[name].input)
        return names

    def _product(self, x: str, weight: Float32, output: str) -> None:
        """`output` = `x` @ `weight`, in integers."""
        producer = self._producers[x]
        row = _GELU if producer.op_type == "Gelu" else _SYMMETRIC
        if producer.op_type == "LayerNormalization" and producer.input[1] in self._constants:
            gamma, beta = self._norm(producer)
            factors = smoothing(weight, gamma, beta)
            weight = weight * factors[:, None]
            factors_name = self._constant(f"{output}.smoothing", 1 / factors)
            x = self._node("Mul", [x, factors_name], f"{output}.smooth")
        size = x
        if row.symmetric:
            size = self._node("Abs", [x], f"{output}.abs")
        axis = self._constant("last_axis", np.array([-1]))
        size = self._node("ReduceMax", [size, axis], f"{output}.max", keepdims=1)
        above = self._constant(f"levels_{row.zero_point}", np.float32(1 / row.levels_above))
        scale = self._node("Mul", [size, above], f"{output}.step")
        floor = self._constant(f"floor_{row.zero_point}", np.float32(row.smallest_scale))
        scale = self._node("Max", [scale, floor], f"{output}.scale")
        steps = self._node("Div", [x, scale], f"{output}.steps")
        one = self._constant("one", np.float32(1))
        zero = self._constant(f"zero_{row.zero_point}", np.uint8(row.zero_point))
        levels = self._node("QuantizeLinear", [steps, one, zero], f"{output}.levels")
        integers, scales = quantize_columns(weight)
        product = self._node(
            "MatMulIntegerToFloat",
            [
                levels,
                self._constant(f"{output}.weight", integers),
                one,
                self._constant(f"{output}.weight_scale", scales),
                zero,
            ],
            f"{output}.product",
            domain=_CONTRIB,
        )
        self._node("Mul", [product, scale], output)

    def _norm(self, node: onnx.NodeProto) -> tuple[Float32, Float32]:
        gamma = numpy_helper.to_array(self._constants[node.input[1]])
        has_beta = len(node.input) > 2 and node.input[2]
        beta = numpy_helper.to_array(self._constants[node.input[2]]) if has_beta else 0 * gamma
        return gamma, beta

    def _node(
        self, operator: str, inputs: list[str], output: str, *, domain: str = "", **attributes: int
    ) -> str:
        node = helper.make_node(
            operator, inputs, [output], f"node_{output}", domain=domain, **attributes
        )
        self._nodes.append(node)
        return output

    def _constant(self, name: str, value: np.generic | NDArray[np.generic]) -> str:
        self._added[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def _finish(self) -> None:
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        tensors = {**self._constants, **self._added}
        used = {name for node in self._nodes for name in node.input}
        del self._graph.initializer[:]
        self._graph.initializer.extend(t for name, t in tensors.items() if name in used)
        self._model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
