"""The TensorRT engine, built where there is no card: every operator and every shape must fit."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.destination import Destination
from emotion2vec_export.errors import ExportError
from emotion2vec_export.gpu_graph import write_gpu_graph
from emotion2vec_export.pipeline import export_bundle
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import Bundle, load_bundle

from tests.export.conftest import Silence
from tests.export.samples import Export, exports_already

pytest.importorskip("tensorrt_rtx", reason="there is none for this system")

from emotion2vec_export import engine
from emotion2vec_runtime.backends.tensorrt import cuda

without_card = pytest.mark.skipif(bool(cuda.devices()), reason="there is a card")


class Steps(Silence):
    """What an export says it does."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def detail(self, what: str) -> None:
        self.said.append(what)


class Built(NamedTuple):
    """A bundle with an engine."""

    bundle: Bundle
    said: list[str]


@pytest.fixture(scope="module")
def built(published: Export, tmp_path_factory: pytest.TempPathFactory) -> Built:
    output, steps = tmp_path_factory.mktemp("built") / "bundle", Steps()
    with exports_already(published.flat):
        export_bundle(
            read_checkpoint(published.checkpoint),
            Destination(output),
            name="micro",
            source="tests",
            precisions=["fp32"],
            progress=steps,
            engine=True,
        )
    return Built(load_bundle(output), steps.said)


@pytest.fixture(scope="module")
def fp16(flat_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpu_graph(flat_graph, tmp_path_factory.mktemp("fp16"))


def build(graph: Path, directory: Path, say: engine.Say = lambda what: None) -> Path:
    path, _ = engine.build_engine(graph, directory, frame_field=400, onnx_sha256="a" * 64, say=say)
    return path


@without_card
def test_an_engine_is_built_for_all_cards(built: Built) -> None:
    artifact = built.bundle.manifest.artifacts[-1]
    assert built.bundle.path(artifact).stat().st_size > 1000
    assert artifact.engine is not None
    assert artifact.engine.library == "tensorrt_rtx"
    assert {"8.6", "8.9", "12.0"} <= set(artifact.engine.compute_capabilities)
    longest = [profile.maximum[1] / 16000 for profile in artifact.engine.profiles]
    assert longest == [3.75, 7.5, 15, 30]
    told = [line for line in built.said if line.startswith("building the engine")]
    assert "seconds to a minute" in told[0]
    assert any(" of " in line for line in told)


@without_card
def test_a_bundle_with_an_engine_that_nothing_here_can_run(built: Built, caplog) -> None:
    fp32, fp16, _, engine = built.bundle.manifest.artifacts
    assert (fp32.precision, fp16.precision, engine.precision) == ("fp32", "fp16", "fp16")
    assert engine.engine is not None
    assert engine.engine.onnx_sha256 == fp16.sha256
    assert engine.parity is None
    backend = load_backend(built.bundle, precision="auto", provider="auto", threads=1)
    assert (backend.provider, backend.precision) == ("cpu", "fp32")
    assert "CUDA finds no card here" in caplog.text


@pytest.mark.slow
def test_the_real_architecture_fits(wide_graph: Path, tmp_path: Path) -> None:
    path = build(write_gpu_graph(wide_graph, tmp_path), tmp_path)
    assert path.stat().st_size > 50e6


def test_attention_is_one_kernel_or_the_build_fails(flat_graph: Path, tmp_path: Path) -> None:
    """An Attention node may not come apart into its products: in fp32, where TensorRT has no
    kernel for it, that would be the only way."""
    operators = Counter(node.op_type for node in onnx.load(flat_graph).graph.node)
    assert operators["Attention"] == 3
    with pytest.raises(ExportError, match="Attention operation was not supported"):
        build(flat_graph, tmp_path)


def test_what_can_not_be_read_is_named(fp16: Path, tmp_path: Path) -> None:
    model = onnx.load(fp16)
    model.graph.node[3].op_type = "Unheard"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match=r"can't read the graph: .*operator: Unheard"):
        build(tmp_path / "model.onnx", tmp_path)


def test_a_signal_ends_the_build(fp16: Path, tmp_path: Path) -> None:
    """As an export that is told to stop, which may take many minutes else."""

    class StoppedError(Exception):
        """What the handler raises."""

    def stop(number: int, frame: object) -> None:
        raise StoppedError

    said: list[str] = []

    def say(what: str) -> None:
        said.append(what)
        if len(said) == 3:
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(StoppedError):
            build(fp16, tmp_path, say)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert list(tmp_path.iterdir()) == []


def test_without_a_library_it_says_what_to_install(fp16: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(engine, "installed_libraries", dict)
    with pytest.raises(ExportError, match=r"install emotion2vec-export\[tensorrt\]"):
        build(fp16, tmp_path)
