"""`floor`: how long the products of the large model take at the rate of the products alone.

The rates are ONNX Runtime's own, for its float32 and its uint8 by int8 product with a constant
matrix of the model's shapes, nothing around them. Attention multiplies in float32 in every
precision. What a whole run takes beyond that is norms, GELU, softmax, rounding and moving data.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZE, HIDDEN, BLOCKS, EXTRA_TOKENS = 1024, 4096, 12, 10
"""Of emotion2vec+ large, as `benchmarks.large` writes it."""
FRONT_END = (
    *((3 * 512, 512, rows) for rows in (32, 16, 8, 4)),
    *((2 * 512, 512, rows) for rows in (2, 1)),
)
"""Products of the front end, which stay in float32: K, N, and rows a frame."""
POSITIONAL = 5 * SIZE * (SIZE // 16) * 19
"""Multiplications a frame of the grouped convolutions, which stay in float32."""
SHAPES = ((SIZE, 3 * SIZE), (SIZE, SIZE), (SIZE, HIDDEN), (HIDDEN, SIZE))
_REPEATS = 25


@dataclass(frozen=True, slots=True)
class Floor:
    """Rates in GFLOP/s of products with the blocks' matrices, and what follows from them."""

    frames: int
    """Rows of the products that were timed."""
    float32: float
    int8: float

    def or_faster(self, other: Floor) -> Floor:
        """The better of each rate: a machine that others use is never the same for long."""
        return replace(
            self, float32=max(self.float32, other.float32), int8=max(self.int8, other.int8)
        )

    def seconds(self, precision: str, frames: int) -> float:
        """Seconds of all products of one clip."""
        tokens = frames + EXTRA_TOKENS
        blocks = BLOCKS * tokens * sum(k * n for k, n in SHAPES)
        front_end = frames * sum(k * n * rows for k, n, rows in FRONT_END)
        attention = BLOCKS * 2 * tokens**2 * SIZE
        exact = attention + frames * POSITIONAL + front_end
        rate = self.int8 if precision == "int8" else self.float32
        return 2e-9 * (blocks / rate + exact / self.float32)


def measure(threads: int, frames: int = 499) -> Floor:
    """Times the products."""
    work = 2e-9 * frames * sum(k * n for k, n in SHAPES)
    rates = [
        work / sum(_seconds(frames, k, n, threads, rounded=rounded) for k, n in SHAPES)
        for rounded in (False, True)
    ]
    return Floor(frames, *rates)


def _seconds(rows: int, k: int, n: int, threads: int, *, rounded: bool) -> float:
    """The fastest of some products [rows, k] @ [k, n]."""
    random = np.random.default_rng(0)
    if rounded:
        x: NDArray[Any] = random.integers(0, 217, (rows, k), dtype=np.uint8)
        constants: dict[str, Any] = {
            "w": random.integers(-75, 76, (k, n), dtype=np.int8),
            "one": np.float32(1),
            "scales": np.ones(n, np.float32),
            "zero": np.uint8(108),
        }
        inputs = ["x", "w", "one", "scales", "zero"]
        node = helper.make_node("MatMulIntegerToFloat", inputs, ["y"], domain="com.microsoft")
    else:
        x = random.standard_normal((rows, k), dtype=np.float32)
        constants = {"w": random.standard_normal((k, n), dtype=np.float32)}
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
    kind = TensorProto.UINT8 if rounded else TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", kind, ["rows", k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", n])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    fastest = float("inf")
    for _ in range(_REPEATS):
        began = time.perf_counter()
        session.run(None, {"x": x})
        fastest = min(fastest, time.perf_counter() - began)
    return fastest
