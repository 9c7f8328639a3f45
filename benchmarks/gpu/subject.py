"""The model that is measured: true architecture, seeded random weights, made on the spot."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from emotion2vec_export.config import parse_model_config
from emotion2vec_export.graph import write_graph
from emotion2vec_export.half import halve
from emotion2vec_export.labels import parse_tokens
from emotion2vec_export.model import Emotion2vec
from emotion2vec_export.parity import speech_like
from emotion2vec_export.synthetic import (
    LABELS,
    SIZES,
    model_options,
    random_weights,
    write_checkpoint,
)
from emotion2vec_export.weights import load_model
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

RATE = 16000


class Subject:
    """One model, in each form that is asked for; its files go to `directory`."""

    def __init__(self, size: str, directory: Path, seed: int = 0) -> None:
        self.directory = directory
        self._options = model_options(SIZES[size])
        self._weights = random_weights(parse_model_config(self._options), len(LABELS), seed)

    @cached_property
    def model(self) -> Emotion2vec:
        return load_model(
            parse_model_config(self._options), parse_tokens(LABELS), dict(self._weights)
        )

    @cached_property
    def flat(self) -> Path:
        """The fp32 graph."""
        path = self.directory / "flat.onnx"
        write_graph(self.model.cpu(), path)
        return path

    @cached_property
    def fp16(self) -> Path:
        return halve(self.flat, self.directory)

    def checkpoint(self) -> Path:
        """A FunASR directory of it."""
        path = self.directory / "checkpoint"
        write_checkpoint(path, self._options, self._weights)
        return path

    def flops(self, seconds: float) -> float:
        """Of one clip, a multiplication and an addition counting as two."""
        waveform, lengths = batch(1, seconds)
        counter = FlopCounterMode(display=False)
        with torch.inference_mode(), counter:
            self.model.cpu()(torch.from_numpy(waveform), torch.from_numpy(lengths))
        return float(counter.get_total_flops())


def batch(rows: int, seconds: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`rows` different clips of the same length: waveforms [B, S], lengths [B]."""
    samples = round(seconds * RATE)
    clips = [speech_like(samples, seed) for seed in range(min(rows, 8))]
    waveforms = np.stack([clips[row % len(clips)] for row in range(rows)])
    return waveforms, np.full(rows, samples, dtype=np.int64)
