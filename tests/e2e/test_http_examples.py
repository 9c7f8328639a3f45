"""The programs in the documentation of HTTP, run as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.e2e.conftest import RunningServer

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8080"
TYPESCRIPT = ("typescript@5.9.3", "openapi-typescript@7.13.0")


def examples_of(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_python(demo_server: RunningServer, examples: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for path in (*examples[:2], Path(__file__)):
        shutil.copy(path, folder / path.with_suffix(".wav" if path in examples else "").name)
    programs = [
        program for program in examples_of("docs/http.md", "python") if "import requests" in program
    ]
    said = [run(program, demo_server, tmp_path) for program in programs]
    first, second = (path.stem for path in examples[:2])
    listed, batch = said
    assert listed.split()[:2] == [f"{first}.wav", first]
    assert f"{second}.wav {second}" in listed
    assert f"{first}.wav: {first} (" in batch
    # What is no audio is told, and the others are done.
    assert f"{Path(__file__).stem}: " in batch
    reply = json.loads((tmp_path / "results" / second / "result.json").read_text())
    assert reply["result"]["label"] == second
    assert reply["embedding"]["values"]


def run(program: str, server: RunningServer, folder: Path) -> str:
    assert ADDRESS in program
    command = [sys.executable, "-c", program.replace(ADDRESS, server.http_url)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_typescript(demo_server: RunningServer, tmp_path: Path) -> None:
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", *TYPESCRIPT]
    if subprocess.run(install, cwd=tmp_path, check=False, timeout=120).returncode:
        pytest.skip("npm can't install TypeScript here")
    schema = requests.get(f"{demo_server.http_url}/openapi.json", timeout=60)
    (tmp_path / "openapi.json").write_bytes(schema.content)
    (program,) = examples_of("docs/http.md", "ts")
    (tmp_path / "example.ts").write_text(program)
    tools = tmp_path / "node_modules" / ".bin"
    for command in (
        "openapi-typescript openapi.json -o emotion2vec.ts",
        "tsc --noEmit --strict --target es2022 --module esnext --moduleResolution bundler "
        "--lib es2022,dom example.ts",
    ):
        name, *arguments = command.split()
        done = subprocess.run(
            [tools / name, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
