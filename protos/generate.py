"""Writes the Python stubs beside the .proto files, or into the directory named on the command line.

Only a file that defines a service gets gRPC stubs. The versions of protoc and of its plugins are
those of constraints.txt; `make protos` runs this.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"


def generate(output: Path) -> None:
    """Writes the stubs of every .proto file below this directory, in the same tree, to `output`."""
    # protoc looks for its plugins in PATH; they stand beside this interpreter.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    files = [path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.proto"))]
    services = [
        file for file in files if re.search(r"^service ", (ROOT / file).read_text(), re.MULTILINE)
    ]
    compile_protos(files, f"--python_out={output}", f"--pyi_out={output}")
    compile_protos(services, f"--grpc_python_out={output}", f"--mypy_grpc_out={output}")


def defines_service(file: Path) -> bool:
    return re.search(r"^service ", file.read_text(encoding="utf-8"), re.MULTILINE) is not None


def compile_protos(files: list[Path], *outputs: str) -> None:
    names = [file.as_posix() for file in files]
    status = protoc.main(["protoc", f"-I{ROOT}", f"-I{WELL_KNOWN}", *outputs, *names])
    if status:
        sys.exit(status)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
