"""The front end as matrix products on frames: on CPUs over short slices of time, on GPUs in one go.

A convolution of kernel k and stride s takes k neighbouring frames to one: side by side as one row
of k x C values, they are a row of a matrix product. So channels come last throughout, where layer
norm wants them, and no tensor is transposed.

What the first convolution gives is 64 times as long as the frames: 200 MB for 30 s of speech, which
every further step reads and writes again. Nothing in a front end with norms per frame reaches
beyond one frame's field, so it runs over slices of some frames, whose tensors stay in the cache,
each slice beginning where the fields of its frames do:

    m = ceil(T / 32) slices of n = ceil(T / m) frames
    slice i = samples [i n hop, i n hop + (n - 1) hop + field)

Slices of equal length make at most m - 1 frames too many, which are cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.numpy_helper import to_array

from emotion2vec_export.nodes import Nodes, readers, replace

Multiply = Callable[[Nodes, str, NDArray[np.float32], str], str]
"""Appends x [T, K] @ weight [K, N] and returns its name: `multiply(nodes, x, weight, source)`,
`source` being the value in the flat graph that the rows of x are made of; "" for samples."""

_SLICE_FRAMES = 32
"""0.64 s: the largest tensor then has 4 MB. 16 and 64 are as fast."""
_END = np.iinfo(np.int64).max


class _Layer(NamedTuple):
    """A convolution, and the norm and GELU that follow it."""

    weight: NDArray[np.float32]
    """[N, C, kernel]"""
    stride: int
    norm: onnx.NodeProto
    source: str
    """What the convolution reads in the flat graph: [B, C, T]."""

    @property
    def kernel(self) -> int:
        return int(self.weight.shape[2])


class _FrontEnd(NamedTuple):
    waveform: str
    """[B, S], normalised."""
    layers: tuple[_Layer, ...]
    features: str
    """What it gives: [B, T, C]."""

    @property
    def hop(self) -> int:
        return math.prod(layer.stride for layer in self.layers)

    @property
    def field(self) -> int:
        field = 1
        for layer in reversed(self.layers):
            field = (field - 1) * layer.stride + layer.kernel
        return field


def exactly(nodes: Nodes, x: str, weight: NDArray[np.float32], source: str) -> str:  # noqa: ARG001
    """Multiplies in float32."""
    return nodes.add("MatMul", x, nodes.constant(weight))


def slice_front_end(model: onnx.ModelProto, multiply: Multiply) -> None:
    """Rewrites the front end of a flat graph, in place.

    One whose norm takes its statistics over time (`extractor_mode: default`) stays as it is.
    """
    front_end = _find(model.graph)
    if front_end is None:
        return
    nodes = Nodes("front_end")
    frames, slices = _slices(nodes, front_end)
    body = nodes.body("slice")
    features = _layers(body, f"{body.prefix}.samples", front_end, multiply)
    channels = front_end.layers[-1].weight.shape[0]
    graph = helper.make_graph(
        body.nodes,
        "front_end",
        [helper.make_tensor_value_info(f"{body.prefix}.samples", TensorProto.FLOAT, ["samples"])],
        [helper.make_tensor_value_info(features, TensorProto.FLOAT, ["frames", channels])],
    )
    parts = nodes.add("Scan", slices, body=graph, num_scan_inputs=1)
    batch = nodes.dimension(front_end.waveform, 0)
    shape = nodes.add("Concat", batch, nodes.integers(-1, channels), axis=0)
    whole = nodes.add("Reshape", parts, shape)
    nodes.add(
        "Slice",
        whole,
        nodes.integers(0),
        nodes.add("Unsqueeze", frames, nodes.integers(0)),
        nodes.integers(1),
        output=front_end.features,
    )
    replace(model, {front_end.features}, [nodes], before=front_end.features)


def flatten_front_end(model: onnx.ModelProto) -> None:
    """Rewrites the front end of a flat graph, in place, as GPUs run it best.

    All clips lie in one row, so that every product is as large as the batch. The waveform must have
    (T - 1) hop + field samples, of which a clip takes T hop: its last frames see the beginning of
    the next clip. The last `overlap` frames must be padding.

    One whose norm takes its statistics over time (`extractor_mode: default`) stays as it is.
    """
    front_end = _find(model.graph)
    if front_end is None:
        return
    nodes = Nodes("front_end")
    surplus = front_end.field - front_end.hop
    clips = _lengthened(nodes, front_end.waveform, -surplus, axis=1)
    row = nodes.add("Reshape", clips, nodes.integers(-1))
    features = _layers(nodes, _lengthened(nodes, row, surplus, axis=0), front_end, exactly)
    batch = nodes.dimension(front_end.waveform, 0)
    channels = front_end.layers[-1].weight.shape[0]
    shape = nodes.add("Concat", batch, nodes.integers(-1, channels), axis=0)
    nodes.add("Reshape", features, shape, output=front_end.features)
    replace(model, {front_end.features}, [nodes], before=front_end.features)


def overlap(hop: int, field: int) -> int:
    """Frames of a clip of T hop samples that see beyond its end; 1 at least."""
    return max(1, math.ceil(field / hop) - 1)


def extent(graph: onnx.GraphProto) -> tuple[int, int]:
    """Samples from one frame to the next, and samples that one frame sees."""
    hop, field = 1, 1
    # Those without a bias: the positional convolutions have one.
    for node in (node for node in graph.node if node.op_type == "Conv" and len(node.input) == 2):
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        field += (attributes["kernel_shape"][0] - 1) * hop
        hop *= attributes["strides"][0]
    return hop, field


def _find(graph: onnx.GraphProto) -> _FrontEnd | None:
    """The front end of a flat graph; None where a norm is not per frame."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    reading = readers(graph)
    node = next((node for node in graph.node if node.op_type == "Conv"), None)
    if node is None:
        return None
    unsqueeze = next(other for other in graph.node if node.input[0] in other.output)
    layers = []
    while node.op_type == "Conv":
        chain = [node]
        while len(chain) < 5:  # Convolution, transposition, norm, transposition, GELU.
            chain.append(reading[chain[-1].output[0]])
        if chain[2].op_type != "LayerNormalization":
            return None
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        weight = to_array(constants[node.input[1]])
        layers.append(_Layer(weight, attributes["strides"][0], chain[2], node.input[0]))
        node = reading[chain[-1].output[0]]
    return _FrontEnd(unsqueeze.input[0], tuple(layers), node.output[0])


