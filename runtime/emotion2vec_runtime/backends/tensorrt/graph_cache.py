"""Which shapes get a CUDA graph: those that come again, the ones used last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Disposable(Protocol):
    def free(self) -> None: ...


Value = TypeVar("Value", bound=Disposable)
Shape = tuple[int, ...]


class GraphCache(Generic[Value]):
    """At most `capacity` graphs. Recording takes longer than one run: the first run of a shape is
    a plain one, the second is recorded."""

    def __init__(self, record: Callable[[], Value], capacity: int = 32) -> None:
        """`record` records the work that is set up at the moment."""
        self._record = record
        self._capacity = capacity
        self._graphs: OrderedDict[Shape, Value | None] = OrderedDict()
        """None: seen once."""

    def get(self, shape: Shape) -> Value | None:
        """The graph of a shape, recorded now if this is its second time; None at its first."""
        if shape not in self._graphs:
            self._graphs[shape] = None
            self._evict()
            return None
        if self._graphs[shape] is None:
            self._graphs[shape] = self._record()
        self._graphs.move_to_end(shape)
        return self._graphs[shape]

    def clear(self) -> None:
        """To be called when memory that graphs were recorded with moves."""
        for graph in self._graphs.values():
            if graph is not None:
                graph.free()
        self._graphs.clear()

    def _evict(self) -> None:
        while len(self._graphs) > self._capacity:
            _, graph = self._graphs.popitem(last=False)
            if graph is not None:
                graph.free()
