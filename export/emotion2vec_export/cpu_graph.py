"""The fp32 artefact: the flat graph in the form that CPUs run best, with the same results."""

from __future__ import annotations

from pathlib import Path

import onnx

from emotion2vec_export.blockwise_attention import block_attention
from emotion2vec_export.front_end import exactly, slice_front_end
from emotion2vec_export.graph import save_graph
from emotion2vec_export.nodes import tidy


def write_cpu_graph(graph: Path, directory: Path) -> Path:
    """Writes the CPU's form of the flat graph at `graph` into `directory`; returns its path."""
    model = onnx.load(graph)
    slice_front_end(model, exactly)
    block_attention(model)
    tidy(model)
    path = directory / "model.fp32.onnx"
    save_graph(model, path)
    return path


def write_cpu_step(graph: Path, directory: Path) -> Path:
    """As `write_cpu_graph`, of a step: its queries are too few to be cut."""
    model = onnx.load(graph)
    slice_front_end(model, exactly)
    tidy(model)
    path = directory / "step.fp32.onnx"
    save_graph(model, path)
    return path
