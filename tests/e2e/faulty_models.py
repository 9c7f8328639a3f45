"""A bundle whose model misbehaves on cue: the cues are samples of the audio itself.

A real graph that runs in ONNX Runtime like any other. Its results are honest means over frames, so
they can be compared; and every run takes some milliseconds whatever its size, so batching pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

import numpy as np
import onnx
from emotion2vec_runtime.bundle import (
    MANIFEST,
    Artifact,
    Label,
    Manifest,
    Parity,
    TensorSpec,
    describe_file,
)
from onnx import TensorProto, helper, numpy_helper

LABELS = ("angry", "happy", "sad")
EMBEDDING = 4
BYTES = 1 << 50
"""More than any process can address, so that allocating it fails everywhere."""
MATRIX = 384


class Cue(IntEnum):
    """Where in the audio a sample of 1.0 (SLOW: of up to 1.0) makes the model misbehave."""

    POISON = 10
    """An index out of range: the whole batch fails."""
    HUNGRY = 11
    """More than two such clips in one batch run out of memory."""
    GREEDY = 12
    """One such clip runs out of memory."""
    SLOW = 13
    """The batch takes `SLOWEST` times as long as it would, times the sample."""


SLOWEST = 3000


def clip(seconds: float, seed: int = 0, **cues: float) -> np.ndarray:
    """Noise, float32 [S] at 16 kHz, with cues by name: `clip(1, poison=1)`."""
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * 16000))
    samples[list(Cue)] = 0.0
    for name, value in cues.items():
        samples[Cue[name.upper()]] = value
    return samples.astype(np.float32)


def write_bundle(directory: Path, *, broken: bool = False) -> Path:
    """Writes the bundle, `broken` if every run is to fail; returns its directory."""
    directory.mkdir()
    path = directory / "model.fp32.onnx"
    model = helper.make_model(
        _graph(broken), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)

    def specs(values: Sequence[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                name=value.name,
                dtype=helper.tensor_dtype_to_string(value.type.tensor_type.elem_type),
                shape=tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim),
            )
            for value in values
        )

    artifact = Artifact(
        **describe_file(path).model_dump(),
        kind="onnx",
        precision="fp32",
        inputs=specs(model.graph.input),
        outputs=specs(model.graph.output),
        parity=Parity(reference="none", bound=0.0, rows=()),
    )
    manifest = Manifest(
        name="faulty",
        source="tests",
        source_revision="1",
        labels=tuple(Label(name=name) for name in LABELS),
        frame_hop=320,
        frame_field=400,
        embedding_size=EMBEDDING,
        normalize=False,
        opset=18,
        exporter={},
        artifacts=(artifact,),
    )
    (directory / MANIFEST).write_text(manifest.model_dump_json())
    return directory


class _Nodes:
    """Collects nodes and constants; each method returns the name of a value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        name = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: object, dtype: type = np.int64) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name


