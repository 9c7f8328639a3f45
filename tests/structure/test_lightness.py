"""A server needs no torch, a client little at all, and neither leaves anything behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

HEAVY = {
    "funasr",
    "huggingface_hub",
    "librosa",
    "matplotlib",
    "modelscope",
    "onnx",
    "onnxscript",
    "scipy",
    "tensorrt",
    "tensorrt_rtx",
    "torch",
    "transformers",
}
CLIENT_NEEDS = {
    "googleapis-common-protos",
    "grpcio",
    "grpcio-health-checking",
    "numpy",
    "protobuf",
}
REPORT = """
import json, sys
before = set(sys.modules)
import {module}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imported_by(module: str) -> set[str]:
    """Top-level names of all modules that a fresh interpreter loads for `import module`."""
    command = [sys.executable, "-c", REPORT.format(module=module)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name.partition(".")[0] for name in json.loads(output)}


def installed_with(distribution: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Names of the distributions that one brings along, directly or not."""
    found: set[str] = set()
    waiting, seen = [(distribution, extras)], set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        for text in requires(name) or []:
            item = Requirement(text)
            environments = [{"extra": extra} for extra in wanted or {""}]
            applies = item.marker is None or any(map(item.marker.evaluate, environments))
            if applies:
                found.add(item.name)
                waiting.append((item.name, frozenset(item.extras)))
    return found


@pytest.mark.parametrize("module", ["emotion2vec_server.process.app", "emotion2vec_client"])
def test_import_loads_nothing_heavy(module: str) -> None:
    assert imported_by(module) & HEAVY == set()


@pytest.mark.parametrize(
    "module", ["emotion2vec_server.process.app", "emotion2vec_export.graph_runner"]
)
def test_onnxruntime_keeps_no_telemetry(module: str, tmp_path: Path) -> None:
    """Its import would leave a device id and a queue of reports in the user's cache."""
    silencers = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    environment = {name: os.environ[name] for name in os.environ.keys() - silencers}
    environment["HOME"] = str(tmp_path)
    command = [sys.executable, "-c", f"import {module}, onnxruntime"]
    subprocess.run(command, check=True, env=environment)
    assert list(tmp_path.rglob("*onnxruntime*")) == []


def test_client_import_loads_nothing_of_the_server() -> None:
    servers = {"av", "emotion2vec_server", "onnxruntime", "pydantic", "soundfile", "soxr"}
    assert imported_by("emotion2vec_client") & servers == set()


def test_server_installs_nothing_heavy() -> None:
    brought = installed_with("emotion2vec-server", frozenset({"cpu"}))
    assert {name.replace("-", "_") for name in brought} & HEAVY == set()
    assert "onnxruntime" in brought


def test_client_installs_what_it_needs_only() -> None:
    direct = {Requirement(text) for text in requires("emotion2vec-client") or []}
    always = {item.name for item in direct if item.marker is None}
    assert always == {"emotion2vec-protos", *CLIENT_NEEDS}
    # grpcio itself brings typing-extensions.
    brought = installed_with("emotion2vec-client")
    assert brought <= {"emotion2vec-protos", "typing-extensions", *CLIENT_NEEDS}
