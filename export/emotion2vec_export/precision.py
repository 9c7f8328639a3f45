"""What each `--precision` does to the fp32 graph, and how close to FunASR it must stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emotion2vec_server.bundle import Precision


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an artefact comes from the fp32 graph: `convert(graph, directory)` returns its path."""

    convert: Callable[[Path, Path], Path]
    bound: float
    """Largest difference of a probability from FunASR's."""
    embedding_bound: float
    """Largest difference of a value of a frame embedding. They come out of a layer norm, so they
    are about 1 in size. It is all that binds a model without a classifier."""


def _keep(graph: Path, directory: Path) -> Path:  # noqa: ARG001
    return graph


def _quantize(graph: Path, directory: Path) -> Path:
    # onnx takes long to import, and whoever only asks for the names needs none of it.
    from emotion2vec_export.quantization import quantize

    return quantize(graph, directory)


RECIPES: Mapping[Precision, Recipe] = {
    "fp32": Recipe(convert=_keep, bound=1e-4, embedding_bound=1e-3),
    "int8": Recipe(convert=_quantize, bound=0.02, embedding_bound=1.0),
}
