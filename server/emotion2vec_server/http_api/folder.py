"""The result as a folder of files in a ZIP archive: scores, frames, embedding, what was heard."""

from __future__ import annotations

import csv
import io
import wave
import zipfile
from collections.abc import Sequence

import numpy as np
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.recognition.result import Result

from emotion2vec_server.http_api.plot import plot
from emotion2vec_server.serving.answer import Answer
from emotion2vec_server.wire.json import to_json
from emotion2vec_server.wire.replies import linear16, recognize_message


def zip_folder(answer: Answer) -> bytes:
    """`result.json`, and what was asked for beside it; of channels apart, a folder each."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("result.json", to_json(recognize_message(answer, arrays=False)))
        if answer.result.channels:
            for number, channel in enumerate(answer.result.channels):
                _add(archive, f"channel_{number}/", channel, answer)
        else:
            _add(archive, "", answer.result, answer)
    return content.getvalue()


def _add(archive: zipfile.ZipFile, folder: str, result: Result, answer: Answer) -> None:
    manifest = answer.model.manifest
    hop = manifest.frame_hop / manifest.sample_rate
    if result.processed_audio is not None:
        archive.writestr(f"{folder}processed_audio.wav", _wav(result, manifest.sample_rate))
    if result.embedding is not None:
        archive.writestr(f"{folder}embedding.npy", _npy(result.embedding))
    if result.frame_embeddings is not None:
        archive.writestr(f"{folder}frame_embeddings.npy", _npy(result.frame_embeddings))
    if result.frames is not None and result.emotion is not None:
        names = result.emotion.classes.names
        archive.writestr(f"{folder}frames.csv", _frames_csv(result.frames, names, hop))
        picture = plot(result.frames, names, hop)
        if picture is not None:
            archive.writestr(f"{folder}plot.png", picture)


def _wav(result: Result, rate: int) -> bytes:
    assert result.processed_audio is not None  # noqa: S101
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(linear16(result.processed_audio)[0])
    return content.getvalue()


def _npy(values: Float32) -> bytes:
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    return content.getvalue()


def _frames_csv(frames: Float32, names: Sequence[str], hop: float) -> str:
    content = io.StringIO()
    rows = csv.writer(content)
    rows.writerow(["start_seconds", *names])
    for number, row in enumerate(frames.tolist()):
        rows.writerow([f"{number * hop:.2f}", *(f"{value:.6f}" for value in row)])
    return content.getvalue()
