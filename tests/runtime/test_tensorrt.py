"""The TensorRT backend around a stand-in for TensorRT and CUDA: no engine loads without a card.

So this shows how batches are cut, padded, laid in memory and given back, and what becomes of graphs
and errors. It shows nothing of TensorRT.
"""

from __future__ import annotations

import ctypes
import math
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from emotion2vec_runtime.bundle import Engine, Profile
from emotion2vec_runtime.errors import InferenceError, LoadError, OutOfMemoryError

pytest.importorskip("cuda.bindings", reason="cuda-bindings is missing")

from emotion2vec_runtime.backends.tensorrt import cuda
from emotion2vec_runtime.backends.tensorrt import engine as tensorrt
from emotion2vec_runtime.backends.tensorrt.library import Library

DTYPES = {"waveform": np.float32, "lengths": np.int64, "embedding": np.float32}
DTYPES |= {"frame_embeddings": np.float32, "frame_lengths": np.int64}
ENGINE = Engine(
    library="tensorrt",
    version="0",
    compute_capabilities=("9.0",),
    profiles=tuple(
        Profile(minimum=(1, 400), optimum=(rows, samples), maximum=(rows, samples))
        for rows, samples in ((4, 8000), (2, 16000))
    ),
    onnx_sha256="0" * 64,
)
CARD = cuda.Device(0, "stand-in", "9.0")


class Memory:
    """A buffer whose device memory is the host's."""

    def __init__(self) -> None:
        self._bytes = ctypes.create_string_buffer(0)
        self.address = self.size = 0

    def reserve(self, size: int) -> bool:
        if size <= self.size:
            return False
        self._bytes = ctypes.create_string_buffer(size)
        self.address, self.size = ctypes.addressof(self._bytes), size
        return True

    def view(self, dtype, shape):
        return np.frombuffer(self._bytes, dtype, math.prod(shape)).reshape(shape)

    def upload(self, size: int, stream: int) -> None: ...

    def download(self, size: int, stream: int) -> None: ...


