from __future__ import annotations

import math
from pathlib import Path

import pytest
from emotion2vec_export import pipeline
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.errors import ExportError, UnfaithfulError
from emotion2vec_export.precision import RECIPES
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import Label, Parity, ParityRow, load_bundle

from tests.export.samples import SMALL, Export

CASES = {"one frame", "silence", "quiet", "loud", "clipped", "speech"}


def test_the_server_accepts_the_bundle(published: Export) -> None:
    manifest = load_bundle(published.bundle).manifest
    assert manifest.labels == (
        Label(name="angry", native_name="生气"),
        Label(name="happy", native_name="开心"),
        Label(name="unknown", native_name="<unk>"),
    )
    assert (manifest.frame_hop, manifest.frame_field) == (320, 400)
    assert (manifest.embedding_size, manifest.normalize, manifest.demo) == (128, True, False)
    assert manifest.source_revision.startswith("sha256:")
    artifact = manifest.artifacts[0]
    assert artifact.parity.reference.startswith("funasr ")
    assert max(row.probability_difference for row in artifact.parity.rows) < 1e-5
    assert {row.case.partition(", ")[2] for row in artifact.parity.rows} == {"alone", "batched"}


def test_a_bundle_holds_what_was_asked_for(published: Export) -> None:
    bundle = load_bundle(published.bundle)
    artifacts = bundle.manifest.artifacts
    files = {entry.file for artifact in artifacts for entry in artifact.files}
    assert {path.name for path in published.bundle.iterdir()} == files | {"manifest.json"}
    assert [artifact.precision for artifact in artifacts] == ["fp32", "int8", "fp16"]
    for artifact in artifacts:
        assert artifact.parity.passed
        assert artifact.parity.bound == RECIPES[artifact.precision].bounds.probability
        assert {row.case.split(",")[0] for row in artifact.parity.rows} >= CASES
        backend = load_backend(bundle, precision=artifact.precision, provider="cpu", threads=1)
        assert backend.precision == artifact.precision
    assert load_backend(bundle, precision="auto", provider="cpu", threads=1).precision == "int8"


def test_without_a_head_it_gives_embeddings_only(exported) -> None:
    manifest = load_bundle(exported("headless").bundle).manifest
    assert (manifest.labels, manifest.normalize) == ((), False)
    assert (manifest.frame_hop, manifest.frame_field) == (320, 380)
    (artifact,) = manifest.artifacts
    names = [output.name for output in artifact.outputs]
    assert names == ["embedding", "frame_embeddings", "frame_lengths"]
    assert artifact.parity.bound == RECIPES["fp32"].bounds.frame_embedding
    assert all(row.probability_difference is None for row in artifact.parity.rows)


@pytest.mark.usefixtures("already_exported")
def test_a_model_that_differs_is_refused(write_checkpoint, silence, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write_checkpoint(("a", "b", "<unk>"), SMALL))
    output = tmp_path / "parent" / "bundle"
    with pytest.raises(UnfaithfulError, match="a probability differs by"):
        pipeline.export_bundle(
            checkpoint,
            output,
            name="other",
            source="tests",
            precisions=["fp32"],
            progress=silence,
        )
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("probability", [None, 0.0])
def test_embeddings_are_bound_too(probability: float | None) -> None:
    row = ParityRow(
        case="speech",
        seconds=1,
        probability_difference=probability,
        embedding_cosine=1,
        frame_embedding_difference=2 * RECIPES["fp32"].bounds.frame_embedding,
    )
    parity = Parity(reference="funasr", bound=1e-4, rows=(row,))
    with pytest.raises(UnfaithfulError, match="a frame embedding differs"):
        pipeline.require_faithful(parity, RECIPES["fp32"].bounds)


def test_only_a_bundle_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("")
    with pytest.raises(ExportError, match="is no bundle"):
        pipeline.check_output(tmp_path)
    with pytest.raises(ExportError, match="is no bundle"):
        pipeline.check_output(tmp_path / "precious")
    pipeline.check_output(tmp_path / "new")
    (tmp_path / "manifest.json").write_text("")
    pipeline.check_output(tmp_path)


def test_an_old_bundle_is_replaced_whole(tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    output.mkdir()
    (output / "manifest.json").write_text("old")
    (output / "stale.onnx").write_text("old")
    with pipeline._replacing(output) as fresh:
        (fresh / "manifest.json").write_text("new")
        assert (output / "manifest.json").read_text() == "old"
    assert [path.name for path in output.iterdir()] == ["manifest.json"]
    assert (output / "manifest.json").read_text() == "new"
    assert list(tmp_path.iterdir()) == [output]


def test_a_failure_leaves_the_old_bundle(tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    output.mkdir()
    (output / "manifest.json").write_text("old")
    with pytest.raises(ZeroDivisionError), pipeline._replacing(output) as fresh:
        (fresh / "manifest.json").write_text(str(math.pi / 0))
    assert (output / "manifest.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]
