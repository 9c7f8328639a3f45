"""Nothing in the repository knows the machine it was written on, or where packages come from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

# "name==version", with an environment marker at most: no address, no option, no local build.
PIN = re.compile(r"[a-z0-9-]+==[A-Za-z0-9.]+( ; .+)?")
PACKAGE_SOURCE = re.compile(rb"(index-url|find-links|trusted-host)[ =\"']+[\w./]*(://|/)")


def test_no_file_names_this_machine(root: Path, repository_files: list[Path]) -> None:
    """Graphs and manifests too: exporters like to write source paths into them."""
    # A checkout in a folder such as /src says too little to look for.
    telling = [place for place in (root, Path.home()) if len(place.parts) > 2 or place != root]
    places = {f"{place}/".encode() for place in telling} - {b"//"}
    naming = [
        (path.relative_to(root).as_posix(), place.decode())
        for path in repository_files
        for place in places
        if place in path.read_bytes()
    ]
    assert not naming


def test_no_file_says_where_packages_come_from(root: Path, repository_files: list[Path]) -> None:
    naming = [
        path.relative_to(root).as_posix()
        for path in repository_files
        if PACKAGE_SOURCE.search(path.read_bytes())
    ]
    assert not naming


def pins(root: Path) -> list[str]:
    files = sorted(root.glob("constraints*.txt"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [line for line in lines if not line.startswith("#")]


def test_constraints_are_plain_pins(root: Path) -> None:
    assert [line for line in pins(root) if not PIN.fullmatch(line)] == []


APART = {"livekit", "pipecat"}
"""Distributions for environments of other people's frameworks, which choose the versions there."""


def test_every_dependency_is_pinned(root: Path) -> None:
    pinned = {line.partition("==")[0] for line in pins(root)}
    unpinned = []
    for path in root.rglob("pyproject.toml"):
        if ".venv" in path.parts or path.parent.name in APART:
            continue
        document = tomllib.loads(path.read_text())
        project = document.get("project", {})
        groups = [project.get("dependencies", []), *document.get("dependency-groups", {}).values()]
        groups += project.get("optional-dependencies", {}).values()
        groups.append(document.get("build-system", {}).get("requires", []))
        names = {re.split(r"[^\w.-]", text)[0].lower() for group in groups for text in group}
        unpinned += [(path.parent.name, name) for name in names - pinned]
    ours = [(folder, name) for folder, name in unpinned if name.startswith("emotion2vec-")]
    assert sorted(set(unpinned) - set(ours)) == [], "run `make pins`"


@pytest.mark.parametrize("name", ["protos", "runtime", "server", "export", "clients/python"])
def test_distributions_agree_on_version_and_python(root: Path, name: str) -> None:
    first = tomllib.loads((root / "protos/pyproject.toml").read_text())["project"]
    this = tomllib.loads((root / name / "pyproject.toml").read_text())["project"]
    assert (this["version"], this["requires-python"]) == (
        first["version"],
        first["requires-python"],
    )
