"""The part that all peers share: raw PCM -> padded batch -> ONNX Runtime -> probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

MAX_BATCH = 64
"""As our server's own --max-batch-size."""
MAX_SAMPLES = 240 * 16_000
"""Padding included, in one run: as our server's own --max-batch-seconds."""


class Model:
    """One graph in one session, with the outputs and the options that our server uses."""

    def __init__(self, path: str, threads: int, provider: str) -> None:
        """`provider`: "cpu" or "cuda"."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that spin while they wait take the cores from the serving process.
        options.add_session_config_entry("session.intra_op.spin_duration_us", "30")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        providers: list[Any] = ["CPUExecutionProvider"]
        if provider == "cuda":
            ort.preload_dlls()
            cuda = {
                "cudnn_conv_algo_search": "HEURISTIC",
                "enable_skip_layer_norm_strict_mode": "1",
            }
            providers.insert(0, ("CUDAExecutionProvider", cuda))
        self._session = ort.InferenceSession(path, options, providers=providers)

    def __call__(
        self, clips: Sequence[bytes | memoryview | NDArray[np.int16]]
    ) -> NDArray[np.float32]:
        """LINEAR16 clips at 16 kHz -> [B, C]; in several runs where one would be too large."""
        pcm = [np.frombuffer(clip, dtype="<i2") for clip in clips]
        rows = max(1, MAX_SAMPLES // max(map(len, pcm)))
        parts = [self._run(pcm[first : first + rows]) for first in range(0, len(pcm), rows)]
        return np.concatenate(parts)

    def _run(self, pcm: list[NDArray[np.int16]]) -> NDArray[np.float32]:
        lengths = np.array([len(clip) for clip in pcm], dtype=np.int64)
        waveforms = np.zeros((len(pcm), lengths.max()), dtype=np.float32)
        for row, clip in zip(waveforms, pcm, strict=True):
            np.multiply(clip, np.float32(1 / 32768), out=row[: len(clip)])
        feeds = {"waveform": waveforms, "lengths": lengths}
        logits, *_ = self._session.run(
            ["logits", "embedding", "frame_logits", "frame_lengths"], feeds
        )
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return probabilities
