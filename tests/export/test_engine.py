"""The TensorRT engine, built where there is no card: every operator and every shape must fit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.errors import ExportError
from emotion2vec_export.gpu_graph import write_gpu_graph
from emotion2vec_export.pipeline import export_bundle
from emotion2vec_export.synthetic import Size, write_synthetic
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import Engine, load_bundle

from tests.export.conftest import write_flat

pytest.importorskip("tensorrt_rtx", reason="there is none for this system")

from emotion2vec_export import engine
from emotion2vec_runtime.backends.tensorrt import cuda

without_card = pytest.mark.skipif(bool(cuda.devices()), reason="there is a card")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small model whose attention has 32 values a head: TensorRT has no kernel for 8."""
    directory = tmp_path_factory.mktemp("checkpoint")
    write_synthetic(directory, Size(64, 2, 1, 1, channels=16, conv_pos_groups=4), 0)
    return directory


@pytest.fixture(scope="module")
def flat(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flat(checkpoint, tmp_path_factory.mktemp("flat") / "model.onnx")


@pytest.fixture(scope="module")
def fp16(flat: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpu_graph(flat, tmp_path_factory.mktemp("fp16"))


def build(graph: Path, directory: Path) -> tuple[Path, Engine, list[str]]:
    said: list[str] = []
    path, entry = engine.build_engine(
        graph, directory, frame_field=400, onnx_sha256="a" * 64, say=said.append
    )
    return path, entry, said


@without_card
def test_an_engine_is_built_for_all_cards(fp16: Path, tmp_path: Path) -> None:
    path, entry, said = build(fp16, tmp_path)
    assert path.stat().st_size > 1000
    assert entry.library == "tensorrt_rtx"
    assert {"8.6", "8.9", "12.0"} <= set(entry.compute_capabilities)
    assert [profile.maximum[1] / 16000 for profile in entry.profiles] == [3.75, 7.5, 15, 30]
    assert "building the engine" in said[0]
    assert any(" of " in line for line in said)


def test_the_real_architecture_fits(tmp_path: Path) -> None:
    """At emotion2vec+ large's own widths; its 24 blocks are all alike, so two stand for them."""
    write_synthetic(tmp_path / "checkpoint", Size(1024, 16, 1, 1), 0)
    graph = write_flat(tmp_path / "checkpoint", tmp_path / "model.onnx")
    path, _, _ = build(write_gpu_graph(graph, tmp_path), tmp_path)
    assert path.stat().st_size > 50e6


def test_attention_is_one_kernel_or_the_build_fails(flat: Path, tmp_path: Path) -> None:
    """An Attention node may not come apart into its products: in fp32, where TensorRT has no
    kernel for it, that would be the only way."""
    operators = Counter(node.op_type for node in onnx.load(flat).graph.node)
    assert operators["Attention"] == 2
    with pytest.raises(ExportError, match="Attention operation was not supported"):
        build(flat, tmp_path)


def test_what_can_not_be_read_is_named(fp16: Path, tmp_path: Path) -> None:
    model = onnx.load(fp16)
    model.graph.node[3].op_type = "Unheard"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match=r"can't read the graph: .*operator: Unheard"):
        build(tmp_path / "model.onnx", tmp_path)


def test_without_a_library_it_says_what_to_install(fp16: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(engine, "installed_libraries", dict)
    with pytest.raises(ExportError, match=r"install emotion2vec-export\[tensorrt\]"):
        build(fp16, tmp_path)


@without_card
def test_a_bundle_with_an_engine_that_nothing_here_can_run(
    checkpoint: Path, silence, tmp_path: Path, caplog
) -> None:
    output = tmp_path / "bundle"
    export_bundle(
        read_checkpoint(checkpoint),
        output,
        name="micro",
        source="tests",
        precisions=["fp32"],
        progress=silence,
        engine=True,
    )
    bundle = load_bundle(output)
    fp32, fp16, built = bundle.manifest.artifacts
    assert (fp32.precision, fp16.precision, built.precision) == ("fp32", "fp16", "fp16")
    assert built.engine is not None
    assert built.engine.onnx_sha256 == fp16.sha256
    assert built.parity is None
    backend = load_backend(bundle, precision="auto", provider="auto", threads=1)
    assert (backend.provider, backend.precision) == ("cpu", "fp32")
    assert "CUDA finds no card here" in caplog.text
