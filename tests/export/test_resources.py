"""What an export takes of disk and memory: said before, bounded, given back when it is ended."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from emotion2vec_export.__main__ import main
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.requirements import requirements
from emotion2vec_export.synthetic import Size, write_synthetic

HEAR = """
import resource, sys
from pathlib import Path
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.parity import speech_like
from emotion2vec_export.reference import FunAsr, write_weights
peaks = []
for directory in map(Path, sys.argv[1:]):
    checkpoint = read_checkpoint(directory)
    weights = directory / "only.pt"
    write_weights(checkpoint.stored, weights)
    FunAsr(directory, checkpoint.classes, weights).recognize(speech_like(16000, 0))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[1] - peaks[0])
"""
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
BALLAST_BYTES = 256 << 20


def test_what_training_left_in_a_checkpoint_costs_no_memory(write_checkpoint, tmp_path) -> None:
    small = write_checkpoint()
    large = shutil.copytree(small, tmp_path / "large")
    content = torch.load(large / "model.pt", weights_only=True)
    content["last_optimizer_state"]["state"][0]["exp_avg"] = torch.ones(BALLAST_BYTES // 4)
    torch.save(content, large / "model.pt")
    del content
    command = [sys.executable, "-c", HEAR, str(small), str(large)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    grown = int(process.stdout.splitlines()[-1]) * 1024
    assert grown < BALLAST_BYTES / 2
    assert (large / "only.pt").stat().st_size < 2 * (small / "only.pt").stat().st_size


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.usefixtures("already_exported")
def test_a_disk_without_room_is_refused_before_anything_is_written(
    published, tmp_path: Path, monkeypatch, capfd
) -> None:
    checkpoint = read_checkpoint(published.checkpoint)
    needed = requirements(checkpoint, [("onnx", "fp32")], 0).disk
    # Its parent is not there either.
    command = [str(published.checkpoint), "--output", str(tmp_path / "models" / "bundle")]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(needed, 1, needed - 1))
    assert main(command) == 1
    assert f"{tmp_path} has 0.1 GB free, and the export takes 0.1 GB" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_disk_is_enough_for_what_is_written(published) -> None:
    checkpoint = read_checkpoint(published.checkpoint)
    written = sum(path.stat().st_size for path in published.bundle.iterdir())
    forms = [(kind, name) for kind in ("onnx", "step") for name in ("fp32", "int8")]
    forms.append(("onnx", "fp16"))
    needed = requirements(checkpoint, forms, 0)
    assert written < needed.disk
    assert requirements(checkpoint, forms, 10**9).disk == needed.disk + 10**9
    room = str(needed).partition(", and about")[0]
    assert re.search(f"this takes up to {re.escape(room)}, and about .* minute", published.err)


@pytest.mark.slow
def test_the_memory_is_enough(tmp_path: Path) -> None:
    """Of a model as wide as emotion2vec+ large, two of whose 12 blocks are there."""
    write_synthetic(tmp_path / "checkpoint", Size(1024, 16, 1, 1), 0)
    needed = requirements(read_checkpoint(tmp_path / "checkpoint"), [("onnx", "int8")], 0).memory
    command = [sys.executable, "-m", "emotion2vec_export", str(tmp_path / "checkpoint")]
    command += ["--output", str(tmp_path / "bundle"), "--precision", "int8"]
    # Beside this process, whose own memory its children would be charged with.
    process = subprocess.run(
        [sys.executable, "-c", PEAK, *command], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert int(process.stdout.splitlines()[-1]) * 1024 < needed


def test_steps_are_lines_where_there_is_no_terminal(published) -> None:
    steps = [line for line in published.err.splitlines() if line[:1].isdigit()]
    assert [line.partition(" ")[0] for line in steps] == [f"{n}/8" for n in range(1, 9)]


def test_an_export_that_is_ended_leaves_nothing(write_checkpoint, tmp_path: Path) -> None:
    output = tmp_path / "models" / "bundle"
    command = [sys.executable, "-m", "emotion2vec_export", str(write_checkpoint())]
    with subprocess.Popen(
        [*command, "--output", str(output)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        # It has begun to write.
        assert any(line.startswith("1/") for line in process.stderr)
        assert [path.name for path in output.parent.iterdir()] == [".bundle.new"]
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    assert list(output.parent.iterdir()) == []
