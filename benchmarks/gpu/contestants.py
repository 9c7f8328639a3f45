"""The forms of the model that are compared. Each loads, or says why it can't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.subject import Subject

Run = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32]]
"""Waveforms [B, S] and lengths [B] in, logits [B, C] out, all of them on the host."""


class MissingError(Exception):
    """This machine has not what a contestant needs."""


def load(name: str, subject: Subject, device: str) -> Run:
    """One of CONTESTANTS.

    Raises:
        MissingError: a library, a card, or support of it.
    """
    try:
        return CONTESTANTS[name](subject, device)
    except (ImportError, OSError) as error:
        raise MissingError(f"{type(error).__name__}: {error}") from error


def _torch(subject: Subject, device: str, dtype: torch.dtype) -> Run:
    """Our module; in fp16 by autocast, as PyTorch users do."""
    model = subject.model.to(device)

    def run(waveforms: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        half = dtype == torch.float16
        with torch.inference_mode(), torch.autocast(device, dtype, enabled=half):
            outputs = model(
                torch.from_numpy(waveforms).to(device), torch.from_numpy(lengths).to(device)
            )
        assert outputs.logits is not None
        return np.asarray(outputs.logits.float().cpu())

    return run


def _funasr(subject: Subject, device: str) -> Run:
    """FunASR as its users call it: clip by clip."""
    import funasr

    model = funasr.AutoModel(
        model=str(subject.checkpoint()), device=device, disable_update=True, disable_pbar=True
    )

    def run(waveforms: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        clips = [row[:length] for row, length in zip(waveforms, lengths, strict=True)]
        results = [model.generate(clip, granularity="utterance")[0]["scores"] for clip in clips]
        # Logits but for a constant.
        return np.log(np.maximum(np.array(results, np.float32), 1e-30))

    return run


def _onnxruntime(subject: Subject, device: str, precision: Any) -> Run:
    from emotion2vec_runtime.backends.onnx_runtime import OnnxRuntimeBackend, available_providers
    from emotion2vec_runtime.backends.providers import provider_named
    from emotion2vec_runtime.errors import LoadError

    provider = provider_named(device)
    if provider not in available_providers():
        raise MissingError("the installed onnxruntime has no CUDA provider")
    graph = subject.flat if precision == "fp32" else subject.fp16
    threads = torch.get_num_threads()
    try:
        backend = OnnxRuntimeBackend(graph, precision=precision, provider=provider, threads=threads)
    except LoadError as error:
        raise MissingError(str(error)) from error
    return _of(backend)


def _tensorrt(subject: Subject, device: str) -> Run:
    """The engine that the exporter builds, in the backend that the server runs."""
    from emotion2vec_export.engine import build_engine
    from emotion2vec_export.errors import ExportError
    from emotion2vec_runtime.backends.tensorrt import cuda
    from emotion2vec_runtime.backends.tensorrt.engine import TensorRtBackend
    from emotion2vec_runtime.backends.tensorrt.library import installed_libraries
    from emotion2vec_runtime.errors import LoadError

    if device == "cpu" or not cuda.devices():
        raise MissingError("CUDA finds no card")
    try:
        path, engine = build_engine(
            subject.fp16, subject.directory, frame_field=400, onnx_sha256="0" * 64, say=print
        )
        backend = TensorRtBackend(
            path,
            engine,
            installed_libraries()[engine.library],
            precision="fp16",
            device=cuda.devices()[0],
            instances=1,
        )
    except (ExportError, LoadError) as error:
        raise MissingError(str(error)) from error
    return _of(backend)


def _of(backend: Any) -> Run:
    def run(waveforms: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = backend.run(waveforms, lengths).logits
        return logits

    return run


CONTESTANTS: dict[str, Callable[[Subject, str], Run]] = {
    "torch fp32": lambda subject, device: _torch(subject, device, torch.float32),
    "torch fp16": lambda subject, device: _torch(subject, device, torch.float16),
    "funasr": _funasr,
    "onnxruntime fp32": lambda subject, device: _onnxruntime(subject, device, "fp32"),
    "onnxruntime fp16": lambda subject, device: _onnxruntime(subject, device, "fp16"),
    "tensorrt fp16": _tensorrt,
}
