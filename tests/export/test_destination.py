"""What a bundle's directory holds is never lost without being told to."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from emotion2vec_export.__main__ import main
from emotion2vec_export.destination import Destination
from emotion2vec_export.errors import ExportError
from emotion2vec_runtime.bundle import Engine, Profile, load_bundle

from tests.export.samples import Export


@pytest.fixture
def bundle(published: Export, tmp_path: Path) -> Path:
    """A copy of one that holds fp32, int8 and fp16."""
    return shutil.copytree(published.bundle, tmp_path / "bundle")


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def precisions(directory: Path) -> list[str]:
    bundle = load_bundle(directory)
    for artifact in bundle.manifest.artifacts:
        bundle.path(artifact)
    return [item.precision for item in bundle.manifest.artifacts if item.kind == "onnx"]


def test_only_a_bundle_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("")
    for replace in (False, True):
        with pytest.raises(ExportError, match="is no bundle"):
            Destination(tmp_path, replace=replace)
        with pytest.raises(ExportError, match="is no bundle"):
            Destination(tmp_path / "precious", replace=replace)
    Destination(tmp_path / "new")


def test_a_bundle_that_can_not_be_read_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("")
    with pytest.raises(ExportError, match="--replace"):
        Destination(tmp_path)
    Destination(tmp_path, replace=True)


def test_an_old_bundle_is_replaced_whole(tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    output.mkdir()
    (output / "manifest.json").write_text("old")
    (output / "stale.onnx").write_text("old")
    with Destination(output, replace=True).replacing() as fresh:
        (fresh / "manifest.json").write_text("new")
        assert (output / "manifest.json").read_text() == "old"
    assert contents(output) == {"manifest.json": b"new"}
    assert list(tmp_path.iterdir()) == [output]


def test_a_failure_leaves_the_old_bundle(tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    output.mkdir()
    (output / "manifest.json").write_text("old")
    destination = Destination(output, replace=True)
    with pytest.raises(ZeroDivisionError), destination.replacing() as fresh:
        (fresh / "manifest.json").write_text(str(math.pi / 0))
    assert (output / "manifest.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.usefixtures("already_exported")
def test_what_is_not_made_anew_is_kept(published: Export, bundle: Path, capfd) -> None:
    before = contents(bundle)
    assert main([str(published.checkpoint), "--output", str(bundle)]) == 0
    assert precisions(bundle) == ["fp32", "int8", "fp16"]
    after = contents(bundle)
    assert {name: after[name] for name in after if "fp32" not in name and "json" not in name} == {
        name: before[name] for name in before if "fp32" not in name and "json" not in name
    }
    assert "keeping int8" in capfd.readouterr().err


@pytest.mark.usefixtures("already_exported")
def test_it_is_given_up_when_told_so(published: Export, bundle: Path) -> None:
    assert main([str(published.checkpoint), "--output", str(bundle), "--replace"]) == 0
    assert precisions(bundle) == ["fp32"]


def test_another_checkpoint_is_not_written_over(bundle: Path, write_checkpoint, capfd) -> None:
    before = contents(bundle)
    assert main([str(write_checkpoint()), "--output", str(bundle)]) == 1
    assert "of another checkpoint" in capfd.readouterr().err
    assert contents(bundle) == before


def test_a_file_that_has_changed_is_not_kept(bundle: Path, tmp_path: Path) -> None:
    (path,) = bundle.glob("model.int8*")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    destination = Destination(bundle)
    path.write_bytes(data)
    with pytest.raises(ExportError, match=r"differs from its manifest.*--replace"):
        destination.keep([], tmp_path)


def test_an_engine_stays_with_its_graph(bundle: Path, tmp_path: Path) -> None:
    manifest = load_bundle(bundle).manifest
    fp16 = next(held for held in manifest.artifacts if held.precision == "fp16")
    profile = Profile(minimum=(1, 400), optimum=(1, 400), maximum=(1, 400))
    engine = fp16.model_copy(
        update={
            "kind": "tensorrt",
            "engine": Engine(
                library="tensorrt",
                version="10",
                compute_capabilities=("9.0",),
                profiles=(profile,),
                onnx_sha256=fp16.sha256,
            ),
        }
    )
    held = manifest.model_copy(update={"artifacts": (*manifest.artifacts, engine)})
    (bundle / "manifest.json").write_text(held.model_dump_json())
    destination = Destination(bundle)
    same = (manifest.source_revision, manifest.labels)
    with pytest.raises(ExportError, match="--engine tensorrt, leave fp16 out"):
        destination.check(*same, [("onnx", "fp16")])
    destination.check(*same, [("onnx", "fp32")])
    destination.check(*same, [("onnx", "fp16"), ("tensorrt", "fp16")])
    assert engine in destination.keep([manifest.artifacts[0]], tmp_path)
    other = fp16.model_copy(update={"sha256": 64 * "0"})
    assert engine not in destination.keep([other], tmp_path)
