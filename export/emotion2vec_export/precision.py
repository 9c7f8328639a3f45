"""What each `--precision` does to the flat graph, and how close to FunASR it must stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from emotion2vec_runtime.bundle import Precision

from emotion2vec_export.bounds import Bounds
from emotion2vec_export.candidate import Candidate
from emotion2vec_export.errors import ExportError
from emotion2vec_export.fitted import Fitted


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an artefact comes from the flat graph: `convert(graph, directory)` gives candidates, the
    fastest first, each in place of the one before."""

    convert: Callable[[Path, Path], Iterator[Candidate]]
    bounds: Bounds
    convert_step: Callable[[Path, Path, Fitted | None], Path] | None = None
    """The same of the flat graph of a step, after the candidate that was taken; None where there
    is none of this precision."""


# onnx takes long to import, and whoever only asks for the names needs none of it.
def _for_cpu(graph: Path, directory: Path) -> Iterator[Candidate]:
    from emotion2vec_export.cpu_graph import write_cpu_graph

    yield Candidate(write_cpu_graph(graph, directory))


def _step_for_cpu(graph: Path, directory: Path, _: Fitted | None) -> Path:
    from emotion2vec_export.cpu_graph import write_cpu_step

    return write_cpu_step(graph, directory)


def _quantize_step(graph: Path, directory: Path, fitted: Fitted | None) -> Path:
    from emotion2vec_export.quantization import quantize_step

    if fitted is None:
        raise ExportError("the graph, whose matrices they would have, was refused")
    return quantize_step(graph, directory, fitted)


def _quantize(graph: Path, directory: Path) -> Iterator[Candidate]:
    from emotion2vec_export.quantization import quantize

    yield from quantize(graph, directory)


def _for_gpu(graph: Path, directory: Path) -> Iterator[Candidate]:
    from emotion2vec_export.gpu_graph import write_gpu_graph

    yield Candidate(write_gpu_graph(graph, directory))


_FP32 = Bounds(probability=1e-4, frame_embedding=1e-3)
_INT8 = Bounds(probability=0.015, mean_probability=0.008, frame_embedding=0.5)
_FP16 = Bounds(probability=0.01, frame_embedding=0.1)

RECIPES: Mapping[Precision, Recipe] = {
    "fp32": Recipe(convert=_for_cpu, bounds=_FP32, convert_step=_step_for_cpu),
    "int8": Recipe(convert=_quantize, bounds=_INT8, convert_step=_quantize_step),
    "fp16": Recipe(convert=_for_gpu, bounds=_FP16),
}
