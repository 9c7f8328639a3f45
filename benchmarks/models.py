"""The bundles that are measured: two synthetic graphs, and the true architecture at full size.

`light` and `middling` have a bundle's inputs and outputs, and costs that the serving layer must
answer in opposite ways. `light` costs about nothing, so what is measured is the serving itself.
`middling` reads 340 MB of weights once a batch, whatever its size: one clip costs nearly as much as
sixteen, so that batching pays, as it does on a GPU. `large` is emotion2vec+ large with random
weights: on a CPU its batches cost as much as their clips alone. `large-fp16` is the same for a GPU.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import emotion2vec_export
import numpy as np
import onnx
from emotion2vec_runtime.bundle import (
    MANIFEST,
    Artifact,
    Label,
    Manifest,
    Parity,
    Precision,
    TensorSpec,
    describe_file,
)
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "build" / "models"
"""Made once, kept from run to run."""

FRAME_FIELD = 400
FRAME_HOP = 320
OPSET = 20
LARGE_PRECISIONS = ("fp32", "int8")
LARGE_INT8 = "large-int8"
"""The int8 graph of the bundle `large`."""
ON_CARD = "large-fp16"
"""The model that runs on a GPU; all others run on the CPU."""
LABELS = tuple(f"label{index}" for index in range(9))


@dataclass(frozen=True, slots=True)
class Shape:
    """A synthetic graph: one strided convolution, a masked mean, an MLP on it, a linear head."""

    channels: int
    """Of the convolution, and of the embeddings: work for each frame."""
    hidden: int
    layers: int
    """Square layers of `hidden` units on the mean: work for each clip, read once a batch."""


SHAPES = {
    "light": Shape(channels=16, hidden=64, layers=1),
    "middling": Shape(channels=16, hidden=2048, layers=20),
}


def bundle(name: str) -> Path:
    """The bundle directory of a model but "demo", made anew where its code is newer."""
    name = "large" if name == LARGE_INT8 else name
    directory = CACHE / name
    if not _is_fresh(directory):
        shutil.rmtree(directory, ignore_errors=True)
        print(f"making the model {name} (once)", file=sys.stderr, flush=True)
        makers = {"large": _make_large, ON_CARD: _make_for_card}
        makers.get(name, _make_synthetic)(directory)
    return directory


def _is_fresh(directory: Path) -> bool:
    manifest = directory / MANIFEST
    makers = [Path(__file__), *Path(emotion2vec_export.__file__).parent.glob("*.py")]
    newest = max(path.stat().st_mtime for path in makers)
    return manifest.exists() and manifest.stat().st_mtime >= newest


def provider(name: str) -> str:
    """The server's `--provider` for a model."""
    return "cuda" if name == ON_CARD else "cpu"


def precision(name: str) -> Precision:
    """Which of a model's graphs is run, by our server and its peers."""
    precisions: dict[str, Precision] = {ON_CARD: "fp16", LARGE_INT8: "int8"}
    return precisions.get(name, "fp32")


def server_arguments(name: str) -> list[str]:
    """Our server's options for a model; "demo" is the bundled one."""
    named = [] if name == "demo" else ["--model", str(bundle(name))]
    return [*named, "--provider", provider(name), "--precision", precision(name)]


def checkpoint(name: str) -> Path:
    """The FunASR directory that `bundle(name)` was exported from."""
    return CACHE / f"{name}-checkpoint"


def graph_file(name: str) -> Path:
    """The graph of a model that its peers are given."""
    directory = bundle(name)
    manifest = Manifest.model_validate_json((directory / MANIFEST).read_text(encoding="utf-8"))
    wanted = ("onnx", precision(name))
    found = next(item for item in manifest.artifacts if (item.kind, item.precision) == wanted)
    return directory / found.file


def _make_large(directory: Path) -> None:
    python = [sys.executable, "-m"]
    source = checkpoint("large")
    subprocess.run([*python, "benchmarks.large", str(source)], check=True)
    arguments = [str(source), "--output", str(directory), "--name", "large", "--precision"]
    subprocess.run([*python, "emotion2vec_export", *arguments, *LARGE_PRECISIONS], check=True)


def _make_for_card(directory: Path) -> None:
    """In a process of its own, which gives torch's memory back."""
    command = [sys.executable, "-m", "benchmarks.gpu.subject", str(directory)]
    subprocess.run(command, check=True)


