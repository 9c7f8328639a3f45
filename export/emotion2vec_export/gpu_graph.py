"""The fp16 artefact: the flat graph in the form that GPUs run best, with the same results.

No convolution is left in it. ONNX Runtime has cuDNN plan a convolution anew whenever the shape of
its input changes, and speech comes in as many lengths as there are clips: on an H100 a 4 ms clip
took 32. Convolutions become matrix products, whose kernels cuBLAS chooses in microseconds.

Time is padded inside the graph, so that attention has a multiple of 8 tokens. Only then does ONNX
Runtime take a kernel for it that keeps no scores in memory.

All of it is standard ONNX, so that TensorRT reads it too. Where ONNX Runtime could join nodes into
one kernel, the graph is written so that it does: see `_part_biases` and `_name_shapes`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from emotion2vec_export.front_end import extent, flatten_front_end, overlap
from emotion2vec_export.graph import save_graph
from emotion2vec_export.half import halve
from emotion2vec_export.nodes import Nodes, producers, readers, tidy
from emotion2vec_export.positional import multiply_positions
from emotion2vec_export.token_attention import attend_tokens

_TOKENS = 8
"""Their number is a multiple of it."""
_FRAMES = "frame_embeddings"
_PADDED = f"{_FRAMES}.padded"


def write_gpu_graph(graph: Path, directory: Path) -> Path:
    """Writes the GPU's form of the flat graph at `graph` into `directory`; returns its path.

    Raises:
        ExportError: no layer is left that could be fp16.
    """
    model = onnx.load(graph)
    shape_for_gpu(model)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        shaped = Path(scratch) / "gpu.onnx"
        save_graph(model, shaped)
        del model
        return halve(shaped, directory)


def shape_for_gpu(model: onnx.ModelProto) -> None:
    """Rewrites a flat graph, in place; its types stay what they are."""
    _pad_time(model.graph)
    flatten_front_end(model)
    multiply_positions(model)
    attend_tokens(model)
    _part_biases(model.graph)
    tidy(model)
    _name_shapes(model.graph)


def _pad_time(graph: onnx.GraphProto) -> None:
    """Pads the waveform by `overlap` frames at least, to where tokens and frames come out even.

    With E extra tokens, T = (S - field) // hop + 1 frames become
    Q = ceil((T + overlap + E) / 8) 8 - E, of (Q - 1) hop + field samples.
    """
    hop, field = extent(graph)
    sizes = {tensor.name: tensor.dims for tensor in graph.initializer}
    extra = sizes["extra_tokens"][1] if "extra_tokens" in sizes else 0
    nodes = Nodes("time")
    vector = nodes.integers
    samples = nodes.dimension("waveform", 1)
    steps = nodes.add("Div", nodes.add("Sub", samples, vector(field)), vector(hop))
    frames = nodes.add("Add", steps, vector(1))
    least = nodes.add("Add", frames, vector(overlap(hop, field) + extra))
    tokens = nodes.add("Mul", nodes.ceil_div(least, vector(_TOKENS)), vector(_TOKENS))
    last = nodes.add("Sub", tokens, vector(extra + 1))
    wanted = nodes.add("Add", nodes.add("Mul", last, vector(hop)), vector(field))
    missing = nodes.add("Sub", wanted, samples)
    pads = nodes.add("Concat", vector(0, 0, 0), missing, axis=0)
    _rename(graph, "waveform", nodes.add("Pad", "waveform", pads))
    cut = Nodes("true", nodes.constants)
    cut.add("Slice", _PADDED, vector(0), frames, vector(1), output=_FRAMES)
    _cut_frames(graph, cut)
    flat = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes.nodes, *flat])
    graph.initializer.extend(nodes.constants.values())


def _cut_frames(graph: onnx.GraphProto, cut: Nodes) -> None:
    """Gives what the graph answers for each frame for true frames alone."""
    _rename(graph, _FRAMES, _PADDED)
    nodes = []
    for node in graph.node:
        if node.op_type == "MatMul":  # The classifier's. The mean's mask is of padded frames.
            node.input[:] = [_FRAMES if name == _PADDED else name for name in node.input]
        nodes.append(node)
        if _PADDED in node.output:
            nodes += cut.nodes
    del graph.node[:]
    graph.node.extend(nodes)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]


def _part_biases(graph: onnx.GraphProto) -> None:
    """A norm's bias becomes a sum where a GELU follows, for ONNX Runtime to join to the GELU.

    Its kernel of the two runs twice as fast as that of a GELU alone.
    """
    reading = readers(graph)
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "LayerNormalization" and len(node.input) == 3:
            reader = reading.get(node.output[0])
            if reader is not None and reader.op_type == "Gelu":
                bias, whole = node.input.pop(), node.output[0]
                node.output[0] = f"{whole}.unbiased"
                nodes.append(
                    helper.make_node("Add", [node.output[0], bias], [whole], f"{whole}.bias")
                )
    del graph.node[:]
    graph.node.extend(nodes)


def _name_shapes(graph: onnx.GraphProto) -> None:
    """Says that what a norm after a residual sum reads is [batch, tokens, D] throughout.

    ONNX Runtime joins sum, bias and norm only where it knows that. It can't tell by itself.
    """
    making = producers(graph)
    sizes = {tensor.name: tensor.dims for tensor in graph.initializer}
    named: dict[str, int] = {}
    for norm in (node for node in graph.node if node.op_type == "LayerNormalization"):
        total = making.get(norm.input[0])
        if total is None or total.op_type != "Add" or norm.input[1] not in sizes:
            continue
        size = sizes[norm.input[1]][0]
        for name in total.input:
            shifted = making.get(name)
            if shifted is not None and shifted.op_type == "Add" and shifted.input[1] in sizes:
                named |= dict.fromkeys((*total.input, *total.output, shifted.input[0]), size)
    graph.value_info.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "tokens", size])
        for name, size in named.items()
    )