def _graph(broken: bool) -> onnx.GraphProto:
    g = _Nodes()
    nothing = g.op(
        "Sum", _poison(g, broken), _memory(g, Cue.HUNGRY, 2), _memory(g, Cue.GREEDY, 0), _work(g)
    )
    _results(g, nothing)
    floats, ints = TensorProto.FLOAT, TensorProto.INT64

    def info(name: str, kind: int, *shape: str | int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    return helper.make_graph(
        g.nodes,
        "faulty",
        [info("waveform", floats, "B", "S"), info("lengths", ints, "B")],
        [
            info("logits", floats, "B", len(LABELS)),
            info("embedding", floats, "B", EMBEDDING),
            info("frame_logits", floats, "B", "T", len(LABELS)),
            info("frame_embeddings", floats, "B", "T", EMBEDDING),
            info("frame_lengths", ints, "B"),
        ],
        initializer=g.constants,
    )


def _cue(g: _Nodes, cue: Cue) -> str:
    """The samples [B] at the cue's place."""
    return g.op("Gather", "waveform", g.constant(int(cue)), axis=1)


def _poison(g: _Nodes, always: bool) -> str:
    """0.0, or an error: where a clip is poisoned, or always."""
    most = g.op("ReduceMax", _cue(g, Cue.POISON), keepdims=0)
    index = g.op("Add", g.op("Cast", most, to=TensorProto.INT64), g.constant(int(always)))
    return g.op("Gather", g.constant([0.0], np.float32), index)


def _memory(g: _Nodes, cue: Cue, allowed: int) -> str:
    """0.0, or a failed allocation where more than `allowed` clips have the cue."""
    clips = g.op("ReduceSum", g.op("Floor", _cue(g, cue)), keepdims=0)
    too_many = g.op("Greater", clips, g.constant(allowed + 0.5, np.float32))
    size = g.op("Where", too_many, g.constant([BYTES // 4]), g.constant([1]))
    return g.op("ReduceMax", g.op("ConstantOfShape", size), keepdims=0)


def _work(g: _Nodes) -> str:
    """0.0 after some milliseconds of work: matrix products, more where a clip asks for it."""
    most = g.op("ReduceMax", _cue(g, Cue.SLOW), keepdims=0)
    slow = g.op("Mul", most, g.constant(float(SLOWEST), np.float32))
    trips = g.op(
        "Cast", g.op("Ceil", g.op("Max", slow, g.constant(3.0, np.float32))), to=TensorProto.INT64
    )
    matrix = np.random.default_rng(0).normal(size=(MATRIX, MATRIX)) / MATRIX
    weights = g.constant(matrix, np.float32)
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", weights], ["product"]),
            helper.make_node("Tanh", ["product"], ["next"]),
            helper.make_node("Identity", ["going"], ["still"]),
        ],
        "work",
        [
            helper.make_tensor_value_info("trip", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [MATRIX, MATRIX]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [MATRIX, MATRIX]),
        ],
    )
    state = g.op("Loop", trips, g.constant(True, np.bool_), weights, body=body)
    return g.op("Floor", g.op("ReduceMax", g.op("Abs", state), keepdims=0))


def _results(g: _Nodes, nothing: str) -> None:
    """Each frame's first sample, scaled; and the mean over a clip's true frames."""
    lengths = g.op("Add", g.op("Div", g.op("Sub", "lengths", g.constant(400)), g.constant(320)),
                   g.constant(1), output="frame_lengths")  # fmt: skip
    samples = g.op("Gather", g.op("Shape", "waveform"), g.constant([1]))
    ends = g.op("Sub", samples, g.constant([399]))
    frames = g.op("Slice", "waveform", g.constant([0]), ends, g.constant([1]), g.constant([320]))
    column = g.op("Unsqueeze", g.op("Add", frames, nothing), g.constant([2]))
    count = g.op("Gather", g.op("Shape", frames), g.constant(1))
    steps = g.op("Range", g.constant(0), count, g.constant(1))
    inside = g.op("Less", g.op("Unsqueeze", steps, g.constant([0])),
                  g.op("Unsqueeze", lengths, g.constant([1])))  # fmt: skip
    mask = g.op("Unsqueeze", g.op("Cast", inside, to=TensorProto.FLOAT), g.constant([2]))
    divisor = g.op("Cast", g.op("Unsqueeze", lengths, g.constant([1])), to=TensorProto.FLOAT)
    for name, size in (("logits", len(LABELS)), ("embedding", EMBEDDING)):
        rows = g.constant(np.linspace(-8, 8, size), np.float32)
        of_frames = {"logits": "frame_logits", "embedding": "frame_embeddings"}[name]
        each = g.op("Mul", column, rows, output=of_frames)
        total = g.op("ReduceSum", g.op("Mul", each, mask), g.constant([1]), keepdims=0)
        g.op("Div", total, divisor, output=name)
