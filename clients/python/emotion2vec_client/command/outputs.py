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


INDEX = "index.jsonl"


class OutputDirectory:
    """`PARENT/outputs_YYYYMMDD_HHMMSS/`; if there are several files, with a folder for each, which
    lie in the tree that the files lie in, and an index of them: a line of JSON a file."""

    def __init__(self, parent: Path, now: datetime, sources: Sequence[Path]) -> None:
        """Makes the directory for the results of `sources`.

        Raises:
            OSError: it can't be made.
        """
        parent.mkdir(parents=True, exist_ok=True)
        self.path = _make_new(parent, f"outputs_{now:%Y%m%d_%H%M%S}")
        self._several = len(sources) > 1
        self._top = _top_of_tree(sources)
        self._has_results = False

    def folder(self, source: Path) -> Path:
        """Where the results of `source` go: a folder that no other file of the run has."""
        self._has_results = True
        if not self._several:
            return self.path
        parent = self.path
        if self._top is not None:
            parent /= _place(source).relative_to(self._top)
            parent.mkdir(parents=True, exist_ok=True)
        return _make_new(parent, source.stem or "audio")

    def note(self, name: str, fields: dict[str, Any], folder: Path | None = None) -> None:
        """Adds a file to the index, where there is one.

        Args:
            name: of the file, as it was given.
            fields: what there is to say about it.
            folder: of its results, if it has any.
        """
        if not self._several:
            return
        place = None if folder is None else folder.relative_to(self.path).as_posix()
        with (self.path / INDEX).open("a", encoding="utf-8") as file:
            file.write(as_json({"filename": name, "folder": place, **fields}) + "\n")

    def discard_if_empty(self) -> None:
        """Leaves nothing behind of a run in which every file failed."""
        if not self._has_results:
            (self.path / INDEX).unlink(missing_ok=True)
            self.path.rmdir()


def write_results(
    folder: Path, result: dict[str, Any], recognition: Recognition, *, processed_audio: bool
) -> None:
    """Writes `result.json`, and `embedding.npy`, `frame_embeddings.npy` and `processed_audio.wav`
    where there are any and, of the last, it is wanted; of channels below `channel_0`,
    `channel_1`, ...

    Raises:
        OSError: a file can't be written.
    """
    # One line a key: with an indent throughout, the frames of a minute would be 30,000 lines.
    lines = (f"  {as_json(key)}: {as_json(value)}" for key, value in result.items())
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (folder / "result.json").write_text(text, encoding="utf-8")
    _write_arrays(folder, recognition, processed_audio=processed_audio)
    for number, channel in enumerate(recognition.channels):
        place = folder / f"channel_{number}"
        place.mkdir()
        _write_arrays(place, channel, processed_audio=processed_audio)


def _write_arrays(folder: Path, recognition: Recognition, *, processed_audio: bool) -> None:
    if processed_audio and recognition.processed_audio is not None:
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
    """The directory that all sources lie below; None where there is none, as on two drives."""
    try:
        return Path(os.path.commonpath([_place(source) for source in sources]))
    except ValueError:
        return None


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
