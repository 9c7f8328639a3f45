"""Writes the large model's checkpoint: `python -m benchmarks.large DIRECTORY`.

In a process of its own, which gives torch's memory back.
"""

from __future__ import annotations

import sys
from pathlib import Path

from emotion2vec_export.synthetic import SIZES, write_synthetic

SEED = 0

if __name__ == "__main__":
    write_synthetic(Path(sys.argv[1]), SIZES["large"], SEED)
