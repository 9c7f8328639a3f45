"""Decodes spoiled recordings of every format, and tells what came of them.

    .venv/bin/python -m scripts.fuzz_audio --count 1000000 [--seed 1] [--keep DIRECTORY]

A recording that a decoder died of, or that lost most of its audio without a word, is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections import Counter
from pathlib import Path

from emotion2vec_runtime.audio import AudioSpec, DecodedAudio, Encoding, decode
from emotion2vec_runtime.errors import RequestError

from tests.runtime.audio.mutations import Mutator, seeds

SECONDS = 0.25
_SLOW_SECONDS = 5.0
_SILENTLY_LOST = 0.5
"""Share of a recording's length below which it counts as lost, unless something is said."""
_STEP = 10_000
_EXPECTED = ("heard", "heard, with losses said", "refused")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    mutator = Mutator(seeds(SECONDS), arguments.seed)
    outcomes: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(1, arguments.count + 1):
        name, data = mutator.next()
        outcome = try_to_decode(data)
        outcomes[outcome] += 1
        if outcome not in _EXPECTED:
            outcomes[f"{outcome}: {name}"] += 1
            digest = hashlib.sha256(data).hexdigest()[:12]
            (arguments.keep / f"{outcome.replace(' ', '-')}-{name}-{digest}").write_bytes(data)
        if number % _STEP == 0 or number == arguments.count:
            rate = number / (time.monotonic() - began)
            print(f"{number} at {rate:.0f} a second: {dict(outcomes)}", flush=True)


def try_to_decode(data: bytes) -> str:
    """What came of it, in a word or two."""
    began = time.monotonic()
    try:
        audio = decode(data, AudioSpec(Encoding.DETECT), 30)
    except RequestError as error:
        if "made its decoder fail" in str(error):
            return "died"
        outcome = "refused"
    except Exception as error:  # noqa: BLE001 - any other is a find
        return f"internal error: {error!r}"
    else:
        outcome = judge(audio)
    return "slow" if time.monotonic() - began > _SLOW_SECONDS else outcome


def judge(audio: DecodedAudio) -> str:
    if audio.losses:
        return "heard, with losses said"
    return "lost in silence" if audio.seconds < _SILENTLY_LOST * SECONDS else "heard"


if __name__ == "__main__":
    main()
