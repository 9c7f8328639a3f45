"""Checkpoint -> graph -> precision -> parity -> bundle."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from emotion2vec_runtime.backends.base import Backend
from emotion2vec_runtime.backends.onnx_runtime import OnnxRuntimeBackend
from emotion2vec_runtime.backends.providers import provider_named
from emotion2vec_runtime.bundle import (
    MANIFEST,
    Artifact,
    Manifest,
    Parity,
    Precision,
    describe_file,
)
from emotion2vec_runtime.errors import LoadError

from emotion2vec_export.checkpoint import Checkpoint
from emotion2vec_export.errors import ExportError
from emotion2vec_export.graph import OPSET, external_data, tensor_specs, write_graph
from emotion2vec_export.parity import ParityCheck, require_faithful
from emotion2vec_export.precision import RECIPES
from emotion2vec_export.reference import FunAsr
from emotion2vec_export.weights import load_model

_TOOLS = ("torch", "onnx", "onnxruntime", "funasr", "emotion2vec-export")


class Progress(Protocol):
    """Hears how an export goes on."""

    def step(self, what: str) -> None: ...

    def measured(self, precision: str, parity: Parity) -> None: ...

    def unmeasured(self, precision: str, why: str) -> None: ...


def export_bundle(
    checkpoint: Checkpoint,
    output: Path,
    *,
    name: str,
    source: str,
    precisions: Sequence[Precision],
    progress: Progress,
    engine: bool = False,
    demo: bool = False,
) -> Manifest:
    """Writes the bundle of a checkpoint to `output`, whole or not at all.

    With `engine` it gets a TensorRT engine too, and the fp16 graph that this is built from.

    Raises:
        ExportError: `output` holds something that is no bundle, or a file can't be written.
        UnfaithfulError: an artefact differs from FunASR by more than its precision may.
    """
    with _replacing(output) as directory:
        progress.step("exporting the graph")
        graph = directory / "flat.onnx"
        write_graph(load_model(checkpoint.config, checkpoint.classes, checkpoint.weights), graph)
        progress.step("loading FunASR, and hearing what it says of the test audio")
        audio = checkpoint.config.audio
        check = ParityCheck(FunAsr(checkpoint.directory, checkpoint.classes), audio.frame_field)
        artifacts = []
        wanted: list[Precision] = [*precisions, "fp16"] if engine else [*precisions]
        for precision in dict.fromkeys(wanted):
            progress.step(f"making {precision}, and comparing it with FunASR")
            recipe = RECIPES[precision]
            path = recipe.convert(graph, directory)
            parity = check.measure(_loaded(path, precision), recipe.bounds)
            progress.measured(precision, parity)
            require_faithful(parity, recipe.bounds)
            artifacts.append(_artifact(path, precision, parity))
        if engine:
            fp16 = next(artifact for artifact in artifacts if artifact.precision == "fp16")
            artifacts.append(_engine(fp16, directory, check, audio.frame_field, progress))
        for file in (*external_data(graph), graph):
            file.unlink()
        manifest = Manifest(
            name=name,
            source=source,
            source_revision=f"sha256:{checkpoint.sha256}",
            demo=demo,
            labels=checkpoint.classes.labels if checkpoint.classes else (),
            frame_hop=audio.frame_hop,
            frame_field=audio.frame_field,
            embedding_size=checkpoint.config.embed_dim,
            normalize=checkpoint.config.normalize,
            opset=OPSET,
            exporter={tool: version(tool) for tool in _TOOLS},
            artifacts=tuple(artifacts),
        )
        text = manifest.model_dump_json(indent=2)
        (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")
        return manifest


def check_output(output: Path) -> None:
    """Raises ExportError where a bundle must not be written: over anything but an older bundle."""
    if not output.exists() or (output / MANIFEST).is_file():
        return
    if not output.is_dir() or any(output.iterdir()):
        raise ExportError(f"{output} exists and is no bundle; name a new directory")


def _loaded(path: Path, precision: Precision) -> Backend:
    try:
        return OnnxRuntimeBackend(path, provider_named("cpu"), precision=precision)
    except LoadError as error:
        raise ExportError(f"the exported graph can't be loaded: {error}") from error


def _artifact(path: Path, precision: Precision, parity: Parity) -> Artifact:
    inputs, outputs = tensor_specs(path)
    entry = describe_file(path)
    return Artifact(
        file=entry.file,
        sha256=entry.sha256,
        size=entry.size,
        kind="onnx",
        precision=precision,
        external_data=tuple(describe_file(file) for file in external_data(path)),
        inputs=inputs,
        outputs=outputs,
        parity=parity,
    )


def _engine(
    fp16: Artifact, directory: Path, check: ParityCheck, frame_field: int, progress: Progress
) -> Artifact:
    """Builds the engine; where a card can run it, it is compared with FunASR as the graphs are."""
    # An export without an engine needs neither CUDA nor TensorRT.
    from emotion2vec_export.engine import build_engine, can_run, load_engine

    path, engine = build_engine(
        directory / fp16.file,
        directory,
        frame_field=frame_field,
        onnx_sha256=fp16.sha256,
        say=progress.step,
    )
    parity = None
    if can_run(engine):
        progress.step("comparing the engine with FunASR")
        bounds = RECIPES["fp16"].bounds
        parity = check.measure(load_engine(path, engine), bounds)
        progress.measured("the TensorRT engine", parity)
        require_faithful(parity, bounds)
    else:
        progress.unmeasured("the TensorRT engine", "there is no card here to run it")
    entry = describe_file(path)
    return Artifact(
        file=entry.file,
        sha256=entry.sha256,
        size=entry.size,
        kind="tensorrt",
        precision="fp16",
        inputs=fp16.inputs,
        outputs=fp16.outputs,
        parity=parity,
        engine=engine,
    )


@contextmanager
def _replacing(output: Path) -> Iterator[Path]:
    """A fresh directory beside `output` that takes its place once the block has succeeded."""
    check_output(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise ExportError(f"can't write beside {output}: {error.strerror}") from error
    try:
        yield fresh
        fresh.chmod(0o755)
        if output.exists():
            # A directory that is not empty can't be renamed over: set the old bundle aside first.
            old = Path(tempfile.mkdtemp(prefix=f".{output.name}.old.", dir=output.parent))
            output.rename(old / output.name)
            fresh.rename(output)
            shutil.rmtree(old)
        else:
            fresh.rename(output)
    except OSError as error:
        raise ExportError(f"can't write {output}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
