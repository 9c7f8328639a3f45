"""What we need of CUDA's runtime: devices, streams, memory, graphs. The only file that imports it.

Handles and addresses are plain integers. A call that fails raises CudaError, or OutOfMemoryError
where memory was what failed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from cuda.bindings import runtime
from numpy.typing import NDArray

from emotion2vec_runtime.errors import InferenceError, OutOfMemoryError

Bytes = NDArray[np.uint8]


class CudaError(InferenceError):
    """A call of CUDA's runtime failed: the driver, the card, or how we use them."""


class Device(NamedTuple):
    """One card."""

    number: int
    name: str
    compute_capability: str
    """As "9.0"."""


def devices() -> list[Device]:
    """The cards that this process may use; none where there is no driver.

    CUDA_VISIBLE_DEVICES chooses among them, and orders them.
    """
    error, count = runtime.cudaGetDeviceCount()
    if error != runtime.cudaError_t.cudaSuccess:
        return []
    found = []
    for number in range(count):
        properties = _value(runtime.cudaGetDeviceProperties(number))
        name = bytes(properties.name).partition(b"\0")[0].decode()
        found.append(Device(number, name, f"{properties.major}.{properties.minor}"))
    return found


def use(device: int) -> None:
    """Makes what this thread does next happen on `device`."""
    _value(runtime.cudaSetDevice(device))


class Buffer:
    """Page-locked memory of the host and as much of the device, for one tensor.

    Only from such memory do copies run beside the device's work.
    """

    def __init__(self) -> None:
        self.address = 0
        """On the device."""
        self._host = 0
        self._size = 0

    def reserve(self, size: int) -> bool:
        """Makes room for `size` bytes; True where that moved the buffer, whose content is lost."""
        if size <= self._size:
            return False
        self.free()
        self.address = _value(runtime.cudaMalloc(size))
        self._host = _value(runtime.cudaMallocHost(size))
        self._size = size
        return True

    def view(self, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """The host's memory as an array; `reserve` ends its life."""
        count = int(np.prod(shape, dtype=np.int64))
        raw = (ctypes.c_uint8 * (count * np.dtype(dtype).itemsize)).from_address(self._host)
        return np.frombuffer(raw, dtype=dtype, count=count).reshape(shape)

    def upload(self, size: int, stream: int) -> None:
        kind = runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        _value(runtime.cudaMemcpyAsync(self.address, self._host, size, kind, stream))

    def download(self, size: int, stream: int) -> None:
        kind = runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        _value(runtime.cudaMemcpyAsync(self._host, self.address, size, kind, stream))

    def free(self) -> None:
        if self.address:
            _value(runtime.cudaFree(self.address))
        if self._host:
            _value(runtime.cudaFreeHost(self._host))
        self.address = self._host = self._size = 0


class DeviceMemory:
    """Memory of the device alone, which grows."""

    def __init__(self) -> None:
        self.address = 0
        self.size = 0

    def reserve(self, size: int) -> bool:
        """Makes room for `size` bytes; True where that moved the memory."""
        if size <= self.size:
            return False
        if self.address:
            _value(runtime.cudaFree(self.address))
            self.address = self.size = 0
        self.address = _value(runtime.cudaMalloc(size))
        self.size = size
        return True


def new_stream() -> int:
    """A stream that waits for no other."""
    return int(_value(runtime.cudaStreamCreateWithFlags(runtime.cudaStreamNonBlocking)))


def wait_for(stream: int) -> None:
    _value(runtime.cudaStreamSynchronize(stream))


class Graph:
    """Kernel launches, recorded once and launched as one."""

    def __init__(self) -> None:
        self._executable: Any = None

    @contextmanager
    def recording(self, stream: int) -> Iterator[None]:
        """What the block launches on `stream` is recorded, and not run."""
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        _value(runtime.cudaStreamBeginCapture(stream, mode))
        try:
            yield
        finally:
            graph = _value(runtime.cudaStreamEndCapture(stream))
        self._executable = _value(runtime.cudaGraphInstantiate(graph, 0))
        _value(runtime.cudaGraphDestroy(graph))

    def launch(self, stream: int) -> None:
        _value(runtime.cudaGraphLaunch(self._executable, stream))

    def free(self) -> None:
        if self._executable is not None:
            _value(runtime.cudaGraphExecDestroy(self._executable))
            self._executable = None


def _value(result: tuple[Any, ...]) -> Any:
    """What a call gives beside its status."""
    error, *values = result
    if error == runtime.cudaError_t.cudaErrorMemoryAllocation:
        raise OutOfMemoryError("CUDA has no memory left")
    if error != runtime.cudaError_t.cudaSuccess:
        raise CudaError(f"CUDA: {error.name}")
    return values[0] if values else None
