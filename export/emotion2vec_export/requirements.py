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
    ("onnx", "fp16"): 0.5,
    ("step", "fp32"): 1.0,
    ("step", "int8"): 0.3,
    ("tensorrt", "fp16"): 0.7,
}
"""Of files, over that of the weights in float32. int8's is 0.3 and what it is fitted with."""
_TEMPORARY = 1.0
"""The weights for FunASR, and after them the graph that all others are made from; and that of the
steps."""
_MARGIN_BYTES = 64 << 20
_LIBRARIES_BYTES = 900 << 20
_MEMORY = 3.6
"""Over the size of the weights: FunASR's model, and what it loads it from, twice."""


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
        memory=round(size * _MEMORY) + _LIBRARIES_BYTES,
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
