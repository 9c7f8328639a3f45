"""The committed stubs are what protoc makes of the .proto files today."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement


def stubs(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*_pb2*.py*")
        if path.suffix in {".py", ".pyi"}
    }


def test_committed_stubs_are_what_protoc_makes(root: Path, tmp_path: Path) -> None:
    protos = root / "protos"
    subprocess.run([sys.executable, protos / "generate.py", tmp_path], check=True)
    made, committed = stubs(tmp_path), stubs(protos)
    assert made.keys() == committed.keys(), "run `make protos`, and delete stubs without a .proto"
    changed = [name for name in made if made[name] != committed[name]]
    assert not changed, "run `make protos`"


def test_the_makers_of_stubs_are_pinned(root: Path) -> None:
    lines = (root / "protos/requirements-build.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin)] == []


@pytest.mark.parametrize(
    ("distribution", "file", "pattern"),
    [
        ("protobuf", "service_pb2.py", r"# Protobuf Python Version: (\S+)"),
        ("grpcio", "service_pb2_grpc.py", r"GRPC_GENERATED_VERSION = '(\S+)'"),
    ],
)
def test_declared_minimum_is_what_the_stubs_demand(
    root: Path, distribution: str, file: str, pattern: str
) -> None:
    """Stubs refuse at import to run on a library older than the one that they were made for."""
    text = (root / "protos/emotion2vec/v1" / file).read_text()
    found = re.search(pattern, text)
    assert found is not None
    pyproject = tomllib.loads((root / "protos/pyproject.toml").read_text())
    requirements = [Requirement(text) for text in pyproject["project"]["dependencies"]]
    (declared,) = [item for item in requirements if item.name == distribution]
    assert str(declared.specifier) == f">={found[1]}"
