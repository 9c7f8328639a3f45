"""Writes constraints.txt and constraints-gpu.txt: one tested version of everything we install.

    .venv/bin/python scripts/pin.py [INTERPRETER ...]

pip resolves the distributions afresh, without installing anything, for each Python interpreter
(this one by default); each takes over what those before it chose, and adds what only its Python
version needs. Name the oldest and the newest Python that we support.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU = [
    "./protos",
    "./runtime[cpu]",
    "./server[plot,silero]",
    "./clients/python[plot,live,microphone]",
    "./archive[s3,ray]",
    "./export",
    "--group=dev",
    # What pip needs to build the distributions and the source packages among their dependencies.
    "hatchling",
    "wheel",
    "pip",
    "setuptools",
    # A newer release may come with CUDA only; raise it by hand.
    "torch==2.13.0",
]
GPU = ["./protos", "./runtime[gpu]", "./server[plot,silero]", "onnxruntime-gpu[cuda,cudnn]"]
# torch names the exact versions of its CUDA packages itself.
LEFT_TO_TORCH = re.compile(r"nvidia-|cuda-toolkit|triton$")
# Its packages fetch themselves from NVIDIA, so that pip can't resolve it here.
BY_HAND = {"tensorrt": "11.4.0.106"}
HEADER = "# Written by scripts/pin.py.\n"


def resolve(interpreter: str, requirements: list[str], known: dict[str, str]) -> dict[str, str]:
    """Names and versions of all that `requirements` bring in, our own distributions left out."""
    with tempfile.TemporaryDirectory() as directory:
        constraints, report = Path(directory, "constraints.txt"), Path(directory, "report.json")
        constraints.write_text(render(known))
        pip = [sys.executable, "-m", "pip", "--python", interpreter]
        options = ["--quiet", "--dry-run", "--ignore-installed", "--no-input"]
        files = [f"--constraint={constraints}", f"--report={report}"]
        subprocess.run([*pip, "install", *options, *files, *requirements], cwd=ROOT, check=True)
        installs = json.loads(report.read_text())["install"]
    found = (install["metadata"] for install in installs)
    pins = {canonical(item["name"]): item["version"].partition("+")[0] for item in found}
    return {name: pins[name] for name in pins if not name.startswith("emotion2vec-")}


def canonical(name: str) -> str:
    """The one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def render(pins: dict[str, str]) -> str:
    return "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))


def main() -> None:
    interpreters = sys.argv[1:] or [sys.executable]
    pins: dict[str, str] = {}
    for interpreter in interpreters:
        found = resolve(interpreter, CPU, pins)
        pins |= {name: found[name] for name in found if not LEFT_TO_TORCH.match(name)}
    gpu = resolve(interpreters[0], GPU, pins)
    gpu_only = BY_HAND | {name: gpu[name] for name in gpu if name not in pins}
    (ROOT / "constraints.txt").write_text(HEADER + render(pins))
    (ROOT / "constraints-gpu.txt").write_text(HEADER + render(gpu_only))


if __name__ == "__main__":
    main()
