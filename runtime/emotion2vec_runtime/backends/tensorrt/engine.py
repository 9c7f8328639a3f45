"""A serialised TensorRT engine, run by TensorRT itself.

One engine on one card, and one instance for each batch that may run at once. An instance has a
stream, page-locked buffers, and a context for each optimisation profile, which share its scratch
memory: one runs at a time. Copies of one instance run beside the work of another. Scratch memory
grows to what the shapes that came really need, not to the corner of the largest profile.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from emotion2vec_runtime.arrays import Float32, Int64
from emotion2vec_runtime.backends.base import Outputs
from emotion2vec_runtime.backends.tensorrt import cuda
from emotion2vec_runtime.backends.tensorrt.engine_fit import choose_profile, most_rows, round_up
from emotion2vec_runtime.backends.tensorrt.graph_cache import GraphCache
from emotion2vec_runtime.backends.tensorrt.library import Library
from emotion2vec_runtime.bundle import Engine, Precision
from emotion2vec_runtime.errors import InferenceError, LoadError, OutOfMemoryError

_log = logging.getLogger(__name__)


class TensorRtBackend:
    """One engine on one card."""

    def __init__(
        self,
        path: Path,
        engine: Engine,
        library: Library,
        *,
        precision: Precision,
        device: cuda.Device,
        instances: int,
    ) -> None:
        """Loads the engine at `path`, which fits this machine (`engine_fit.misfit`).

        Args:
            path: the serialised engine.
            engine: what its manifest says.
            library: what it was built by.
            precision: what its manifest says.
            device: the card.
            instances: batches that may run at once.

        Raises:
            LoadError: TensorRT refuses it, or the card has no room for it.
        """
        self._profiles = engine.profiles
        self._precision = precision
        self._idle: SimpleQueue[_Instance] = SimpleQueue()
        try:
            loaded = _load(path.read_bytes(), library, device)
            for _ in range(instances):
                self._idle.put(_Instance(loaded, library, device))
        except (cuda.CudaError, OutOfMemoryError) as error:
            raise LoadError(f"can't load {path}: {error}") from error

    @property
    def provider(self) -> str:
        return "tensorrt"

    @property
    def precision(self) -> str:
        return self._precision

    @property
    def cards(self) -> int:
        return 1

    def run(self, waveforms: Float32, lengths: Int64, *, frame_embeddings: bool = False) -> Outputs:
        """See `Backend.run`. A batch of more rows than the engine takes runs in parts."""
        rows = most_rows(self._profiles, waveforms.shape[1])
        if rows == 0:
            raise InferenceError(f"the engine takes no clip of {waveforms.shape[1]} samples")
        instance = self._idle.get()
        try:
            parts = [
                instance.run(
                    self._profiles,
                    waveforms[at : at + rows],
                    lengths[at : at + rows],
                    frame_embeddings,
                )
                for at in range(0, len(waveforms), rows)
            ]
        finally:
            self._idle.put(instance)
        return parts[0] if len(parts) == 1 else _joined(parts)


class _Instance:
    """What one batch at a time runs with."""

    def __init__(self, engine: Any, library: Library, device: cuda.Device) -> None:
        self._engine = engine
        self._device = device.number
        cuda.use(device.number)
        self._stream = cuda.new_stream()
        self._contexts: list[Any] = [None] * engine.num_optimization_profiles
        self._strategy = library.module.ExecutionContextAllocationStrategy.USER_MANAGED
        self._dtype = library.module.nptype
        self._scratch = cuda.DeviceMemory()
        tensors = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self._buffers = {name: cuda.Buffer() for name in tensors}
        self._outputs = [name for name in tensors if name not in ("waveform", "lengths")]
        self._context: Any = None
        # TensorRT-RTX compiles kernels while it runs: what is recorded could be what is replaced.
        self._records = library.name == "tensorrt"
        self._graphs = GraphCache(self._record)

    def run(
        self, profiles: Any, waveforms: Float32, lengths: Int64, frame_embeddings: bool
    ) -> Outputs:
        cuda.use(self._device)
        samples = round_up(waveforms.shape[1], profiles)
        profile = choose_profile(profiles, len(waveforms), samples)
        if profile is None:
            raise InferenceError(f"no profile of the engine takes {len(waveforms)} x {samples}")
        shape = (len(waveforms), samples)
        shapes = self._set_up(profile, shape)
        padded = self._buffers["waveform"].view(np.float32, shape)
        padded[:, : waveforms.shape[1]] = waveforms
        padded[:, waveforms.shape[1] :] = 0.0
        self._buffers["lengths"].view(np.int64, (len(lengths),))[:] = lengths
        for name in ("waveform", "lengths"):
            self._buffers[name].upload(self._bytes(name, shapes[name]), self._stream)
        self._compute((profile, *shape))
        wanted = [n for n in self._outputs if frame_embeddings or n != "frame_embeddings"]
        for name in wanted:
            self._buffers[name].download(self._bytes(name, shapes[name]), self._stream)
        cuda.wait_for(self._stream)
        values = {name: self._view(name, shapes[name]).copy() for name in wanted}
        return Outputs(
            logits=values.get("logits"),
            embedding=values["embedding"],
            frame_logits=values.get("frame_logits"),
            frame_embeddings=values.get("frame_embeddings"),
            frame_lengths=values["frame_lengths"],
        )

    def _set_up(self, profile: int, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """Makes the profile's context ready for a shape; returns the shapes of all tensors."""
        if self._contexts[profile] is None:
            context = self._engine.create_execution_context(self._strategy)
            if context is None:
                raise OutOfMemoryError("TensorRT could not create an execution context")
            context.set_optimization_profile_async(profile, self._stream)
            self._contexts[profile] = context
        self._context = self._contexts[profile]
        self._context.set_input_shape("waveform", shape)
        self._context.set_input_shape("lengths", shape[:1])
        self._context.infer_shapes()
        shapes = {name: tuple(self._context.get_tensor_shape(name)) for name in self._buffers}
        moved = [
            buffer.reserve(self._bytes(name, shapes[name]))
            for name, buffer in self._buffers.items()
        ]
        moved.append(self._scratch.reserve(self._context.update_device_memory_size_for_shapes()))
        if any(moved):
            self._graphs.clear()
        self._context.set_device_memory(self._scratch.address, self._scratch.size)
        for name, buffer in self._buffers.items():
            self._context.set_tensor_address(name, buffer.address)
        return shapes

    def _compute(self, key: tuple[int, ...]) -> None:
        graph = self._graph(key) if self._records else None
        if graph is not None:
            graph.launch(self._stream)
        else:
            self._enqueue()

    def _graph(self, key: tuple[int, ...]) -> cuda.Graph | None:
        try:
            return self._graphs.get(key)
        except cuda.CudaError as error:
            _log.warning(f"this engine can't be recorded as a CUDA graph: {error}")
            self._records = False
            return None

    def _record(self) -> cuda.Graph:
        # TensorRT puts off work for a new shape until it runs, and that work can't be recorded.
        self._enqueue()
        graph = cuda.Graph()
        with graph.recording(self._stream):
            self._enqueue()
        return graph

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._stream):
            raise InferenceError("TensorRT could not run the engine; the server's log says why")

    def _bytes(self, name: str, shape: tuple[int, ...]) -> int:
        itemsize: int = np.dtype(self._dtype(self._engine.get_tensor_dtype(name))).itemsize
        return math.prod(shape) * itemsize

    def _view(self, name: str, shape: tuple[int, ...]) -> Any:
        return self._buffers[name].view(self._dtype(self._engine.get_tensor_dtype(name)), shape)


def _load(content: bytes, library: Library, device: cuda.Device) -> Any:
    """The engine on one card."""
    cuda.use(device.number)
    said: list[str] = []
    runtime = library.module.Runtime(library.logger(lambda level, text: _heard(said, level, text)))
    engine = runtime.deserialize_cuda_engine(content)
    if engine is None:
        raise LoadError(
            f"{library.name} refuses the engine: {said[0] if said else 'it does not say why'}"
        )
    return engine


def _heard(said: list[str], level: str, text: str) -> None:
    if level == "error":
        said.append(text)
    _log.log(logging.WARNING if level != "info" else logging.DEBUG, f"TensorRT: {text}")


def _joined(parts: list[Outputs]) -> Outputs:
    def column(values: Iterable[Any]) -> Any:
        found = [value for value in values if value is not None]
        return np.concatenate(found) if found else None

    return Outputs(*map(column, zip(*parts, strict=True)))
