"""One contestant of `latency` in a process of its own, driven by lines of JSON.

It says when it is ready, then answers each request line with what the call cost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import process
from benchmarks.speech import SAMPLE_RATE, Int16, as_floats, cut, recordings

Recognize = Callable[[NDArray[np.float32], bool], list[float]]
"""Samples [S] at 16 kHz, whether frame scores are wanted -> class probabilities."""


def speech_of(seconds: float, speech: Int16) -> Int16:
    """The clip of that length: the same in every process."""
    return cut(speech, 0, round(seconds * SAMPLE_RATE))


def load_funasr(source: Path, threads: int) -> Recognize:
    """FunASR as its users call it."""
    import funasr

    model = funasr.AutoModel(
        model=str(source), device="cpu", ncpu=threads, disable_update=True, disable_pbar=True
    )

    def recognize(samples: NDArray[np.float32], frames: bool) -> list[float]:
        granularity = "frame" if frames else "utterance"
        result = model.generate(samples, granularity=granularity, extract_embedding=True)[0]
        return [float(score) for score in result["scores"]]

    return recognize


def load_bundle_backend(source: Path, precision: str, threads: int) -> Recognize:
    """Our bundle, in process, through the backend that the server uses."""
    from emotion2vec_runtime.backends.select import load_backend
    from emotion2vec_runtime.bundle import load_bundle

    wished: Any = precision
    backend = load_backend(load_bundle(source), precision=wished, provider="cpu", threads=threads)

    def recognize(samples: NDArray[np.float32], _frames: bool) -> list[float]:
        # Frame scores come with every run, wanted or not.
        outputs = backend.run(samples[None], np.array([len(samples)]))
        assert outputs.logits is not None
        exponentials = np.exp(outputs.logits[0] - outputs.logits[0].max())
        scores: list[float] = (exponentials / exponentials.sum()).tolist()
        return scores

    return recognize


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("contestant", choices=("funasr", "backend"))
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    # What the libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    speech = recordings()
    if options.contestant == "funasr":
        recognize = load_funasr(options.source, options.threads)
    else:
        recognize = load_bundle_backend(options.source, options.precision, options.threads)
    print(json.dumps({"resident": process.resident_bytes(os.getpid())}), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        samples = as_floats(speech_of(request["length"], speech))
        process.forget_peak(os.getpid())
        began, cpu = time.perf_counter(), time.process_time()
        scores = recognize(samples, request["frames"])
        cost = {
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu,
            "peak": process.peak_resident_bytes(os.getpid()),
            "scores": scores,
        }
        print(json.dumps(cost), file=answers)


if __name__ == "__main__":
    main()
