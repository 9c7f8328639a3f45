"""The fp32 artefact: the flat graph in the form that CPUs run best, with the same results."""

from __future__ import annotations

from pathlib import Path

import onnx

from emotion2vec_export.blockwise_attention import block_attention
from emotion2vec_export.blockwise_positions import block_positions
from emotion2vec_export.front_end import Multiply, exactly, slice_front_end
from emotion2vec_export.graph import save_graph
from emotion2vec_export.nodes import tidy
from emotion2vec_export.summation import order_sums


def write_cpu_graph(graph: Path, directory: Path) -> Path:
    """Writes the CPU's form of the flat graph at `graph` into `directory`; returns its path."""
    model = onnx.load(graph)
    shape_for_cpu(model, exactly)
    path = directory / "model.fp32.onnx"
    save_graph(model, path)
    return path


def write_cpu_step(graph: Path, directory: Path) -> Path:
    """As `write_cpu_graph`, of a step."""
    model = onnx.load(graph)
    shape_step_for_cpu(model, exactly)
    path = directory / "step.fp32.onnx"
    save_graph(model, path)
    return path


def shape_for_cpu(model: onnx.ModelProto, multiply: Multiply) -> None:
    """Rewrites a flat graph, in place; `multiply` makes the front end's products.

    What a frame gets from it does not depend on how far its clip is padded, to the last bit.
    """
    order_sums(model)
    slice_front_end(model, multiply)
    block_positions(model)
    block_attention(model)
    tidy(model)


def shape_step_for_cpu(model: onnx.ModelProto, multiply: Multiply) -> None:
    """As `shape_for_cpu`, of a step: its queries are too few to be cut, and its waveform comes
    normalised."""
    slice_front_end(model, multiply)
    block_positions(model)
    tidy(model)
