"""PyTorch model to ONNX.

The exporter is `torch.export`'s (dynamo) at opset 23: it writes LayerNormalization, Gelu and
Attention as single nodes. At opset 18 it leaves Gelu as an Erf chain; below 23 attention comes
apart.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from emotion2vec_runtime.bundle import TensorSpec

from emotion2vec_export.model import Emotion2vec

OPSET = 23
INPUTS = ("waveform", "lengths")
LOGITS = ("logits", "frame_logits")
OUTPUTS = ("logits", "embedding", "frame_logits", "frame_embeddings", "frame_lengths")

_EXTERNAL_DATA_BYTES = 64 << 20
"""Weights beyond this go into a file of their own, which ONNX Runtime maps instead of reading."""
_AXES = {
    "waveform": ("batch", "samples"),
    "lengths": ("batch",),
    "logits": ("batch",),
    "embedding": ("batch",),
    "frame_logits": ("batch", "frames"),
    "frame_embeddings": ("batch", "frames"),
    "frame_lengths": ("batch",),
}


def write_graph(model: Emotion2vec, path: Path) -> None:
    """Exports `model`, with dynamic batch and time, to `path`; its directory must be fresh."""
    waveform, lengths = torch.zeros(2, 16000), torch.tensor([16000, 12000])
    auto = torch.export.Dim.DYNAMIC
    with _quiet():
        program = torch.onnx.export(
            model,
            (waveform, lengths),
            dynamo=True,
            opset_version=OPSET,
            input_names=INPUTS,
            output_names=_outputs(model),
            dynamic_shapes=({0: auto, 1: auto}, {0: auto}),
            verbose=False,
        )
    if program is None:
        raise AssertionError("torch.onnx.export returned no program")
    size = sum(parameter.nbytes for parameter in model.parameters())
    program.save(path, external_data=size > _EXTERNAL_DATA_BYTES)
    _tidy(path)


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


def _outputs(model: Emotion2vec) -> tuple[str, ...]:
    return tuple(name for name in OUTPUTS if model.head is not None or name not in LOGITS)


def _tidy(path: Path) -> None:
    """Gives dynamic axes names that mean something, and drops the exporter's notes."""
    model = onnx.load(path, load_external_data=False)
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in zip(value.type.tensor_type.shape.dim, _AXES[value.name], strict=False):
            axis.dim_param = name
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
