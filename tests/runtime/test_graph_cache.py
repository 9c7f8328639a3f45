"""Which shapes get a CUDA graph."""

from __future__ import annotations

from emotion2vec_runtime.backends.tensorrt.graph_cache import GraphCache


class Recorder:
    """Counts what a card would hold."""

    def __init__(self) -> None:
        self.alive = 0

    def record(self) -> Graph:
        self.alive += 1
        return Graph(self)


class Graph:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def free(self) -> None:
        self._recorder.alive -= 1


def test_a_shape_is_recorded_when_it_comes_again() -> None:
    recorder = Recorder()
    cache = GraphCache(recorder.record)
    assert cache.get((1, 400)) is None
    assert recorder.alive == 0
    graph = cache.get((1, 400))
    assert graph is not None
    assert cache.get((1, 400)) is graph
    assert recorder.alive == 1
    assert cache.get((2, 400)) is None


def test_the_shape_used_least_lately_makes_room() -> None:
    recorder = Recorder()
    cache = GraphCache(recorder.record, capacity=2)
    for shape in ((1, 1), (1, 1), (2, 2), (2, 2), (1, 1)):
        cache.get(shape)
    assert recorder.alive == 2
    assert cache.get((3, 3)) is None
    assert recorder.alive == 1
    assert cache.get((1, 1)) is not None
    assert cache.get((2, 2)) is None


def test_graphs_do_not_outlive_the_memory_they_were_recorded_with() -> None:
    recorder = Recorder()
    cache = GraphCache(recorder.record)
    for _ in range(2):
        cache.get((1, 1))
    cache.clear()
    assert recorder.alive == 0
    assert cache.get((1, 1)) is None
