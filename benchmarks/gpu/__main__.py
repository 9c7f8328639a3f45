"""The command `python -m benchmarks.gpu`."""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.contestants import CONTESTANTS, MissingError, load
from benchmarks.gpu.measure import closeness, matrix_rate, probabilities, shapes, timing
from benchmarks.gpu.subject import Subject

LENGTHS = (1.0, 3.0, 5.0, 10.0, 30.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
PACKAGES = (
    "torch",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "funasr",
)


def main() -> int:
    """Exit status 0: the file is written. What is missing is in it, and on stderr."""
    options = _parser().parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        subject = Subject(options.size, options.graphs or Path(scratch))
        results: dict[str, Any] = {"machine": _machine(options.device), "size": options.size}
        results["matrix_rate"] = rate = matrix_rate(options.device)
        flops = {seconds: subject.flops(seconds) for seconds in options.lengths}
        results["flops_of_a_clip"] = {str(seconds): value for seconds, value in flops.items()}
        exact = probabilities(load("torch fp32", subject, "cpu"))
        results["contestants"] = found = {}
        for name in options.only:
            if time.monotonic() - began > options.minutes * 60:
                found[name] = {"missing": "the time was up"}
                continue
            found[name] = _contestant(name, subject, options, flops, rate, exact)
            print(f"{name}: {found[name].get('missing', 'measured')}", file=sys.stderr, flush=True)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps(results, indent=1) + "\n")
    print(options.output)
    return 0


def _contestant(
    name: str,
    subject: Subject,
    options: argparse.Namespace,
    flops: dict[float, float],
    rate: float,
    exact: NDArray[np.float64],
) -> dict[str, Any]:
    # The module moves from device to device: the graphs are written first.
    subject.fp16  # noqa: B018
    try:
        run = load(name, subject, options.device)
        measured = asdict(closeness(probabilities(run), exact))
        timings = [
            asdict(timing(run, rows, seconds, flops[seconds], rate, options.device))
            for seconds, rows in shapes(options.lengths, options.batches, options.most_seconds)
        ]
    except MissingError as error:
        return {"missing": str(error)}
    except Exception as error:  # noqa: BLE001 - one that fails must not cost the others their turn
        return {"missing": f"failed: {type(error).__name__}: {error}"}
    finally:
        gc.collect()
        if options.device == "cuda":
            torch.cuda.empty_cache()
    return {"closeness": measured, "timings": timings}


def _machine(device: str) -> dict[str, Any]:
    card = torch.cuda.get_device_name() if device == "cuda" else platform.processor()
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "device": card,
        "cuda": torch.version.cuda if device == "cuda" else None,
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def _parser() -> argparse.ArgumentParser:
    today = datetime.now(UTC).date().isoformat()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", choices=("large", "base", "tiny"), default="large")
    parser.add_argument("--lengths", nargs="+", type=float, default=LENGTHS, metavar="SECONDS")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--most-seconds", type=float, default=240.0, help="of audio in one batch")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument(
        "--graphs", type=Path, metavar="DIR", help="where graphs are kept (default: thrown away)"
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="start no contestant after them")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("benchmarks/results") / today / "gpu.json",
        metavar="FILE",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
