"""Recognitions as text: bars for one file, a table for several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from emotion2vec_client.command.terminal import Terminal, shown
from emotion2vec_client.readings import read, stretches
from emotion2vec_client.results import (
    Emotion,
    Float32,
    Recognition,
    RecognitionWarning,
    WarningCode,
)

_LABEL = 10
_SHOWN_VALUES = 4


# What is true of all recordings from one source or of one model is told once for all of them.
_TOLD_ONCE = (WarningCode.DOWNMIXED, WarningCode.UPSAMPLED, WarningCode.EMBEDDING_ONLY)


class Report:
    """Prints results one by one, in a layout chosen for all of them; `close` after the last."""

    def __init__(self, terminal: Terminal, names: Sequence[str]) -> None:
        self._terminal = terminal
        self._single = len(names) == 1
        self._width = max(map(len, names), default=0)
        self._told_once: Counter[RecognitionWarning] = Counter()

    def close(self) -> None:
        """Prints what is told once, with how many files it is about."""
        for warning, count in sorted(self._told_once.items(), key=lambda item: item[0].code):
            files = "1 file" if count == 1 else f"{count} files"
            self._terminal.print(f"{warning.code.value} ({files}): {warning.message}")

    def show(
        self,
        name: str,
        recognition: Recognition,
        written: Sequence[Path],
        *,
        embedding: bool,
        frame_embeddings: bool,
    ) -> None:
        lines = self._bars if self._single else self._row
        tracks = {f"{name}, channel {n}": track for n, track in enumerate(recognition.channels)}
        for label, track in (tracks or {name: recognition}).items():
            for line in lines(label, track):
                self._terminal.print(line)
            details = self._details(track, embedding=embedding, frame_embeddings=frame_embeddings)
            for line in details:
                self._terminal.print(f"  {line}")
        if tracks:
            for line in self._warnings(recognition):
                self._terminal.print(f"  {line}")
        for place in written:
            self._terminal.print(f"  written to {shown(place)}")

    def _bars(self, name: str, recognition: Recognition) -> Iterator[str]:
        metadata = recognition.metadata
        about = f"{metadata.audio_duration:.1f} s, {metadata.model} {metadata.precision}"
        yield f"{self._terminal.bold(name)}  {self._terminal.faint(about)}"
        if recognition.emotion is None:
            yield f"  no scores: {metadata.model} has no classifier"
        else:
            yield from self._terminal.bars(recognition.emotion.scores)

    def _row(self, name: str, recognition: Recognition) -> Iterator[str]:
        name = f"{name:<{self._width}}"
        seconds = f"{recognition.metadata.audio_duration:6.1f} s"
        yield f"{name}  {seconds}  {self._summary(recognition.emotion)}".rstrip()

    def _summary(self, emotion: Emotion | None) -> str:
        if emotion is None:
            return "no scores"
        names = [score.label for score in emotion.scores]
        first = self._terminal.paint(
            f"{emotion.label:<{_LABEL}}", emotion.label, names.index(emotion.label)
        )
        text = f"{first} {emotion.confidence:6.1%}"
        if len(emotion.scores) < 2:
            return text
        second = emotion.ranked[1]
        return f"{text}  {self._terminal.faint(f'{second.label} {second.probability:.1%}')}"

    def _details(
        self, recognition: Recognition, *, embedding: bool, frame_embeddings: bool
    ) -> Iterator[str]:
        for segment in recognition.segments:
            yield f"{segment.start:6.1f} - {segment.end:.1f} s  {self._summary(segment.emotion)}"
        if recognition.frames is not None:
            for stretch in stretches(recognition.frames):
                index = recognition.frames.labels.index(stretch.label)
                label = self._terminal.paint(f"{stretch.label:<{_LABEL}}", stretch.label, index)
                span = f"{stretch.start:6.2f} - {stretch.end:.2f} s"
                yield f"{span}  {label} {stretch.probability:6.1%}"
        if embedding and recognition.embedding is not None:
            yield _describe_embedding(recognition.embedding)
        if frame_embeddings and recognition.frame_embeddings is not None:
            count, size = recognition.frame_embeddings.shape
            yield f"{count} frame embeddings of {size} values"
        yield from self._warnings(recognition)
        yield from read(recognition).sentences()

    def _warnings(self, recognition: Recognition) -> Iterator[str]:
        for warning in recognition.warnings:
            if warning.code in _TOLD_ONCE and not self._single:
                self._told_once[warning] += 1
            else:
                yield f"{warning.code.value}: {warning.message}"


def _describe_embedding(embedding: Float32) -> str:
    values = ", ".join(f"{value:.3f}" for value in embedding[:_SHOWN_VALUES])
    norm = float(np.linalg.norm(embedding))
    return f"embedding of {len(embedding)} values, norm {norm:.3f}: {values}, ..."