def _make_synthetic(directory: Path) -> None:
    name = directory.name
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "model.fp32.onnx"
    graph = synthetic_graph(SHAPES[name])
    onnx.save(graph, path)
    entry = describe_file(path)
    artifact = Artifact(
        **entry.model_dump(),
        kind="onnx",
        precision="fp32",
        inputs=_specs(graph.graph.input),
        outputs=_specs(graph.graph.output),
        parity=Parity(reference="none: synthetic", bound=0.0, rows=()),
    )
    manifest = Manifest(
        name=name,
        source="benchmarks",
        source_revision="synthetic",
        labels=tuple(Label(name=label) for label in LABELS),
        frame_hop=FRAME_HOP,
        frame_field=FRAME_FIELD,
        embedding_size=SHAPES[name].channels,
        normalize=False,
        opset=OPSET,
        exporter={"onnx": onnx.__version__},
        artifacts=(artifact,),
    )
    # Last, so that a half-made bundle is never taken for a whole one.
    (directory / MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")


def synthetic_graph(shape: Shape, seed: int = 0) -> onnx.ModelProto:
    """A graph with a bundle's inputs and outputs. Padding does not reach a true frame."""
    builder = _Builder(np.random.default_rng(seed))
    node, constant = builder.node, builder.constant
    wave = node("Unsqueeze", "waveform", constant([1]))
    kernel = builder.weight(shape.channels, 1, FRAME_FIELD)
    frames = node("Relu", node("Conv", wave, kernel, strides=[FRAME_HOP]))
    frames = node("Transpose", frames, perm=[0, 2, 1])
    node("Identity", frames, output="frame_embeddings")
    past_field = node("Sub", "lengths", constant(FRAME_FIELD))
    counts = node("Add", node("Div", past_field, constant(FRAME_HOP)), constant(1))
    node("Identity", counts, output="frame_lengths")
    total = node("Gather", node("Shape", frames), constant(1))
    columns = node("Unsqueeze", counts, constant([1]))
    valid = node("Less", node("Range", constant(0), total, constant(1)), columns)
    mask = node("Unsqueeze", node("Cast", valid, to=TensorProto.FLOAT), constant([2]))
    summed = node("ReduceSum", node("Mul", frames, mask), constant([1]), keepdims=0)
    x = node("Div", summed, node("Cast", columns, to=TensorProto.FLOAT))
    hidden = [shape.hidden] * (shape.layers + 1)
    sizes = [shape.channels, *hidden, shape.channels]
    for inputs, outputs in itertools.pairwise(sizes):
        x = node("Relu", node("MatMul", x, builder.weight(inputs, outputs)))
    node("Identity", x, output="embedding")
    head = builder.weight(shape.channels, len(LABELS))
    node("MatMul", x, head, output="logits")
    node("MatMul", frames, head, output="frame_logits")
    return builder.model(shape.channels)


class _Builder:
    """Collects nodes and weights; every node has one output and gets a name for it."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, value: int | list[int]) -> str:
        return self._keep(np.array(value, dtype=np.int64))

    def weight(self, *shape: int) -> str:
        """Random, and so scaled that neither signal nor gradient of it dies."""
        fan_in = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
        scale = np.float32((2 / fan_in) ** 0.5)
        return self._keep(self._random.standard_normal(shape, dtype=np.float32) * scale)

    def _keep(self, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(value, name))
        return name

    def model(self, size: int) -> onnx.ModelProto:
        floats, integers, classes = TensorProto.FLOAT, TensorProto.INT64, len(LABELS)
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            "synthetic",
            [info("waveform", floats, ["B", "S"]), info("lengths", integers, ["B"])],
            [
                info("logits", floats, ["B", classes]),
                info("embedding", floats, ["B", size]),
                info("frame_logits", floats, ["B", "T", classes]),
                info("frame_embeddings", floats, ["B", "T", size]),
                info("frame_lengths", integers, ["B"]),
            ],
            self._weights,
        )
        opset = helper.make_opsetid("", OPSET)
        # onnx's own default may be newer than ONNX Runtime reads.
        return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def _specs(infos: Iterable[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=info.name,
            dtype=helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type).name,
            shape=tuple(
                axis.dim_param or axis.dim_value for axis in info.type.tensor_type.shape.dim
            ),
        )
        for info in infos
    )
