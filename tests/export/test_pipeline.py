from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from emotion2vec_export import pipeline
from emotion2vec_export.__main__ import main
from emotion2vec_export.bounds import Bounds
from emotion2vec_export.candidate import Candidate
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.cpu_graph import write_cpu_graph
from emotion2vec_export.destination import Destination
from emotion2vec_export.errors import ExportError, UnfaithfulError
from emotion2vec_export.parity import ParityCheck, channel_difference, require_faithful
from emotion2vec_export.precision import RECIPES
from emotion2vec_export.quantization import quantize
from emotion2vec_export.reference import FunAsr
from emotion2vec_export.synthetic import SCOPE
from emotion2vec_runtime.backends.onnx_runtime import OnnxRuntimeBackend
from emotion2vec_runtime.backends.providers import provider_named
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import Label, Parity, ParityRow, Precision, load_bundle
from onnx.numpy_helper import from_array, to_array

from tests.export.samples import SMALL, Export, write_flat

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
    assert [(artifact.kind, artifact.precision) for artifact in artifacts] == [
        *(("onnx", "fp32"), ("onnx", "int8"), ("onnx", "fp16")),
        *(("step", "fp32"), ("step", "int8")),
    ]
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


@pytest.fixture
def impossible(monkeypatch) -> Callable[[Precision], None]:
    """Makes the bounds of a precision so tight that nothing keeps to them."""

    def tighten(precision: Precision) -> None:
        recipe = RECIPES[precision]
        tight = replace(recipe, bounds=Bounds(probability=1e-12, frame_embedding=1e-12))
        monkeypatch.setitem(RECIPES, precision, tight)

    return tighten


@pytest.mark.usefixtures("already_exported")
def test_a_model_that_differs_is_refused(write_checkpoint, silence, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write_checkpoint(("a", "b", "<unk>"), SMALL))
    output = tmp_path / "parent" / "bundle"
    with pytest.raises(UnfaithfulError, match="a probability differs by"):
        pipeline.export_bundle(
            checkpoint,
            Destination(output),
            name="other",
            source="tests",
            precisions=["fp32"],
            progress=silence,
        )
    assert list(output.parent.iterdir()) == []


@pytest.mark.usefixtures("already_exported")
def test_a_precision_that_fails_is_refused_alone(
    published: Export, impossible, tmp_path: Path, capfd
) -> None:
    impossible("int8")
    output = tmp_path / "bundle"
    wanted = ["--precision", "int8", "fp32", "fp16"]
    assert main([str(published.checkpoint), "--output", str(output), *wanted]) == 0
    manifest = load_bundle(output).manifest
    graphs = [artifact for artifact in manifest.artifacts if artifact.kind == "onnx"]
    assert [artifact.precision for artifact in graphs] == ["fp32", "fp16"]
    assert not list(output.glob("*int8*"))
    (refusal,) = manifest.refused
    assert (refusal.kind, refusal.precision) == ("onnx", "int8")
    assert refusal.parity is not None
    assert 1 <= len(refusal.parity.rows) <= 3
    assert all(row.decides for row in refusal.parity.rows)
    last = capfd.readouterr().out.splitlines()[-1]
    assert f"; refused: int8 ({refusal.reason})" in last
    assert re.search(r"differs by \d\.\de-\d\d from FunASR's, more than 1e-12", last)


@pytest.mark.usefixtures("already_exported")
def test_a_refusal_is_remembered_until_it_is_asked_for_again(
    published: Export, impossible, tmp_path: Path
) -> None:
    command = [str(published.checkpoint), "--output", str(tmp_path / "bundle")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "int8", replace(RECIPES["int8"], convert=no_layers))
        assert main([*command, "--precision", "fp32", "int8"]) == 0
    assert main(command) == 0
    (refusal,) = load_bundle(tmp_path / "bundle").manifest.refused
    assert (refusal.reason, refusal.parity) == ("the graph has no layers", None)
    assert main([*command, "--precision", "int8"]) == 0
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert manifest.refused == ()
    assert {artifact.precision for artifact in manifest.artifacts} == {"fp32", "int8"}


def no_layers(graph: Path, directory: Path) -> Path:
    raise ExportError("the graph has no layers")


@pytest.mark.usefixtures("already_exported")
@pytest.mark.parametrize(
    ("failing", "wanted"), [("int8", ["int8"]), ("fp32", ["int8", "fp32", "fp16"])]
)
def test_without_fp32_or_with_nothing_there_is_no_bundle(
    published: Export, impossible, failing, wanted, tmp_path: Path, capfd
) -> None:
    impossible(failing)
    output = tmp_path / "parent" / "bundle"
    command = [str(published.checkpoint), "--output", str(output), "--precision", *wanted]
    assert main(command) == 1
    error = capfd.readouterr().err
    assert f"{failing} (" in error
    assert "more than 1e-12" in error
    assert "no bundle was written" in error
    assert list(output.parent.iterdir()) == []


def make_row(probability: float | None, embedding: float, *, decides: bool = True) -> ParityRow:
    return ParityRow(
        case="speech",
        seconds=1,
        probability_difference=probability,
        embedding_cosine=1,
        frame_embedding_difference=embedding,
        decides=decides,
    )


