"""The client shares one environment with those who call it: pip finds versions that all agree on.

What is checked are the bounds of other packages too, as they are today; the floors keep pip from
going back to old releases that had none.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

OURS = ("./protos", "./clients/python")
PIPECAT = "pipecat-ai>=1.14"
TRITON = "tritonclient[grpc]>=2.73"
USE_BOTH = """
import tritonclient.grpc
from emotion2vec_client import Client

with Client("127.0.0.1:1", timeout=20) as client:
    try:
        client.health()
    except Exception as error:
        print(type(error).__name__)
"""

pytestmark = pytest.mark.slow


def pip(root: Path, *arguments: str, python: str = sys.executable) -> None:
    """Runs this interpreter's pip for the environment of `python`, in the repository."""
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-input"]
    build = "--build-constraint=constraints.txt"
    done = subprocess.run(
        [*command, "--disable-pip-version-check", build, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("other", [PIPECAT, TRITON])
def test_pip_finds_versions_for_both(root: Path, tmp_path: Path, other: str) -> None:
    report = tmp_path / "report.json"
    pip(root, "--dry-run", "--ignore-installed", f"--report={report}", *OURS, other)
    installs = json.loads(report.read_text())["install"]
    found = {item["metadata"]["name"]: item["metadata"]["version"] for item in installs}
    assert {"emotion2vec-client", "emotion2vec-protos", "protobuf"} <= found.keys()
    assert not [name for name in found if name == "torch" or name.startswith("nvidia-")]


def test_both_are_imported_by_one_program(root: Path, tmp_path: Path) -> None:
    environment = tmp_path / "both"
    venv.create(environment, with_pip=False)
    python = str(environment / "bin" / "python")
    pip(root, *OURS, TRITON, python=python)
    done = subprocess.run([python, "-c", USE_BOTH], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "UnavailableError\n"), done.stderr
