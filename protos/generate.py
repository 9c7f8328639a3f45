"""Writes the Python stubs beside the .proto files, or into the directory named on the command line.

protoc and its plugins live in an environment of their own, build/protos, with the versions of
requirements-build.txt: stubs run on the libraries of their makers' time and all later ones, so the
makers are older than what the rest of this repository is tested with. The environment is made here
where it is missing or of other versions. Only a file that defines a service gets gRPC stubs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT.parent / "build" / "protos"
REQUIREMENTS = ROOT / "requirements-build.txt"
INSTALLED = ENVIRONMENT / "requirements.txt"
"""A copy of the requirements, written when all of them are there."""


def generate(output: Path) -> None:
    """Writes the stubs of every .proto file below this directory, in the same tree, to `output`.

    Raises:
        subprocess.CalledProcessError: protoc refuses a file, or pip can't install protoc.
    """
    prepare()
    files = [path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.proto"))]
    services = [file for file in files if defines_service(ROOT / file)]
    compile_protos(files, f"--python_out={output}", f"--pyi_out={output}")
    compile_protos(services, f"--grpc_python_out={output}", f"--mypy_grpc_out={output}")


def prepare() -> None:
    """Makes the environment, unless it is there already."""
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if INSTALLED.is_file() and INSTALLED.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    # This interpreter's pip does the work: to set up a second one would take longer than the rest.
    venv.create(ENVIRONMENT, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(python())]
    options = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "install", *options, "--requirement", str(REQUIREMENTS)]
    subprocess.run(command, check=True)  # noqa: S603
    INSTALLED.write_text(wanted, encoding="utf-8")


def defines_service(file: Path) -> bool:
    return re.search(r"^service ", file.read_text(encoding="utf-8"), re.MULTILINE) is not None


def compile_protos(files: list[Path], *outputs: str) -> None:
    # protoc looks for its plugins in PATH; they stand beside the interpreter.
    path = os.pathsep.join([str(python().parent), os.environ["PATH"]])
    names = [file.as_posix() for file in files]
    command = [str(python()), "-m", "grpc_tools.protoc", f"-I{ROOT}", *outputs, *names]
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})  # noqa: S603


def python() -> Path:
    """The interpreter of the environment."""
    return ENVIRONMENT / "bin" / "python"


if __name__ == "__main__":
    try:
        generate(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
