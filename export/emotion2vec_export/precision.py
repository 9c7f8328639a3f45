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


def _keep(graph: Path, directory: Path) -> Path:  # noqa: ARG001
    return graph


RECIPES: Mapping[Precision, Recipe] = {"fp32": Recipe(convert=_keep, bound=1e-4)}
