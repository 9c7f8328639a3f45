"""Writes the large model's checkpoint: `python -m benchmarks.large DIRECTORY`.

In a process of its own, which gives torch's memory back.
"""

from __future__ import annotations

import sys
from pathlib import Path

from emotion2vec_export.synthetic import Size, write_synthetic

LARGE = Size(embed_dim=1024, heads=16, prenet_depth=4, depth=8)
"""emotion2vec+ large's own: 162 million parameters."""
SEED = 0

if __name__ == "__main__":
    write_synthetic(Path(sys.argv[1]), LARGE, SEED)
