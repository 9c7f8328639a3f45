"""What each `--precision` does to the fp32 graph, and how close to FunASR it must stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emotion2vec_server.bundle import Precision

from emotion2vec_export.bounds import Bounds


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an artefact comes from the fp32 graph: `convert(graph, directory)` returns its path."""

    convert: Callable[[Path, Path], Path]
    bounds: Bounds


def _keep(graph: Path, directory: Path) -> Path:  # noqa: ARG001
    return graph


def _quantize(graph: Path, directory: Path) -> Path:
    # onnx takes long to import, and whoever only asks for the names needs none of it.
    from emotion2vec_export.quantization import quantize

    return quantize(graph, directory)


_FP32 = Bounds(probability=1e-4, speechless=1e-4, frame_embedding=1e-3)
# Of silence all frames are alike, and a single frame is alone: rounding does not average out.
_INT8 = Bounds(probability=0.02, speechless=0.1, frame_embedding=0.5)

RECIPES: Mapping[Precision, Recipe] = {
    "fp32": Recipe(convert=_keep, bounds=_FP32),
    "int8": Recipe(convert=_quantize, bounds=_INT8),
}
