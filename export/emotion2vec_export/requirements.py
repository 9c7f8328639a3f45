"""What an export will take of disk, memory and time, known before it starts.

Measured with emotion2vec+ large (162 million parameters) and base in all precisions; all of it
grows with the weights.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from emotion2vec_export.checkpoint import Checkpoint
from emotion2vec_export.destination import Form
from emotion2vec_export.errors import ExportError

_SIZES: Mapping[Form, float] = {
    ("onnx", "fp32"): 1.0,
    ("onnx", "int8"): 0.5,
    ("onnx", "fp16"): 0.65,
    ("step", "fp32"): 0.02,
    ("step", "int8"): 0.02,
    ("tensorrt", "fp16"): 0.7,
}
"""Of files, over that of the weights in float32, with some room: of large int8 took 0.29 and fp16
0.63. Steps share the weights of clips."""
_TEMPORARY = 1.0
"""The weights for FunASR, and after them the graph that all others are made from."""
_TEMPORARY_STEPS = 2.0
"""Their own such graph, and the weights that they share in the end."""
_MARGIN_BYTES = 64 << 20
_MEMORY: Mapping[Form, tuple[float, float]] = {("onnx", "fp16"): (3.2e9, 2.0)}
"""Bytes, and what is added to them, over the size of the weights. The graph for GPUs is compared on
the CPU, where its attention over 30 s takes most of it."""
_LEAST_MEMORY = (1.7e9, 2.5)
"""Of any export: FunASR's model, and what it loads it from, twice. No other form needs more."""
_SECONDS: Mapping[Form, float] = {
    ("onnx", "fp32"): 22,
    ("onnx", "int8"): 40,
    ("onnx", "fp16"): 28,
    ("step", "fp32"): 33,
    ("step", "int8"): 12,
    ("tensorrt", "fp16"): 55,
}
"""For large, where `_product_seconds` is `_USUAL_PRODUCT_SECONDS`."""
_HEARING_SECONDS = 85
"""FunASR's part, and tracing the graph; that of steps takes `_TRACING_SECONDS` more."""
_TRACING_SECONDS = 25
_LOADING_SECONDS = 13
"""Of the libraries, whatever the model."""
_LARGE_BYTES = 0.65e9
_USUAL_PRODUCT_SECONDS = 0.033


@dataclass(frozen=True, slots=True)
class Requirements:
    """At the most."""

    disk: int
    """Bytes beside the destination, a bundle that is replaced not counted."""
    memory: int
    """Bytes."""
    seconds: float
    """Roughly: from how fast this machine multiplies just now."""

    def __str__(self) -> str:
        minutes = max(1, round(self.seconds / 60))
        time = "a minute" if minutes == 1 else f"{minutes} minutes"
        room = f"{_gigabytes(self.disk)} of disk and {_gigabytes(self.memory)} of memory"
        return f"{room}, and about {time}"

    def check_disk(self, directory: Path) -> None:
        """Raises ExportError where the file system of `directory` has no room for it."""
        place = next(path for path in (directory, *directory.absolute().parents) if path.exists())
        free = shutil.disk_usage(place).free
        if free < self.disk:
            raise ExportError(
                f"{place} has {_gigabytes(free)} free, and the export takes "
                f"{_gigabytes(self.disk)}: make room, or name a directory on another disk"
            )


def requirements(checkpoint: Checkpoint, forms: Collection[Form], kept: int) -> Requirements:
    """Of exporting a checkpoint in these forms, and keeping `kept` bytes of the bundle there is."""
    size = sum(weight.nbytes for weight in checkpoint.weights.values())
    has_steps = any(kind == "step" for kind, _ in forms)
    share = _TEMPORARY + has_steps * _TEMPORARY_STEPS + sum(_SIZES[form] for form in forms)
    work = _HEARING_SECONDS + has_steps * _TRACING_SECONDS + sum(_SECONDS[form] for form in forms)
    pace = _product_seconds() / _USUAL_PRODUCT_SECONDS
    return Requirements(
        disk=round(size * share) + kept + _MARGIN_BYTES,
        memory=round(max(_memory(form, size) for form in forms)),
        seconds=pace * (_LOADING_SECONDS + work * size / _LARGE_BYTES),
    )


def _memory(form: Form, size: int) -> float:
    fixed, growth = _MEMORY.get(form, _LEAST_MEMORY)
    return fixed + growth * size


def _product_seconds() -> float:
    """How long a product of the large model takes here: [512, 1024] @ [1024, 4096]."""
    x, matrix = torch.zeros(512, 1024), torch.zeros(1024, 4096)
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        torch.mm(x, matrix)
        taken.append(time.perf_counter() - began)
    return min(taken)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
