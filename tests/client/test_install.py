"""The base installation is small: grpcio and its health checks, protobuf, numpy and our protos."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

PYPROJECT = Path(__file__).parents[2] / "clients" / "python" / "pyproject.toml"
ALLOWED = {"emotion2vec", "emotion2vec_client", "google", "grpc", "grpc_health", "numpy"}
# grpcio needs it itself.
ALLOWED_INDIRECTLY = {"typing_extensions"}

SHIELD = f"""
import sys

ALLOWED = {ALLOWED | ALLOWED_INDIRECTLY!r}

class Shield:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        outside = top not in ALLOWED and top not in sys.stdlib_module_names
        if outside:
            # A module may try for an optional one; none of ours may need it.
            raise ModuleNotFoundError(f"not in the base installation: {{name}}", name=name)

sys.meta_path.insert(0, Shield())
sys.argv[0] = "emotion2vec"
"""
COMMAND = "from emotion2vec_client.__main__ import main; sys.exit(main())"


def run_shielded(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SHIELD + code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_declared_dependencies_are_the_allowed_ones() -> None:
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    names = {re.match(r"[a-z0-9-]+", requirement)[0] for requirement in declared}  # type: ignore[index]
    assert names == {
        "emotion2vec-protos",
        "googleapis-common-protos",
        "grpcio",
        "grpcio-health-checking",
        "numpy",
        "protobuf",
    }


def test_import_needs_nothing_else() -> None:
    report = """
import emotion2vec_client
top = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
print(sorted(top - set(sys.stdlib_module_names) - {"__main__", "__mp_main__", "sitecustomize"}))
"""
    done = run_shielded(report)
    assert done.returncode == 0, done.stderr
    found = {name for name in eval(done.stdout) if not name.startswith(("_", "cython"))}
    assert found <= ALLOWED | ALLOWED_INDIRECTLY


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["recognize", "--help"], ["stream", "--help"]],
    ids=" ".join,
)
def test_the_command_needs_nothing_else(arguments: list[str]) -> None:
    done = run_shielded(COMMAND, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", ["recognize", "stream"])
def test_calls_need_nothing_else(server: Any, wav: Path, command: str) -> None:
    done = run_shielded(
        COMMAND,
        *(command, str(wav), "--server", server.address),
    )
    assert done.returncode == 0, done.stderr
    assert "angry" in done.stdout


def test_errors_need_nothing_else(server: Any, make_failure: Any, wav: Path) -> None:
    import grpc

    failure = make_failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_after=0.05)
    server.service.failures.extend([failure] * 2)
    done = run_shielded(
        COMMAND,
        *("recognize", str(wav), "--server", server.address),
    )
    assert done.returncode == 0, done.stderr
    assert len(server.service.requests) == 3


def test_commands_of_other_distributions_say_where_they_come_from() -> None:
    done = run_shielded(COMMAND, "score", "calls/")
    assert done.returncode == 2
    assert done.stderr.endswith("pip install emotion2vec-archive\n")
