"""Every distribution says what it is, on what terms, and carries both."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parents[2]
FOLDERS = sorted(
    path.parent.relative_to(HERE).as_posix()
    for pattern in ("*/pyproject.toml", "clients/*/pyproject.toml")
    for path in HERE.glob(pattern)
)
PYTHONS = ["3.11", "3.12", "3.13"]
TYPED = "Typing :: Typed"


def project(root: Path, folder: str) -> dict[str, Any]:
    document = tomllib.loads((root / folder / "pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, Any] = document["project"]
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_licence(root: Path, folder: str) -> None:
    found = project(root, folder)
    assert (found["license"], found["license-files"]) == ("MIT", ["LICENSE"])
    # A copy, because sdists and wheels carry nothing from outside of their own folder.
    assert (root / folder / "LICENSE").read_bytes() == (root / "LICENSE").read_bytes()


@pytest.mark.parametrize("folder", FOLDERS)
def test_readme(root: Path, folder: str) -> None:
    found = project(root, folder)
    assert found["readme"] == "README.md"
    text = (root / folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {found['name']}\n")
    assert "pip install ./" in text
    assert text.count("```") >= 4, "installation, and an example"


@pytest.mark.parametrize("folder", FOLDERS)
def test_classifiers_and_keywords(root: Path, folder: str) -> None:
    found = project(root, folder)
    classifiers = found["classifiers"]
    pythons = [text for text in classifiers if text.startswith("Programming Language")]
    assert pythons == [f"Programming Language :: Python :: {version}" for version in PYTHONS]
    assert found["requires-python"] == f">={PYTHONS[0]}"
    assert not [text for text in classifiers if text.startswith("License ::")]
    assert (TYPED in classifiers) == any((root / folder).glob("*/py.typed"))
    assert "emotion2vec" in found["keywords"]


def test_the_pythons_are_those_of_the_makefile(root: Path) -> None:
    found = re.search(r"Python (\d\.\d+) to (\d\.\d+)", (root / "Makefile").read_text())
    assert found is not None
    assert [found[1], found[2]] == [PYTHONS[0], PYTHONS[-1]]
