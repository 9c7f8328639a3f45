from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emotion2vec_export import pipeline
from emotion2vec_export.__main__ import main
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.graph import write_graph
from emotion2vec_export.pipeline import export_bundle
from emotion2vec_export.synthetic import LABELS, Size, write_synthetic
from emotion2vec_export.weights import load_model
from emotion2vec_runtime.bundle import Manifest, Parity

MICRO = Size(embed_dim=32, heads=4, prenet_depth=1, depth=2, channels=16, conv_pos_groups=4)

WriteCheckpoint = Callable[..., Path]


class Silence:
    """Progress that nobody looks at."""

    def step(self, what: str) -> None: ...

    def measured(self, precision: str, parity: Parity) -> None: ...

    def unmeasured(self, precision: str, why: str) -> None: ...


def write_flat(directory: Path, path: Path) -> Path:
    """Writes the flat graph of the checkpoint in `directory` to `path`; returns it."""
    checkpoint = read_checkpoint(directory)
    write_graph(load_model(checkpoint.config, checkpoint.classes, checkpoint.weights), path)
    return path


def _export(checkpoint: Path, output: Path) -> Manifest:
    return export_bundle(
        read_checkpoint(checkpoint),
        output,
        name="micro",
        source="tests",
        precisions=["fp32"],
        progress=Silence(),
    )


@pytest.fixture
def export() -> Callable[[Path, Path], Manifest]:
    """Exports a checkpoint to a bundle."""
    return _export


@pytest.fixture
def silence() -> Silence:
    return Silence()


@pytest.fixture
def write_checkpoint(tmp_path: Path) -> WriteCheckpoint:
    """Writes a FunASR directory of a very small emotion2vec."""

    def write(
        labels: tuple[str, ...] = LABELS, size: Size = MICRO, seed: int = 0, **overrides: Any
    ) -> Path:
        write_synthetic(tmp_path / "checkpoint", size, seed, labels, **overrides)
        return tmp_path / "checkpoint"

    return write


@pytest.fixture(scope="session")
def micro_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("micro") / "checkpoint"
    labels = ("生气/angry", "unuse_0/unused", "开心/happy", "<unk>", "unuse_1")
    write_synthetic(directory, MICRO, 3, labels)
    return directory


@pytest.fixture(scope="session")
def exported_by_command(micro_checkpoint: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command, which writes `micro_bundle`."""
    output = str(micro_checkpoint.parent / "bundle")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(micro_checkpoint), "--output", output])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="session")
def micro_bundle(micro_checkpoint: Path, exported_by_command: tuple[int, str, str]) -> Path:
    assert exported_by_command[0] == 0, exported_by_command[2]
    return micro_checkpoint.parent / "bundle"


@pytest.fixture(scope="session")
def flat_graph(micro_checkpoint: Path) -> Path:
    """What the forms for CPU and GPU are made from: to export takes most of a test's time."""
    return write_flat(micro_checkpoint, micro_checkpoint.parent / "flat.onnx")


@pytest.fixture
def already_exported(flat_graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline takes `flat_graph` for the graph of `micro_checkpoint`."""

    def copy(model: object, path: Path) -> None:
        shutil.copyfile(flat_graph, path)

    monkeypatch.setattr(pipeline, "write_graph", copy)
