"""Labelled clips as FLAC files with an index beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from emotion2vec_export.demo.corpus import Clip
from emotion2vec_export.demo.effects import SAMPLE_RATE

_INDEX = "index.json"


def write_recordings(clips: Iterable[Clip], directory: Path) -> None:
    """Writes each clip as `<label>-<number>.flac` (16 bit) and `index.json`: file name to label."""
    directory.mkdir(parents=True, exist_ok=True)
    index: dict[str, str] = {}
    for clip in clips:
        number = sum(label == clip.label for label in index.values())
        name = f"{clip.label}-{number}.flac"
        write_flac(directory / name, clip)
        index[name] = clip.label
    (directory / _INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def read_recordings(directory: Path) -> Iterator[Clip]:
    """The clips that `write_recordings` left in `directory`, in its order."""
    index = json.loads((directory / _INDEX).read_text(encoding="utf-8"))
    for name, label in index.items():
        samples, _ = soundfile.read(directory / name, dtype="float32")
        yield Clip(np.ascontiguousarray(samples), label)


def write_flac(path: Path, clip: Clip) -> None:
    """One clip as 16-bit FLAC."""
    soundfile.write(path, clip.samples, SAMPLE_RATE, subtype="PCM_16")
