"""The directory of results of one run, as the users of the web page know it."""

from __future__ import annotations

import os
import wave
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion2vec_client.command.terminal import as_json
from emotion2vec_client.readings import read
from emotion2vec_client.results import Recognition

_PROCESSED_RATE = 16000


class OutputDirectory:
    """`PARENT/outputs_YYYYMMDD_HHMMSS/`, with a folder for each file if there are several.

    The folders lie side by side, unless files in two places have one name: then they lie as the
    files do.
    """

    def __init__(self, parent: Path, now: datetime, sources: Sequence[Path]) -> None:
        """Makes the directory for the results of `sources`.

        Raises:
            OSError: it can't be made.
        """
        parent.mkdir(parents=True, exist_ok=True)
        self.path = _make_new(parent, f"outputs_{now:%Y%m%d_%H%M%S}")
        self._several = len(sources) > 1
        self._top = _top_of_tree(sources)

    def folder(self, source: Path) -> Path:
        """Where the results of `source` go: a folder that no other file of the run has."""
        if not self._several:
            return self.path
        parent = self.path
        if self._top is not None:
            parent /= _place(source).relative_to(self._top)
            parent.mkdir(parents=True, exist_ok=True)
        return _make_new(parent, source.stem or "audio")

    def discard_if_empty(self) -> None:
        """Leaves nothing behind of a run in which every file failed."""
        if not any(self.path.iterdir()):
            self.path.rmdir()


def write_results(folder: Path, result: dict[str, Any], recognition: Recognition) -> None:
    """Writes `result.json`, and `processed_audio.wav` and `embedding.npy` where there are any; of
    channels below `channel_0`, `channel_1`, ...

    Raises:
        OSError: a file can't be written.
    """
    # One line a key: with an indent throughout, the frames of a minute would be 30,000 lines.
    lines = (f"  {as_json(key)}: {as_json(value)}" for key, value in result.items())
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (folder / "result.json").write_text(text, encoding="utf-8")
    _write_arrays(folder, recognition)
    for number, channel in enumerate(recognition.channels):
        place = folder / f"channel_{number}"
        place.mkdir()
        _write_arrays(place, channel)


def _write_arrays(folder: Path, recognition: Recognition) -> None:
    if recognition.processed_audio is not None:
        _write_wav(folder / "processed_audio.wav", recognition.processed_audio)
    if recognition.embedding is not None:
        np.save(folder / "embedding.npy", recognition.embedding)
    if recognition.frame_embeddings is not None:
        np.save(folder / "frame_embeddings.npy", recognition.frame_embeddings)


def describe(source: str, recognition: Recognition, now: datetime) -> dict[str, Any]:
    """A result for `result.json` and `--json`; first the keys that the web page's users know."""
    fields = recognition.to_dict()
    known = {
        "filename": source,
        "emotion": fields.pop("emotion"),
        "confidence": fields.pop("confidence", None),
        "scores": fields.pop("scores", None),
        "granularity": "frame" if _has_frames(recognition) else "utterance",
        "timestamp": now.astimezone().isoformat(timespec="seconds"),
    }
    del fields["request_id"]
    return {**known, **fields, "readings": read(recognition).to_dict()}


def _has_frames(recognition: Recognition) -> bool:
    tracks = recognition.channels or (recognition,)
    return any(track.frames is not None for track in tracks)


def _place(source: Path) -> Path:
    """The absolute directory of a file, without "..", links not followed."""
    return Path(os.path.abspath(source)).parent  # noqa: PTH100, Path.resolve follows links


def _top_of_tree(sources: Sequence[Path]) -> Path | None:
    """The directory that all sources lie below, if two in different places have one name."""
    places: dict[str, set[Path]] = {}
    for source in sources:
        places.setdefault(source.stem, set()).add(_place(source))
    if all(len(found) == 1 for found in places.values()):
        return None
    return Path(os.path.commonpath(set().union(*places.values())))


def _make_new(parent: Path, name: str) -> Path:
    """A new directory `name`, or `name_2`, `name_3`, ... where others have it already."""
    path = parent / name
    number = 1
    while True:
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
            path = parent / f"{name}_{number}"
        else:
            return path


def _write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_PROCESSED_RATE)
        file.writeframes(samples.astype("<i2", copy=False).tobytes())
