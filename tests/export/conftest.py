from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from emotion2vec_export.requirements import Requirements
from emotion2vec_export.synthetic import LABELS, Size, write_synthetic
from emotion2vec_runtime.bundle import Parity

from tests.export.samples import MICRO, Export, export, exports_already, write_flat

WriteCheckpoint = Callable[..., Path]


class Silence:
    """Progress that nobody looks at."""

    def begin(self, steps: int, needed: Requirements) -> None: ...

    def step(self, what: str) -> None: ...

    def detail(self, what: str) -> None: ...

    def measured(self, precision: str, parity: Parity) -> None: ...

    def unmeasured(self, precision: str, why: str) -> None: ...

    def kept(self, what: str) -> None: ...


@pytest.fixture
def silence() -> Silence:
    return Silence()


@pytest.fixture
def write_checkpoint(tmp_path: Path) -> WriteCheckpoint:
    """Writes a FunASR directory of a very small emotion2vec."""

    def write(
        labels: tuple[str, ...] = LABELS, size: Size = MICRO, seed: int = 0, **overrides: Any
    ) -> Path:
        write_synthetic(tmp_path / "checkpoint", size, seed, labels, **overrides)
        return tmp_path / "checkpoint"

    return write


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Export]:
    """Exports one of SAMPLES, once."""
    return partial(export, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def published(exported: Callable[[str], Export]) -> Export:
    """A model of the published architecture, in all precisions."""
    return exported("published")


@pytest.fixture(scope="session")
def flat_graph(published: Export) -> Path:
    """What the forms for CPU and GPU are made from."""
    return published.flat


@pytest.fixture
def already_exported(flat_graph: Path) -> Iterator[None]:
    """The pipeline takes `flat_graph` for the graph of any checkpoint."""
    with exports_already(flat_graph):
        yield


@pytest.fixture(scope="session")
def wide_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flat graph of a model as wide as emotion2vec+ large, whose weights lie beside it. Its 12
    blocks are all alike, so two stand for them."""
    directory = tmp_path_factory.mktemp("wide")
    write_synthetic(directory / "checkpoint", Size(1024, 16, 1, 1), 0)
    return write_flat(directory / "checkpoint", directory / "flat.onnx")
