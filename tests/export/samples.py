"""Models to test with, each exported once a session: that takes seconds, however small they are."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from emotion2vec_export import pipeline
from emotion2vec_export.__main__ import main
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.graph import write_graph
from emotion2vec_export.model import Emotion2vec
from emotion2vec_export.synthetic import LABELS, Size, write_synthetic
from emotion2vec_export.weights import load_model

# Small models gain nothing by more threads, which wait for each other in loops.
torch.set_num_threads(1)

MICRO = Size(embed_dim=32, heads=4, prenet_depth=1, depth=2, channels=16, conv_pos_groups=4)
# TensorRT's attention wants 32 values a head.
SMALL = Size(embed_dim=128, heads=4, prenet_depth=1, depth=2, channels=16, conv_pos_groups=4)


@dataclass(frozen=True)
class Sample:
    """A synthetic checkpoint, and how it is exported."""

    size: Size = MICRO
    labels: tuple[str, ...] = LABELS
    options: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


SAMPLES = {
    "published": Sample(
        SMALL,
        labels=("生气/angry", "unuse_0/unused", "开心/happy", "<unk>", "unuse_1"),
        arguments=("--precision", "fp32", "int8", "fp16"),
    ),
    "old": Sample(
        labels=("快乐/joyful", "unuse_0", "平静/calm", "<unk>", "unuse_1"),
        options={
            "extractor_mode": "default",
            "conv_pos_width": 20,
            "conv_pos_depth": 2,
            "layer_norm_first": True,
            "learned_alibi_scale_per_layer": True,
        },
        arguments=("--name", "second"),
    ),
    "headless": Sample(
        labels=(),
        options={
            # Kernels smaller than the stride.
            "feature_encoder_spec": "[(16, 10, 5)] + [(16, 1, 2), (24, 2, 4), (16, 10, 8)]",
            "conv_pos_pre_ln": True,
            "num_extra_tokens": 0,
            "normalize": False,
        },
    ),
}


@dataclass(frozen=True)
class Export:
    """What the command made of a sample."""

    checkpoint: Path
    flat: Path
    """The graph that those in the bundle are forms of."""
    bundle: Path
    out: str
    err: str


@cache
def export(directory: Path, name: str) -> Export:
    """Exports SAMPLES[name] into `directory`, the session's, by the command."""
    sample = SAMPLES[name]
    checkpoint, bundle = directory / name / "checkpoint", directory / name / "bundle"
    flat = directory / name / "flat.onnx"
    write_synthetic(checkpoint, sample.size, 3, sample.labels, **sample.options)

    def keep(model: Emotion2vec, path: Path) -> None:
        write_graph(model, path)
        shutil.copyfile(path, flat)

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "write_graph", keep)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(checkpoint), "--output", str(bundle), *sample.arguments])
    assert code == 0, err.getvalue()
    return Export(checkpoint, flat, bundle, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def exports_already(flat: Path) -> Iterator[None]:
    """The pipeline takes `flat` for the graph of any checkpoint."""

    def copy(model: object, path: Path) -> None:
        shutil.copyfile(flat, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "write_graph", copy)
        yield


def write_flat(directory: Path, path: Path) -> Path:
    """Writes the flat graph of the checkpoint in `directory` to `path`; returns it."""
    checkpoint = read_checkpoint(directory)
    write_graph(load_model(checkpoint.config, checkpoint.classes, checkpoint.weights), path)
    return path