def _slices(nodes: Nodes, front_end: _FrontEnd) -> tuple[str, str]:
    """The number of frames T, and the slices [B x m, samples of one], those of a clip in a row."""
    waveform, one, zero = front_end.waveform, nodes.integer(1), nodes.integer(0)
    hop, field = nodes.integer(front_end.hop), nodes.integer(front_end.field)
    samples = nodes.add("Squeeze", nodes.dimension(waveform, 1))
    frames = nodes.add("Add", nodes.add("Div", nodes.add("Sub", samples, field), hop), one)
    count = nodes.ceil_div(frames, nodes.integer(_SLICE_FRAMES))
    span = nodes.add("Mul", nodes.ceil_div(frames, count), hop)
    length = nodes.add("Add", span, nodes.integer(front_end.field - front_end.hop))
    starts = nodes.add("Mul", nodes.add("Range", zero, count, one), span)
    offsets = nodes.add("Range", zero, length, one)
    places = nodes.add("Add", nodes.add("Unsqueeze", starts, nodes.integers(1)), offsets)
    # Beyond the end it is the last sample that is heard, in frames that are cut off.
    places = nodes.add("Min", places, nodes.add("Sub", samples, one))
    slices = nodes.add("Gather", waveform, places, axis=1)
    length = nodes.add("Unsqueeze", length, nodes.integers(0))
    shape = nodes.add("Concat", nodes.integers(-1), length, axis=0)
    return frames, nodes.add("Reshape", slices, shape)


def _layers(body: Nodes, samples: str, front_end: _FrontEnd, multiply: Multiply) -> str:
    """Samples [S] to features of their frames [T, C]."""
    x = body.add("Unsqueeze", samples, body.integers(1))
    for index, layer in enumerate(front_end.layers):
        x = _side_by_side(body, x, layer)
        channels = layer.weight.shape[0]
        matrix = np.ascontiguousarray(layer.weight.transpose(2, 1, 0).reshape(-1, channels))
        x = multiply(body, x, matrix, layer.source if index else "")
        norm = layer.norm
        attributes = {item.name: helper.get_attribute_value(item) for item in norm.attribute}
        x = body.add("LayerNormalization", x, *norm.input[1:], **attributes)
        x = body.add("Gelu", x)
    return x


def _side_by_side(body: Nodes, x: str, layer: _Layer) -> str:
    """Frames [S, C] to what each step of the convolution sees: [T, kernel x C].

    S is (T - 1) stride + kernel. A stride's worth of neighbours lie side by side as they are; what
    remains of the kernel is every stride-th frame.
    """
    kernel, stride, channels = layer.kernel, layer.stride, layer.weight.shape[1]
    parts = []
    whole = kernel - kernel % stride
    for first in range(0, whole, stride):
        part = _cut(body, x, first, kernel - first - stride, 1)
        shape = body.integers(-1, stride * channels)
        parts.append(body.add("Reshape", part, shape) if stride > 1 else part)
    parts += [_cut(body, x, first, kernel - first - 1, stride) for first in range(whole, kernel)]
    return body.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def _lengthened(nodes: Nodes, x: str, by: int, *, axis: int) -> str:
    """`x` with so many zeros more at the end of its last axis, `axis`; fewer values if negative."""
    if by == 0:
        return x
    if by < 0:
        return nodes.add("Slice", x, *(nodes.integers(value) for value in (0, by, axis)))
    return nodes.add("Pad", x, nodes.integers(*[0] * (2 * axis + 1), by))


def _cut(body: Nodes, x: str, first: int, last: int, step: int) -> str:
    """x[first : len - last : step]"""
    if (first, last, step) == (0, 0, 1):
        return x
    end = -last if last else _END
    bounds = (body.integers(value) for value in (first, end, 0, step))
    return body.add("Slice", x, *bounds)
