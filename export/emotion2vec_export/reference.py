"""FunASR itself, the model that an export is measured against.

Its padded batches are wrong (which is why this project exists): it is only asked for single clips.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.serialization import config

from emotion2vec_export.errors import ExportError
from emotion2vec_export.labels import Classes


class Result(NamedTuple):
    """What FunASR says of one clip."""

    probabilities: NDArray[np.float64] | None
    """[C] over the classes in use; None for a model without a classifier."""
    frame_embeddings: NDArray[np.float32]
    """[T, D]."""


def write_weights(stored: Mapping[str, Tensor], path: Path) -> None:
    """Writes what FunASR needs of a checkpoint, `Checkpoint.stored`, to `path`.

    It would copy whatever else the checkpoint's own file holds, twice: of emotion2vec+ large
    1.95 GB. The names stay, so it is FunASR that says which weight is which.
    """
    torch.save({"model": dict(stored)}, path)


class FunAsr:
    """`funasr.AutoModel` of a checkpoint that `read_checkpoint` has accepted."""

    def __init__(
        self, directory: Path, classes: Classes | None, weights: Path | None = None
    ) -> None:
        """Loads the model of `directory`, with its own weights or those that `write_weights` wrote.

        Raises:
            ExportError: FunASR can't load it.
        """
        self._has_classifier = classes is not None
        threads = torch.get_num_threads()
        # It copies what it loads: mapped, that is in memory once more, and not twice.
        with _quiet(), config.patch({"load.mmap": True}):  # type: ignore[attr-defined]
            import funasr

            self.version: str = funasr.__version__
            try:
                self._model = funasr.AutoModel(
                    model=str(directory),
                    **({} if weights is None else {"init_param": str(weights)}),
                    device="cpu",
                    ncpu=threads,
                    disable_update=True,
                    disable_pbar=True,
                    trust_remote_code=False,
                    log_level="ERROR",
                )
            except (OSError, RuntimeError, KeyError, TypeError, AssertionError) as error:
                raise ExportError(f"FunASR can't load {directory}: {error}") from error

    def recognize(self, samples: NDArray[np.float32]) -> Result:
        """One clip: [S] samples at 16 kHz."""
        with _quiet():
            result = self._model.generate(samples, granularity="frame", extract_embedding=True)[0]
        probabilities = np.asarray(result["scores"]) if self._has_classifier else None
        return Result(probabilities, result["feats"])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """FunASR prints, logs at the root logger and reconfigures it; none of that is for our user."""
    root = logging.getLogger()
    level, handlers, disabled = root.level, root.handlers[:], logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
        root.setLevel(level)
        root.handlers[:] = handlers
