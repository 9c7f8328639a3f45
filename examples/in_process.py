"""Emotions of recordings without a server: python examples/in_process.py FILE..."""

import sys

from emotion2vec_runtime import load

model = load()  # The demo model; load("models/plus_large") for a real one.
for path in sys.argv[1:]:
    result = model.recognize(path)
    print(f"{path}: {result.emotion.label} {result.emotion.confidence:.0%}")
    for warning in result.warnings:
        print(f"  {warning.code.value}: {warning.message}")
