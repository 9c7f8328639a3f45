"""Embeddings as one .npy file, [rows, D] in float32, written row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from emotion2vec_client.results import Float32


class EmbeddingFile:
    """Writes embeddings; `embedding_row` of the table counts them from 0."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = path.open("wb")
        self._size = size
        self._count = 0
        self._write_header()

    def write(self, embedding: Float32) -> int:
        """Adds one [D]; returns its row."""
        self._file.write(embedding.astype("<f4", copy=False).tobytes())
        self._count += 1
        return self._count - 1

    def close(self) -> None:
        """Ends the file, whose header tells how many there are."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        # NumPy leaves room in it for any first dimension, so that it can be written again.
        shape = (self._count, self._size)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
