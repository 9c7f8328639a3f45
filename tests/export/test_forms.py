"""The CPU's and the GPU's form of the graph give what the flat graph gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.config import AudioConfig
from emotion2vec_export.cpu_graph import write_cpu_graph
from emotion2vec_export.gpu_graph import shape_for_gpu
from emotion2vec_export.graph_runner import GraphRunner
from emotion2vec_export.parity import speech_like
from emotion2vec_export.synthetic import Size

from tests.export.samples import SAMPLES, write_flat

# Of front end, positional convolutions and attention at once: they are rewritten one by one.
# SAMPLES are more of them.
VARIANTS: dict[str, dict[str, Any]] = {
    "one convolution; the smallest positional kernel; ALiBi on some heads": {
        "feature_encoder_spec": "[(16, 40, 20)]",
        "conv_pos_width": 3,
        "conv_pos_depth": 1,
        "num_alibi_heads": 3,
    },
    "kernels no multiple of the stride; a positional one that no row length divides; no ALiBi": {
        "feature_encoder_spec": "[(16, 7, 3)] + [(16, 5, 2)] + [(24, 4, 3)] + [(16, 3, 1)]",
        "conv_pos_width": 24,
        "conv_pos_depth": 1,
        "use_alibi_encoder": False,
    },
    "fields longer than many hops": {
        "feature_encoder_spec": "[(16, 9, 2)] * 2 + [(24, 12, 1), (16, 2, 2)]",
        "conv_pos_depth": 1,
    },
}
ONE_BLOCK = Size(32, 4, 0, 1, channels=16, conv_pos_groups=4)


@pytest.fixture(params=[*SAMPLES, *VARIANTS])
def model(request, exported, write_checkpoint, tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint and its flat graph."""
    if request.param in SAMPLES:
        sample = exported(request.param)
        return sample.checkpoint, sample.flat
    directory = write_checkpoint(size=ONE_BLOCK, seed=1, **VARIANTS[request.param])
    return directory, write_flat(directory, tmp_path / "flat.onnx")


def test_they_give_the_same(model: tuple[Path, Path], tmp_path: Path) -> None:
    (directory, flat), gpu = model, tmp_path / "gpu.onnx"
    shaped = onnx.load(flat)
    shape_for_gpu(shaped)
    onnx.save(shaped, gpu)
    onnx.checker.check_model(gpu, full_check=True)
    theirs, audio = GraphRunner(flat), read_checkpoint(directory).config.audio
    # One frame; whole slices and one frame more or less; in a batch, with more padding than that.
    cpu = GraphRunner(write_cpu_graph(flat, tmp_path))
    for counts in [[1], [2], [32], [33], [65], [129], [1, 31, 64, 200]]:
        assert_same(cpu, theirs, counts, audio)
    # Every remainder of 8; in a batch whose rows lie beside each other.
    shaped_for_gpu = GraphRunner(gpu)
    for counts in [*([count] for count in range(1, 10)), [1, 31, 64, 20], [64, 3, 64]]:
        assert_same(shaped_for_gpu, theirs, counts, audio)


def assert_same(
    form: GraphRunner, flat: GraphRunner, counts: Sequence[int], audio: AudioConfig
) -> None:
    """Both give the same for a batch of clips with so many frames, the n-th with n samples more."""
    field, hop = audio.frame_field, audio.frame_hop
    lengths = [field + (count - 1) * hop + row % hop for row, count in enumerate(counts)]
    waveform = np.zeros((len(lengths), max(lengths)), np.float32)
    for row, length in zip(waveform, lengths, strict=True):
        row[:length] = 0.5 + speech_like(length, length)
    ours = form.run(waveform, np.array(lengths))
    theirs = flat.run(waveform, np.array(lengths))
    np.testing.assert_array_equal(ours["frame_lengths"], counts)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name].shape == value.shape
        if not name.startswith("frame_"):
            np.testing.assert_allclose(ours[name], value, atol=1e-4, err_msg=name)
    for row, count in enumerate(counts):
        for name in theirs.keys() & {"frame_logits", "frame_embeddings"}:
            own, other = ours[name][row, :count], theirs[name][row, :count]
            np.testing.assert_allclose(own, other, atol=1e-4, err_msg=name)
