"""What the journal keeps of one recording, and its form as JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from emotion2vec_client import Frames, Recognition
from emotion2vec_client.readings import Alert, LabelReading, Stretch
from emotion2vec_client.results import Float32

from emotion2vec_archive.recording import Recording
from emotion2vec_archive.row import Per, Row, Utterances, failed, rows_of


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One recording that is done with."""

    recording: Recording
    rows: tuple[Row, ...]
    embeddings: tuple[Float32, ...] = ()
    """[D] each; one a row where they are kept."""
    frames: tuple[Frames, ...] = ()
    """One a channel or utterance where they are kept."""

    @property
    def has_failed(self) -> bool:
        return any(row.error_code is not None for row in self.rows)


def entry_of(
    recording: Recording,
    found: Recognition | Utterances,
    per: Per,
    *,
    embeddings: bool,
    frames: bool,
) -> Entry:
    """The entry of a recording that was scored; what was not asked for is left out."""
    if isinstance(found, Utterances):
        tracks: Sequence[Recognition] = [one.recognition for one in found.utterances]
    else:
        tracks = found.channels or (found,)
    return Entry(
        recording,
        tuple(rows_of(recording, found, per)),
        _there(track.embedding for track in tracks) if embeddings else (),
        tuple(track.frames for track in tracks if track.frames is not None) if frames else (),
    )


def failed_entry(recording: Recording, code: str, message: str) -> Entry:
    """The entry of a recording that could not be scored."""
    return Entry(recording, (failed(recording, code, message),))


def _there(arrays: Iterable[Float32 | None]) -> tuple[Float32, ...]:
    return tuple(array for array in arrays if array is not None)


def to_json(entry: Entry) -> dict[str, Any]:
    """An entry as `json.dumps` takes it."""
    shared = ("path", "bytes")
    fields: dict[str, Any] = {
        **asdict(entry.recording),
        "rows": [_without_defaults(row, shared) for row in entry.rows],
    }
    if entry.embeddings:
        fields["embeddings"] = [_packed(array) for array in entry.embeddings]
    if entry.frames:
        fields["frames"] = [
            {
                "labels": one.labels,
                "start": one.start,
                "hop": one.hop,
                "probabilities": _packed(one.probabilities),
            }
            for one in entry.frames
        ]
    return fields


def from_json(fields: dict[str, Any]) -> Entry:
    """The entry that `to_json` wrote."""
    recording = Recording(fields["path"], fields["size"], fields["version"])
    return Entry(
        recording,
        tuple(_row(recording, row) for row in fields["rows"]),
        tuple(_unpacked(text) for text in fields.get("embeddings", ())),
        tuple(map(_frames, fields.get("frames", ()))),
    )


def _without_defaults(row: Row, shared: Iterable[str]) -> dict[str, Any]:
    fields = asdict(row)
    return {
        name: value
        for name, value in fields.items()
        if name not in shared and value is not None and value not in ((), {})
    }


def _row(recording: Recording, fields: dict[str, Any]) -> Row:
    readings = {
        label: LabelReading(**reading) for label, reading in fields.pop("readings", {}).items()
    }
    return Row(
        path=recording.path,
        bytes=recording.size,
        readings=readings,
        alerts=tuple(Alert(**alert) for alert in fields.pop("alerts", ())),
        stretches=tuple(Stretch(**stretch) for stretch in fields.pop("stretches", ())),
        warnings=tuple((code, message) for code, message in fields.pop("warnings", ())),
        **fields,
    )


def _frames(fields: dict[str, Any]) -> Frames:
    labels = tuple(fields["labels"])
    probabilities = _unpacked(fields["probabilities"]).reshape(-1, len(labels))
    return Frames(labels, probabilities, 0, fields["start"], fields["hop"])


def _packed(array: Float32) -> str:
    return base64.b64encode(array.astype("<f4", copy=False).tobytes()).decode("ascii")


def _unpacked(text: str) -> Float32:
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32, copy=False)
