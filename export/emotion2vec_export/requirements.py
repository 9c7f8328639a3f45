"""What an export will take of disk, memory and time, known before it starts.

Measured with emotion2vec+ large (162 million parameters) and base in all precisions; all of it
grows with the weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from emotion2vec_export.checkpoint import Checkpoint
from emotion2vec_export.destination import Form
from emotion2vec_export.errors import ExportError

_SIZES: Mapping[Form, float] = {
    ("onnx", "fp32"): 1.0,
    ("onnx", "int8"): 0.5,
    ("onnx", "fp16"): 0.65,
    ("step", "fp32"): 1.0,
    ("step", "int8"): 0.3,
    ("tensorrt", "fp16"): 0.7,
}
"""Of files, over that of the weights in float32, with some room: of large int8 took 0.29 and fp16
0.63."""
_TEMPORARY = 1.0
"""The weights for FunASR, and after them the graph that all others are made from; and that of the
steps."""
_MARGIN_BYTES = 64 << 20
_MEMORY: Mapping[Form, tuple[float, float]] = {("onnx", "fp16"): (3.0e9, 2.0)}
"""Bytes, and what is added to them, over the size of the weights. The graph for GPUs is compared on
the CPU, where its attention over 30 s takes most of it."""
_LEAST_MEMORY = (1.4e9, 2.8)
"""Of any export: FunASR's model, and what it loads it from, twice. No other form needs more."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """At the most."""

    disk: int
    """Bytes beside the destination, a bundle that is replaced not counted."""
    memory: int
    """Bytes."""

    def __str__(self) -> str:
        return f"{_gigabytes(self.disk)} of disk and {_gigabytes(self.memory)} of memory"

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
    graphs = 2 if any(kind == "step" for kind, _ in forms) else 1
    share = graphs * _TEMPORARY + sum(_SIZES[form] for form in forms)
    return Requirements(
        disk=round(size * share) + kept + _MARGIN_BYTES,
        memory=round(max(_memory(form, size) for form in forms)),
    )


def _memory(form: Form, size: int) -> float:
    fixed, share = _MEMORY.get(form, _LEAST_MEMORY)
    return fixed + share * size


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
