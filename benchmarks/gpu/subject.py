"""The model that is measured: true architecture, seeded random weights, made on the spot.

`python -m benchmarks.gpu.subject DIR` writes the large one's bundle.
"""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from emotion2vec_export.config import parse_model_config
from emotion2vec_export.gpu_graph import write_gpu_graph
from emotion2vec_export.graph import OPSET, external_data, tensor_specs, write_graph
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
from emotion2vec_runtime.bundle import MANIFEST, Artifact, Manifest, Parity, describe_file
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

RATE = 16000


class Subject:
    """One model, in each form that is asked for; its files go to `directory`."""

    def __init__(self, size: str, directory: Path, seed: int = 0) -> None:
        """Graphs that `directory` has already are taken from there."""
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
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
        if not path.exists():
            write_graph(self.model.cpu(), path)
        return path

    @cached_property
    def fp16(self) -> Path:
        """The graph of the bundle's fp16 artefact."""
        path = self.directory / "model.fp16.onnx"
        return path if path.exists() else write_gpu_graph(self.flat, self.directory)

    def bundle(self) -> None:
        """Makes `directory` a bundle of the fp16 graph, which nobody has compared with FunASR."""
        inputs, outputs = tensor_specs(self.fp16)
        artifact = Artifact(
            **describe_file(self.fp16).model_dump(),
            kind="onnx",
            precision="fp16",
            external_data=tuple(describe_file(file) for file in external_data(self.fp16)),
            inputs=inputs,
            outputs=outputs,
            parity=Parity(reference="none: benchmarks.gpu compares it", bound=0.0, rows=()),
        )
        config = self.model.config
        manifest = Manifest(
            name=self.directory.name,
            source="benchmarks",
            source_revision="synthetic",
            labels=parse_tokens(LABELS).labels,
            frame_hop=config.audio.frame_hop,
            frame_field=config.audio.frame_field,
            embedding_size=config.embed_dim,
            normalize=config.normalize,
            opset=OPSET,
            exporter={},
            artifacts=(artifact,),
        )
        text = manifest.model_dump_json(indent=2)
        (self.directory / MANIFEST).write_text(text, encoding="utf-8")

    def checkpoint(self) -> Path:
        """A FunASR directory of it."""
        path = self.directory / "checkpoint"
        write_checkpoint(path, self._options, self._weights)
        return path

    def flops(self, seconds: float) -> float:
        """Of one clip, a multiplication and an addition counting as two."""
        waveform, lengths = batch(1, seconds)
        counter = FlopCounterMode(display=False)
        # Made in inference mode, its weights could not be moved.
        model = self.model.cpu()
        with torch.inference_mode(), counter:
            model(torch.from_numpy(waveform), torch.from_numpy(lengths))
        return float(counter.get_total_flops())


def batch(rows: int, seconds: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`rows` different clips of the same length: waveforms [B, S], lengths [B]."""
    samples = round(seconds * RATE)
    clips = [speech_like(samples, seed) for seed in range(min(rows, 8))]
    waveforms = np.stack([clips[row % len(clips)] for row in range(rows)])
    return waveforms, np.full(rows, samples, dtype=np.int64)


if __name__ == "__main__":
    Subject("large", Path(sys.argv[1])).bundle()
