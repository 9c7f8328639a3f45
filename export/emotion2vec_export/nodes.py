"""Nodes under construction, and how they take the place of others in a graph."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.numpy_helper import from_array

CONTRIB = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""


class Nodes:
    """Nodes in the order in which they run, and the constants they read.

    All names begin with `prefix`, which must be new to the graph. The nodes of a `body` are those
    of a subgraph; the constants are always the whole graph's.
    """

    def __init__(self, prefix: str, constants: dict[str, onnx.TensorProto] | None = None) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {} if constants is None else constants

    def body(self, prefix: str) -> Nodes:
        return Nodes(f"{self.prefix}.{prefix}", self.constants)

    def add(
        self, operator: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any
    ) -> str:
        """Appends a node, and returns the name of its one output."""
        name = output or f"{self.prefix}.{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, inputs, [name], name, domain=domain, **attributes)
        )
        return name

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        name = f"{self.prefix}.constant_{len(self.constants)}"
        self.constants[name] = from_array(np.asarray(value), name)
        return name

    def integer(self, value: int) -> str:
        """An int64 scalar, each kept once."""
        return self._shared(f"int.{value}", np.int64(value))

    def integers(self, *values: int) -> str:
        """An int64 vector, each kept once."""
        return self._shared(f"ints.{'_'.join(map(str, values))}", np.array(values, np.int64))

    def number(self, value: float) -> str:
        """A float32 scalar, each kept once."""
        return self._shared(f"float.{value!r}", np.float32(value))

    def byte(self, value: int) -> str:
        """A uint8 scalar, each kept once."""
        return self._shared(f"byte.{value}", np.uint8(value))

    def ceil_div(self, x: str, y: str) -> str:
        """x / y of positive int64 scalars, rounded up."""
        return self.add("Div", self.add("Add", x, self.add("Sub", y, self.integer(1))), y)

    def dimension(self, x: str, axis: int) -> str:
        """The size of `x` along an axis, as a vector of one."""
        return self.add("Shape", x, start=axis, end=axis + 1)

    def _shared(self, name: str, value: np.generic | NDArray[np.generic]) -> str:
        self.constants.setdefault(name, from_array(np.asarray(value), name))
        return name


def producers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """The node that gives each tensor."""
    return {name: node for node in graph.node for name in node.output}


def readers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """The first node that reads each tensor."""
    return {name: node for node in reversed(graph.node) for name in node.input}


def replace(
    model: onnx.ModelProto, old: Collection[str], new: Sequence[Nodes], before: str
) -> None:
    """Puts `new` before the node that gives `before`, and takes out the nodes that give `old`."""
    graph = model.graph
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.output[0] == before:
            nodes += (added for part in new for added in part.nodes)
        if node.output[0] not in old:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    known = {tensor.name for tensor in graph.initializer}
    for part in new:
        graph.initializer.extend(t for name, t in part.constants.items() if name not in known)
        known |= part.constants.keys()


def tidy(model: onnx.ModelProto) -> None:
    """Drops what nothing reads any more, and declares the domains of operators in use."""
    graph = model.graph
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(name for inner in nested(node) for name in inner.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    constants = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(constants)
    used = {inner.domain for node in graph.node for inner in nested(node)}
    if CONTRIB in used - {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(CONTRIB, 1))


def nested(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """The node, and all nodes of its subgraphs."""
    yield node
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from nested(inner)