BOUNDS = RECIPES["fp32"].bounds


@pytest.mark.parametrize("probability", [None, 0.0])
def test_embeddings_are_bound_too(probability: float | None) -> None:
    row = make_row(probability, 2 * BOUNDS.frame_embedding)
    with pytest.raises(UnfaithfulError, match="a frame embedding differs"):
        require_faithful(Parity(reference="funasr", bound=1e-4, rows=(row,)), BOUNDS)


def test_the_worst_rows_come_first() -> None:
    rows = [make_row(factor * BOUNDS.probability, 0) for factor in (0.5, 2, 9, 3, 4)]
    with pytest.raises(
        UnfaithfulError, match=r"differs by 9\.0e-04 .* more than 0\.0001"
    ) as caught:
        require_faithful(Parity(reference="funasr", bound=1e-4, rows=tuple(rows)), BOUNDS)
    assert caught.value.parity is not None
    assert caught.value.parity.rows == (rows[2], rows[4], rows[3])


def test_the_mean_is_bound_too() -> None:
    bounds = Bounds(probability=0.015, mean_probability=0.008, frame_embedding=1)

    def parity(*differences: float) -> Parity:
        rows = tuple(make_row(difference, 0) for difference in differences)
        return Parity(reference="funasr", bound=0.015, mean_bound=0.008, rows=rows)

    require_faithful(parity(0.014, 0.001), bounds)
    far = parity(0.014, 0.012)
    assert not far.passed
    with pytest.raises(
        UnfaithfulError, match=r"on average .* 1\.3e-02 from FunASR's, more than 0.008"
    ):
        require_faithful(far, bounds)


@pytest.mark.usefixtures("already_exported")
def test_the_first_form_that_passes_is_taken(
    published: Export, silence, tmp_path: Path, monkeypatch
) -> None:
    def forms(graph: Path, directory: Path) -> Iterator[Candidate]:
        yield Candidate(next(quantize(graph, directory)).path, "rounded")
        exact = write_cpu_graph(graph, directory)
        yield Candidate(exact.rename(directory / "model.int8.onnx"), "exact")

    recipe = replace(RECIPES["int8"], convert=forms, bounds=RECIPES["fp32"].bounds)
    monkeypatch.setitem(RECIPES, "int8", recipe)
    manifest = pipeline.export_bundle(
        read_checkpoint(published.checkpoint),
        Destination(tmp_path / "bundle"),
        name="micro",
        source="tests",
        precisions=["int8"],
        progress=silence,
    )
    (artifact,) = manifest.artifacts
    assert artifact.scheme == "exact"
    assert artifact.faithful


def test_clips_without_speech_are_reported_and_do_not_decide(published: Export) -> None:
    rows = (make_row(1.0, 9.0, decides=False), make_row(0.0, 0.0))
    require_faithful(Parity(reference="funasr", bound=1e-4, rows=rows), BOUNDS)
    parity = load_bundle(published.bundle).manifest.artifacts[0].parity
    assert parity is not None
    silent = {row.case.partition(",")[0] for row in parity.rows if not row.decides}
    assert silent == {"one frame", "silence"}


def test_a_difference_counts_by_the_size_of_its_channel() -> None:
    theirs = np.tile(np.array([0.1, 1.0, 50.0], np.float32), (4, 1))
    for channel, expected in enumerate([1.0, 1.0, 0.02]):
        ours = theirs.copy()
        ours[2, channel] -= 1
        assert channel_difference(ours, theirs) == pytest.approx(expected, rel=1e-5)


def test_large_norm_gains_pass_and_a_faulty_row_does_not(write_checkpoint, tmp_path: Path) -> None:
    """The last norm's gains are what embeddings are large by."""
    directory = write_checkpoint(size=SMALL)
    content = torch.load(directory / "model.pt", weights_only=True)
    weights = content["model"]
    weights[f"{SCOPE}blocks.1.norm2.weight"][:3] = torch.tensor([3000.0, -3000.0, 3000.0])
    weights["proj.weight"][:, :3] /= 3000
    torch.save(content, directory / "model.pt")
    flat = write_flat(directory, tmp_path / "flat.onnx")
    checkpoint = read_checkpoint(directory)
    check = ParityCheck(FunAsr(directory, checkpoint.classes), 400)
    parity = check.measure(
        OnnxRuntimeBackend(flat, provider_named("cpu"), precision="fp32"), BOUNDS
    )
    require_faithful(parity, BOUNDS)
    graph = onnx.load(flat)
    changed = [t for t in graph.graph.initializer if t.name == "blocks.2.fc1.bias"]
    for tensor in changed:
        values = to_array(tensor).copy()
        values[0] += 0.5
        tensor.CopyFrom(from_array(values, tensor.name))
    assert changed
    onnx.save(graph, flat)
    parity = check.measure(
        OnnxRuntimeBackend(flat, provider_named("cpu"), precision="fp32"), BOUNDS
    )
    with pytest.raises(UnfaithfulError, match="differs by"):
        require_faithful(parity, BOUNDS)
