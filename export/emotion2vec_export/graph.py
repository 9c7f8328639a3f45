"""PyTorch model to ONNX.

The exporter is `torch.export`'s (dynamo) at opset 23: it writes LayerNormalization, Gelu and
Attention as single nodes. At opset 18 it leaves Gelu as an Erf chain; below 23 attention comes
apart.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from emotion2vec_runtime.bundle import TensorSpec
from torch import Tensor

from emotion2vec_export.model import Emotion2vec
from emotion2vec_export.step import Step

OPSET = 23
INPUTS = ("waveform", "lengths")
LOGITS = ("logits", "frame_logits")
OUTPUTS = ("logits", "embedding", "frame_logits", "frame_embeddings", "frame_lengths")
STEP_INPUTS = (
    *("waveform", "lengths", "features", "is_known"),
    *("is_provisional", "past", "is_past"),
)
STEP_OUTPUTS = ("frame_logits", "frame_embeddings", "new_features", "keys_values")

_EXTERNAL_DATA_BYTES = 64 << 20
"""Weights beyond this go into a file of their own, which ONNX Runtime maps instead of reading."""
_Axes = Mapping[str, Mapping[int, str]]
"""Of each input and output, the axes whose size may vary, and what they are called."""
_AXES: _Axes = {
    "waveform": {0: "batch", 1: "samples"},
    "lengths": {0: "batch"},
    "logits": {0: "batch"},
    "embedding": {0: "batch"},
    "frame_logits": {0: "batch", 1: "frames"},
    "frame_embeddings": {0: "batch", 1: "frames"},
    "frame_lengths": {0: "batch"},
}
_STEP_AXES: _Axes = {
    "waveform": {0: "batch", 1: "samples"},
    "lengths": {0: "batch"},
    "features": {0: "batch", 1: "known"},
    "is_known": {0: "batch", 1: "known"},
    "is_provisional": {0: "batch", 1: "provisional"},
    "past": {1: "batch", 2: "past"},
    "is_past": {0: "batch", 1: "past"},
    "frame_logits": {0: "batch", 1: "frames"},
    "frame_embeddings": {0: "batch", 1: "frames"},
    "new_features": {0: "batch", 1: "new"},
    "keys_values": {1: "batch", 2: "frames"},
}


def write_graph(model: Emotion2vec, path: Path) -> None:
    """Exports `model`, with dynamic batch and time, to `path`; its directory must be fresh."""
    example = (torch.zeros(2, 16000), torch.tensor([16000, 12000]))
    outputs = [name for name in OUTPUTS if model.head is not None or name not in LOGITS]
    _write(model, example, INPUTS, outputs, _AXES, path)


def write_step_graph(step: Step, path: Path) -> None:
    """As `write_graph`, of a step of live streams."""
    size, blocks = step.model.config.embed_dim, len(step.model.blocks)
    example = (
        *(torch.zeros(2, 16000), torch.tensor([16000, 12000])),
        *(torch.zeros(2, 60, size), torch.ones(2, 60, dtype=torch.bool)),
        *(torch.ones(2, 20, dtype=torch.bool), torch.zeros(2 * blocks, 2, 150, size)),
        torch.ones(2, 150, dtype=torch.bool),
    )
    _write(step, example, STEP_INPUTS, STEP_OUTPUTS, _STEP_AXES, path)


def _write(
    module: torch.nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: _Axes,
    path: Path,
) -> None:
    with _quiet():
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=tuple(
                dict.fromkeys(axes[name], torch.export.Dim.DYNAMIC) for name in inputs
            ),
            verbose=False,
        )
    if program is None:
        raise AssertionError("torch.onnx.export returned no program")
    size = sum(parameter.nbytes for parameter in module.parameters())
    program.save(path, external_data=size > _EXTERNAL_DATA_BYTES)
    _tidy(path, axes)


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Writes a model to `path`, and large weights to a file beside it."""
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= _EXTERNAL_DATA_BYTES:
        onnx.save(model, path)
        return
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)  # onnx would append to it.
    onnx.save(model, path, save_as_external_data=True, location=data.name)
    data.chmod(0o644)  # onnx lets nobody else read it.


def tensor_specs(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of the graph in `path`."""
    graph = onnx.load(path, load_external_data=False).graph
    return tuple(map(_spec, graph.input)), tuple(map(_spec, graph.output))


def external_data(path: Path) -> tuple[Path, ...]:
    """Files beside `path` that hold its weights, in a stable order."""
    graph = onnx.load(path, load_external_data=False).graph
    files = {
        entry.value
        for tensor in graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return tuple(path.parent / name for name in sorted(files))


def _tidy(path: Path, axes: _Axes) -> None:
    """Gives dynamic axes names that mean something, and drops the exporter's notes."""
    model = onnx.load(path, load_external_data=False)
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in axes[value.name].items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    del model.graph.value_info[:]
    graph = model.graph
    items: list[Any] = [model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer]
    for item in items:
        del item.metadata_props[:]
        item.doc_string = ""
    onnx.save(model, path)


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    return TensorSpec(
        name=value.name,
        dtype=onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name,
        shape=tuple(axis.dim_param or axis.dim_value for axis in tensor.shape.dim),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's notes (torchvision is absent, an API will change) from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
