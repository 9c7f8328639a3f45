"""Any graph as ONNX Runtime computes it on the CPU, with all its outputs by name.

Of graphs in the making, and of values within them; a finished one runs as it will be served, by
`emotion2vec_runtime.backends`. The only file here that imports onnxruntime.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from emotion2vec_runtime.backends.onnx_runtime import ERRORS
from numpy.typing import NDArray

from emotion2vec_export.errors import ExportError


class GraphRunner:
    """A loaded graph."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except ERRORS as error:
            raise ExportError(f"ONNX Runtime can't load the exported graph: {error}") from error
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(
        self, waveform: NDArray[np.float32], lengths: NDArray[np.int64]
    ) -> dict[str, NDArray[np.generic]]:
        """Runs a padded batch: waveform [B, S] and lengths [B] in, all outputs by name out."""
        values = self._session.run(None, {"waveform": waveform, "lengths": lengths})
        return dict(zip(self._outputs, values, strict=True))
