"""One contestant of `archives` in a process of its own: a loop over files, as its users write it.

It says when it is ready, then answers each line, a JSON list of paths, with what the loop cost.
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

from emotion2vec_runtime import load

Recognize = Callable[[str], object]


def load_funasr(source: Path, threads: int) -> Recognize:
    import funasr

    model = funasr.AutoModel(
        model=str(source), device="cpu", ncpu=threads, disable_update=True, disable_pbar=True
    )
    return lambda path: model.generate(path, granularity="utterance", extract_embedding=False)


def load_runtime(source: Path, precision: str, threads: int) -> Recognize:
    wished: Any = precision
    model = load(source, precision=wished, threads=threads)
    return model.recognize


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("precision", help="of our bundle; funasr for a checkpoint with FunASR")
    parser.add_argument("threads", type=int)
    options = parser.parse_args()
    # What the libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if options.precision == "funasr":
        recognize = load_funasr(options.source, options.threads)
    else:
        recognize = load_runtime(options.source, options.precision, options.threads)
    print(json.dumps({}), file=answers)
    for line in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        for path in json.loads(line):
            recognize(path)
        cost = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
        print(json.dumps(cost), file=answers)


if __name__ == "__main__":
    main()
