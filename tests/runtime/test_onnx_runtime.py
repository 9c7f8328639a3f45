"""The backend on a CPU: several callers at once, and memory that follows what runs."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
import pytest
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import load_bundle
from emotion2vec_runtime.errors import OutOfMemoryError
from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

RESIDENT_AFTER = """
import sys
from pathlib import Path
import numpy as np
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import load_bundle
from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE

def anonymous() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))

backend = load_backend(load_bundle(DEMO_BUNDLE), precision="fp32", provider="cpu", threads=1)
def run(rows: int, seconds: int) -> None:
    waveforms = np.zeros((rows, 16000 * seconds), np.float32)
    backend.run(waveforms, np.full(rows, waveforms.shape[1]))
run(1, 1)
before = anonymous()
run(16, 30)
print((anonymous() - before) >> 10)
"""


def test_callers_at_once_get_what_each_gets_alone() -> None:
    backend = load_backend(load_bundle(DEMO_BUNDLE), precision="fp32", provider="cpu", threads=2)
    random = np.random.default_rng(0)
    clips = [random.standard_normal((1, 4000 + 700 * i)).astype(np.float32) for i in range(24)]

    def embed(clip: np.ndarray) -> np.ndarray:
        return backend.run(clip, np.array([clip.shape[1]])).embedding

    with ThreadPoolExecutor(4) as callers:
        together = list(callers.map(embed, clips))
    for clip, embedding in zip(clips, together, strict=True):
        np.testing.assert_allclose(embedding, embed(clip), atol=1e-5)


def test_memory_of_a_large_batch_is_given_back() -> None:
    """8 minutes of audio need more than 100 MiB while they run."""
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT_AFTER], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 60


@pytest.mark.parametrize(
    "words",
    [
        "BFCArena: Available memory of 16 is smaller than requested bytes of 4096",
        "bfc_arena.cc:401 Failed to allocate memory for requested buffer of size 4096",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
        "CUDNN failure 2: CUDNN_STATUS_ALLOC_FAILED ; GPU=0",
        "CUDA failure 2: out of memory ; GPU=0",
        "std::bad_alloc",
    ],
)
def test_a_batch_that_does_not_fit_is_known_by_what_the_library_says(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no card here: the libraries' own words stand for it."""
    backend = load_backend(load_bundle(DEMO_BUNDLE), precision="fp32", provider="cpu", threads=1)

    def fail(*_: object) -> None:
        raise RuntimeException(words)

    monkeypatch.setattr(ort.InferenceSession, "run", fail)
    with pytest.raises(OutOfMemoryError):
        backend.run(np.zeros((1, 16000), np.float32), np.array([16000]))