class Context:
    """Gives each clip's first sample, and its padded length, for an embedding."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, profile: int, stream: int) -> None:
        self._card.profiles.append(profile)

    def set_input_shape(self, name: str, shape) -> None:
        self._shapes[name] = tuple(shape)

    def infer_shapes(self) -> None: ...

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        rows, samples = self._shapes["waveform"]
        frames = (samples - 400) // 320 + 1
        shapes = {"embedding": (rows, 2), "frame_embeddings": (rows, frames, 2)}
        return (shapes | {"frame_lengths": (rows,)} | self._shapes)[name]

    def update_device_memory_size_for_shapes(self) -> int:
        return 100 * math.prod(self._shapes["waveform"])

    def set_device_memory(self, address: int, size: int) -> None:
        assert size >= self.update_device_memory_size_for_shapes()

    def set_tensor_address(self, name: str, address: int) -> None:
        self._addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        self._card.runs.append(self._shapes["waveform"])
        if self._card.error is not None:
            raise self._card.error
        arrays = {name: self._array(name) for name in DTYPES}
        arrays["embedding"][:, 0] = arrays["waveform"][:, 0]
        arrays["embedding"][:, 1] = arrays["waveform"].shape[1]
        arrays["frame_embeddings"][:] = 1
        arrays["frame_lengths"][:] = (arrays["lengths"] - 400) // 320 + 1
        return self._card.works

    def _array(self, name: str):
        shape = self.get_tensor_shape(name)
        size = math.prod(shape) * np.dtype(DTYPES[name]).itemsize
        raw = (ctypes.c_uint8 * size).from_address(self._addresses[name])
        return np.frombuffer(raw, DTYPES[name]).reshape(shape)


class Card:
    """What the stand-ins share: what was asked of them, and whether they fail."""

    def __init__(self) -> None:
        self.profiles: list[int] = []
        self.runs: list[tuple[int, ...]] = []
        self.launches = 0
        self.error: Exception | None = None
        self.works = True
        self.loads = True

    # The engine
    num_optimization_profiles, num_io_tensors = 2, len(DTYPES)

    def get_tensor_name(self, index: int) -> str:
        return list(DTYPES)[index]

    def get_tensor_dtype(self, name: str):
        return DTYPES[name]

    def create_execution_context(self, strategy) -> Context:
        return Context(self)

    # The library
    def library(self) -> Library:
        runtime = SimpleNamespace(deserialize_cuda_engine=lambda _: self if self.loads else None)
        module = SimpleNamespace(
            ILogger=object,
            Runtime=lambda logger: runtime,
            nptype=lambda dtype: dtype,
            ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED=0),
        )
        return Library("tensorrt", "0", module)


@pytest.fixture
def card(monkeypatch) -> Card:
    card = Card()

    class Graph:
        @contextmanager
        def recording(self, stream):
            yield

        def launch(self, stream: int) -> None:
            card.launches += 1

        def free(self) -> None: ...

    fakes = {"use": lambda _: None, "new_stream": lambda: 1, "wait_for": lambda _: None}
    fakes |= {"Buffer": Memory, "DeviceMemory": Memory, "Graph": Graph}
    for name, fake in fakes.items():
        monkeypatch.setattr(cuda, name, fake)
    return card


@pytest.fixture
def backend(card: Card, tmp_path: Path) -> tensorrt.TensorRtBackend:
    return load(card, tmp_path)


def load(card: Card, directory: Path) -> tensorrt.TensorRtBackend:
    path = directory / "model.engine"
    path.write_bytes(b"engine")
    return tensorrt.TensorRtBackend(
        path, ENGINE, card.library(), precision="fp16", device=CARD, instances=1
    )


def clips(rows: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    waveforms = np.repeat(np.arange(rows, dtype=np.float32)[:, None] + 1, samples, axis=1)
    return waveforms, np.full(rows, samples)


def test_a_batch_is_padded_to_one_of_few_shapes(backend, card: Card) -> None:
    outputs = backend.run(*clips(3, 5000))
    assert card.runs == [(3, 8000)]
    np.testing.assert_array_equal(outputs.embedding, [[1, 8000], [2, 8000], [3, 8000]])
    np.testing.assert_array_equal(outputs.frame_lengths, [15, 15, 15])
    assert (outputs.logits, outputs.frame_embeddings) == (None, None)


def test_each_length_has_its_profile_and_each_profile_one_context(backend, card: Card) -> None:
    for samples in (5000, 9000, 5000, 16000):
        backend.run(*clips(1, samples))
    assert card.profiles == [0, 1]


def test_a_batch_of_too_many_rows_runs_in_parts(backend, card: Card) -> None:
    outputs = backend.run(*clips(5, 9000), frame_embeddings=True)
    assert list(dict.fromkeys(card.runs)) == [(2, 12000), (1, 12000)]
    assert outputs.embedding[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert outputs.frame_embeddings.shape == (5, (12000 - 400) // 320 + 1, 2)


def test_a_result_is_the_callers_own(backend) -> None:
    first = backend.run(*clips(2, 5000)).embedding
    backend.run(-clips(2, 5000)[0], clips(2, 5000)[1])
    assert first[:, 0].tolist() == [1, 2]


def test_a_shape_that_repeats_is_replayed(backend, card: Card) -> None:
    for _ in range(4):
        backend.run(*clips(1, 5000))
    # The first is plain; the second runs, is recorded, and replayed like all that follow.
    assert (len(card.runs), card.launches) == (3, 3)
    backend.run(*clips(2, 16000))
    backend.run(*clips(1, 5000))
    assert card.launches == 3  # buffers grew, so that the graph was dropped


@pytest.mark.parametrize("error", [OutOfMemoryError("no memory"), cuda.CudaError("lost")])
def test_a_lane_outlives_an_error(backend, card: Card, error: Exception) -> None:
    card.error = error
    for _ in range(2):
        with pytest.raises(type(error)):
            backend.run(*clips(1, 16000))
        card.runs.clear()
    card.error = None
    assert backend.run(*clips(1, 5000)).embedding[0, 0] == 1


def test_what_does_not_run_is_an_error(backend, card: Card) -> None:
    with pytest.raises(InferenceError, match="takes no clip of 16001 samples"):
        backend.run(*clips(1, 16001))
    card.works = False
    with pytest.raises(InferenceError, match="could not run"):
        backend.run(*clips(1, 5000))


def test_an_engine_that_is_refused_stops_the_start(card: Card, tmp_path: Path) -> None:
    card.loads = False
    with pytest.raises(LoadError, match="refuses the engine"):
        load(card, tmp_path)
