"""The fp16 graph: which node computes in which type, and the casts between them.

The types are in the graph itself, as TensorRT's strongly typed networks want it. Products are
computed in fp16, which a GPU multiplies many times as fast, and whose sums its tensor cores keep in
fp32. What moves, adds or scales their results follows, so that the stream is fp16 from the first
convolution to the last block without a cast. That is safe in this model: each stretch of the stream
ends in a layer norm, which brings it back to about 1, and the norms are single nodes that compute
their statistics in fp32 whatever their tensors are (ONNX LayerNormalization, `stash_type`). The
architecture is trained so, too: fairseq's configurations of data2vec 2.0 set `fp16: true`.

In fp32 stays what squares, or sums over time: the normalisation of the waveform, a norm over time,
the mean over frames; and what answers: the last norm and the classifier. Softmax is left to
attention's kernels, which compute it in fp32 (TensorRT refuses a node that asks for it). ALiBi is
rounded once, when it has been multiplied; with the mask of -1e4 it is far from fp16's -65504.

Nodes are told apart by their operators alone: a front end may be built of Conv or of MatMul.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper
from onnx.numpy_helper import from_array, to_array

from emotion2vec_export.errors import ExportError
from emotion2vec_export.graph import save_graph

_PRODUCTS = {"Attention", "Conv", "Gemm", "MatMul"}
_MOVES = {
    *("Concat", "Expand", "Gather", "Identity", "Pad", "Reshape", "Slice"),
    *("Split", "Squeeze", "Transpose", "Unsqueeze", "Where"),
}
_FOLLOWERS = {"Add", "Gelu", "LayerNormalization", "Mul", *_MOVES}
"""In fp16 where something comes to them in fp16."""
_ROUNDED_BEFORE = _FOLLOWERS - {"Mul"}
"""In fp16 where they are only read in fp16. Factors may be too small or too large for it."""
_KEPT_WHOLE = {"LayerNormalization", *_MOVES}
"""In fp32 where they are only read in fp32."""
_TYPELESS = {"Shape", "Size"}
_LARGEST = float(np.finfo(np.float16).max)


def halve(graph: Path, directory: Path) -> Path:
    """Writes the fp16 form of the fp32 graph at `graph` into `directory`, and returns its path.

    Inputs and outputs stay fp32, and so does a layer with a weight that fp16 can't hold.

    Raises:
        ExportError: no layer is left that could be fp16.
    """
    model = onnx.load(graph)
    rewriter = _Rewriter(model.graph, float_tensors(graph))
    rewriter.choose()
    if not rewriter.half:
        raise ExportError("the graph has no layers that fp16 makes faster; leave fp16 out")
    rewriter.rewrite()
    path = directory / "model.fp16.onnx"
    save_graph(model, path)
    return path


def float_tensors(graph: Path) -> set[str]:
    """Names of all float32 tensors of the graph at `graph`, its constants included."""
    model = onnx.load(graph, load_external_data=False)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    return {name for name, data_type in types.items() if data_type == TensorProto.FLOAT}


class _Rewriter:
    """Gives a graph its types, in place."""

    def __init__(self, graph: onnx.GraphProto, floats: set[str]) -> None:
        self._graph = graph
        self._floats = floats
        self._outputs = {value.name for value in graph.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._too_large = {
            name
            for name in self._constants.keys() & floats
            if not (np.abs(to_array(self._constants[name])) <= _LARGEST).all()
        }
        self._readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._casts: set[str] = set()
        self.half: set[str] = set()
        """Names of the tensors that are fp16."""

    def choose(self) -> None:
        """Fills `half`: forwards what comes in fp16, then backwards what is read in fp16 only."""
        for node in self._graph.node:
            product = node.op_type in _PRODUCTS and not self._answers(node)
            follows = node.op_type in _FOLLOWERS and not self.half.isdisjoint(node.input)
            self._assign(node, half=product or follows)
        for node in reversed(self._graph.node):
            readers = self._types_of_readers(node)
            if node.op_type in _ROUNDED_BEFORE and readers == {True}:
                self._assign(node, half=True)
            elif node.op_type in _KEPT_WHOLE and readers == {False}:
                self._assign(node, half=False)

    def rewrite(self) -> None:
        """Writes the types into the graph, with a cast where they meet."""
        nodes = [written for node in self._graph.node for written in self._typed(node)]
        used = {name for node in nodes for name in node.input}
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(nodes)
        self._graph.initializer.extend(t for name, t in self._constants.items() if name in used)
        for value in self._graph.value_info:
            if value.name in self.half:
                value.type.tensor_type.elem_type = TensorProto.FLOAT16

    def _assign(self, node: NodeProto, *, half: bool) -> None:
        names = self._floats.intersection(node.output)
        if half and self._too_large.isdisjoint(node.input) and self._outputs.isdisjoint(names):
            self.half |= names
        else:
            self.half -= names

    def _answers(self, node: NodeProto) -> bool:
        """Whether it is a product of the classifier: an output, save for its bias."""
        names = [*node.output]
        names += [name for add in self._adds(node) for name in add.output]
        return not self._outputs.isdisjoint(names)

    def _adds(self, node: NodeProto) -> list[NodeProto]:
        readers = self._readers.get(node.output[0], [])
        return [reader for reader in readers if reader.op_type == "Add"]

    def _types_of_readers(self, node: NodeProto) -> set[bool]:
        """Whether its results are read in fp16, in fp32, or in both; empty if in no type at all."""
        readers = [reader for name in node.output for reader in self._readers.get(name, [])]
        types = {self._is_half(reader) for reader in readers if reader.op_type not in _TYPELESS}
        return types if self._outputs.isdisjoint(node.output) else types | {False}

    def _is_half(self, node: NodeProto) -> bool:
        return not self.half.isdisjoint(node.output)

    def _typed(self, node: NodeProto) -> Iterator[NodeProto]:
        """The node with its inputs in its type, after the casts that they need."""
        half = self._is_half(node)
        if node.op_type not in _TYPELESS:
            for index, name in enumerate(node.input):
                if name in self._floats and (name in self.half) != half:
                    node.input[index] = f"{name}.fp16" if half else f"{name}.fp32"
                    yield from self._converted(name, node.input[index])
        yield node

    def _converted(self, name: str, target: str) -> Iterator[NodeProto]:
        """Makes `target`, which is `name` in the other type, unless it has been made."""
        if name in self._constants:
            value = to_array(self._constants[name]).astype(np.float16)
            self._constants.setdefault(target, from_array(value, target))
        elif target not in self._casts:
            self._casts.add(target)
            to = TensorProto.FLOAT if name in self.half else TensorProto.FLOAT16
            yield helper.make_node("Cast", [name], [target], target, to=to)
