"""A bundle is read whole and verified, or refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emotion2vec_runtime.bundle import MANIFEST, Bundle, Manifest, describe_file, load_bundle
from emotion2vec_runtime.errors import BundleError


def manifest_dict(directory: Path) -> dict[str, Any]:
    return {
        "format_version": 1,
        "name": "tiny",
        "source": "somewhere",
        "source_revision": "1",
        "labels": [{"name": "angry", "native_name": "生气"}],
        "frame_hop": 320,
        "frame_field": 400,
        "embedding_size": 8,
        "normalize": True,
        "opset": 20,
        "exporter": {"torch": "2"},
        "artifacts": [
            {
                **describe_file(directory / "model.onnx").model_dump(),
                "kind": "onnx",
                "precision": "fp32",
                "inputs": [],
                "outputs": [],
                "parity": {"reference": "FunASR", "bound": 1e-4, "rows": []},
            }
        ],
    }


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    write(tmp_path, manifest_dict(tmp_path))
    return tmp_path


def write(directory: Path, manifest: dict[str, Any]) -> None:
    (directory / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_reads_what_was_written(directory: Path) -> None:
    bundle = load_bundle(directory)
    assert bundle.manifest.labels[0].native_name == "生气"
    assert bundle.path(bundle.manifest.artifacts[0]).read_bytes() == b"graph"


def test_what_was_refused_is_told(directory: Path) -> None:
    reason = "speech, alone: a probability differs by 4.3e-02 from FunASR's, more than 0.02"
    refusal = {"kind": "onnx", "precision": "int8", "reason": reason}
    write(directory, {**manifest_dict(directory), "refused": [refusal]})
    (found,) = load_bundle(directory).manifest.refused
    assert (found.precision, found.reason, found.parity) == ("int8", reason, None)


def test_rows_of_older_bundles_are_read(directory: Path) -> None:
    row = {
        "seconds": 1,
        "probability_difference": 0.05,
        "embedding_cosine": 1,
        "frame_embedding_difference": 0.1,
    }
    rows = [row | {"case": "speech", "bound": None}, row | {"case": "silence", "bound": 0.1}]
    manifest = manifest_dict(directory)
    manifest["artifacts"][0]["parity"]["rows"] = rows
    write(directory, manifest)
    parity = load_bundle(directory).manifest.artifacts[0].parity
    assert parity is not None
    assert [row.decides for row in parity.rows] == [True, False]


def test_version_follows_the_files(directory: Path) -> None:
    before = load_bundle(directory).manifest.version
    (directory / "model.onnx").write_bytes(b"other")
    write(directory, manifest_dict(directory))
    assert load_bundle(directory).manifest.version != before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / MANIFEST).unlink(), "no model bundle"),
        (lambda d: (d / MANIFEST).write_bytes(b"\xff\xfe"), "no model bundle"),
        (lambda d: (d / MANIFEST).write_text("{"), "Invalid JSON"),
        (lambda d: (d / "model.onnx").unlink(), "missing"),
        (lambda d: (d / "model.onnx").write_bytes(b"longer graph"), "differs"),
    ],
)
def test_damage_is_refused(directory: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(directory)
    with pytest.raises(BundleError, match=words):
        load_bundle(directory)


def with_weights(directory: Path) -> Bundle:
    """Two artefacts, the first with its weights in a file of their own."""
    for name in ("weights", "other.onnx"):
        (directory / name).write_bytes(name.encode())
    manifest = manifest_dict(directory)
    (artifact,) = manifest["artifacts"]
    other = artifact | describe_file(directory / "other.onnx").model_dump()
    weights = describe_file(directory / "weights").model_dump()
    manifest["artifacts"] = [artifact | {"external_data": [weights]}, other]
    write(directory, manifest)
    return load_bundle(directory)


def test_only_what_is_used_is_hashed(directory: Path) -> None:
    bundle = with_weights(directory)
    used, other = bundle.manifest.artifacts
    (directory / "other.onnx").write_bytes(b"OTHER.onnx")
    assert load_bundle(directory).path(used) == directory / "model.onnx"
    with pytest.raises(BundleError, match=r"other\.onnx differs"):
        bundle.path(other)


def test_a_graph_is_verified_before_it_is_read(directory: Path) -> None:
    bundle = with_weights(directory)
    (directory / "model.onnx").write_bytes(b"grapX")
    with (
        pytest.raises(BundleError, match=r"model\.onnx differs"),
        bundle.verifying(bundle.manifest.artifacts[0]),
    ):
        pytest.fail("it was read")


def test_weights_are_verified_before_they_are_used(directory: Path) -> None:
    bundle = with_weights(directory)
    (directory / "weights").write_bytes(b"Weights")
    used = bundle.manifest.artifacts[0]
    loaded = []
    with pytest.raises(BundleError, match="weights differs"), bundle.verifying(used) as path:
        loaded.append(path)
    assert loaded == [directory / "model.onnx"]
    # That the weights are broken is said rather than what it did to the one who read them.
    with pytest.raises(BundleError, match="weights differs"), bundle.verifying(used):
        raise ValueError


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": 2}, "format_version"),
        ({"name": "../up"}, "name"),
        ({"sample_rate": 8000}, "sample_rate"),
        ({"frame_hop": 0}, "frame_hop"),
        ({"artifacts": []}, "artifacts"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_manifest_is_refused(directory: Path, changes: dict[str, Any], words: str) -> None:
    write(directory, manifest_dict(directory) | changes)
    with pytest.raises(BundleError, match=words):
        load_bundle(directory)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b", "..", ""])
def test_a_file_outside_is_refused(directory: Path, name: str) -> None:
    manifest = manifest_dict(directory)
    manifest["artifacts"][0]["file"] = name
    write(directory, manifest)
    with pytest.raises(BundleError, match="file"):
        load_bundle(directory)


def test_a_link_out_of_the_bundle_is_refused(directory: Path, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside") / "model.onnx"
    outside.write_bytes(b"graph")
    (directory / "model.onnx").unlink()
    (directory / "model.onnx").symlink_to(outside)
    with pytest.raises(BundleError, match="link"):
        load_bundle(directory)


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16000, 49)]
)
def test_frame_count(directory: Path, samples: int, frames: int) -> None:
    manifest = Manifest.model_validate(manifest_dict(directory))
    assert manifest.frame_count(samples) == frames
