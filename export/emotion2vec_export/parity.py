"""Is the exported model the same model? ONNX Runtime against FunASR, before a bundle is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from emotion2vec_runtime.backends.base import Backend, Outputs
from emotion2vec_runtime.bundle import Parity, ParityRow
from emotion2vec_runtime.recognition.long_audio import MAX_WINDOW_SECONDS
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from emotion2vec_export.bounds import Bounds
from emotion2vec_export.errors import UnfaithfulError
from emotion2vec_export.recordings import RATE, TO_JUDGE, noisy, recording, speech, telephone
from emotion2vec_export.reference import FunAsr, Result

_BATCH_SECONDS = (1.0, 3.0, 5.0, 10.0)
_WORST = 3
"""Rows that a refusal keeps."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One piece of test audio: [S] samples at 16 kHz."""

    case: str
    samples: NDArray[np.float32]
    decides: bool = True
    """False for what holds no speech: see `ParityRow.decides`."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


def speech_like(samples: int, seed: int) -> NDArray[np.float32]:
    """A gliding, syllable-modulated harmonic tone in noise: varies over time as speech does."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    pitch = 120 + 60 * rng.random() + 30 * np.sin(2 * np.pi * (0.4 + rng.random()) * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * (2 + 2 * rng.random()) * time), 0, 1) ** 0.5
    return (0.1 * voice * syllables + 0.01 * rng.standard_normal(samples)).astype(np.float32)


def test_clips(frame_field: int) -> tuple[list[Clip], list[Clip]]:
    """Clips to compare one by one, and clips to compare within one padded batch."""
    voices = {name: recording(name) for name in TO_JUDGE}
    single = [
        Clip("one frame", voices[TO_JUDGE[0]][RATE // 2 :][:frame_field], decides=False),
        Clip("silence", np.zeros(RATE, np.float32), decides=False),
        *(Clip(name, voice) for name, voice in voices.items()),
        *(Clip(f"{name} by telephone", telephone(voice)) for name, voice in voices.items()),
        *(Clip(f"{name} in noise", noisy(voice)) for name, voice in voices.items()),
        Clip("quiet", np.float32(0.003) * voices[TO_JUDGE[0]]),
        Clip("loud", np.float32(1000) * speech(2 * RATE)),
        Clip("clipped", np.clip(20 * speech(3 * RATE), -1, 1)),
    ]
    batch = [Clip("speech", speech(int(s * RATE) + 37)) for s in _BATCH_SECONDS]
    longest = Clip("speech", speech(round(MAX_WINDOW_SECONDS * RATE)))
    return [*single, *batch, longest], [*batch, single[0]]


class ParityCheck:
    """Compares artefacts of one checkpoint with FunASR, which hears each clip once."""

    def __init__(self, reference: FunAsr, frame_field: int) -> None:
        self._single, self._batch = test_clips(frame_field)
        self._name = f"funasr {reference.version}"
        self._expected = {id(clip): reference.recognize(clip.samples) for clip in self._single}

    def measure(self, model: Backend, bounds: Bounds) -> Parity:
        """Runs every clip, alone and in a mixed batch.

        `Parity.bound` is the one for probabilities; where the model has no classifier, the one for
        embeddings.
        """
        rows = [row for clip in self._single for row in self._rows(model, [clip], "alone")]
        rows += self._rows(model, self._batch, "batched")
        classified = rows[0].probability_difference is not None
        return Parity(
            reference=self._name,
            bound=bounds.probability if classified else bounds.frame_embedding,
            rows=tuple(rows),
            mean_bound=bounds.mean_probability if classified else None,
        )

    def _rows(self, model: Backend, clips: Sequence[Clip], how: str) -> list[ParityRow]:
        lengths = np.array([len(clip.samples) for clip in clips])
        waveform = np.zeros((len(clips), lengths.max()), np.float32)
        for row, clip in zip(waveform, clips, strict=True):
            row[: len(clip.samples)] = clip.samples
        outputs = model.run(waveform, lengths, frame_embeddings=True)
        return [
            compare(
                f"{clip.case}, {how}",
                clip.seconds,
                self._expected[id(clip)],
                outputs,
                index,
                decides=clip.decides,
            )
            for index, clip in enumerate(clips)
        ]


def compare(
    case: str,
    seconds: float,
    expected: Result,
    outputs: Outputs,
    index: int,
    *,
    decides: bool = True,
) -> ParityRow:
    """One row: how far clip `index` of a batch is from what is expected of it."""
    frames = int(outputs.frame_lengths[index])
    if frames != len(expected.frame_embeddings):
        raise UnfaithfulError(
            f"{case}: {frames} frames, FunASR has {len(expected.frame_embeddings)}"
        )
    assert outputs.frame_embeddings is not None  # noqa: S101 - they were asked for
    ours = np.asarray(outputs.frame_embeddings[index, :frames], np.float64)
    embedding = np.asarray(outputs.embedding[index], np.float64)
    mean = expected.frame_embeddings.mean(axis=0, dtype=np.float64)
    probability = None
    if expected.probabilities is not None:
        if outputs.logits is None or outputs.frame_logits is None:
            raise UnfaithfulError(f"{case}: the exported model gives no scores, and FunASR does")
        scores = softmax(np.asarray(outputs.logits[index], np.float64))
        pooled = softmax(np.asarray(outputs.frame_logits[index, :frames], np.float64).mean(axis=0))
        differences = [np.abs(s - expected.probabilities).max() for s in (scores, pooled)]
        probability = float(np.max(differences))
    values = (
        probability or 0.0,
        float(embedding @ mean / (np.linalg.norm(embedding) * np.linalg.norm(mean))),
        channel_difference(ours, expected.frame_embeddings),
    )
    if not np.isfinite(values).all():
        raise UnfaithfulError(f"{case}: the exported model gives values that are not finite")
    return ParityRow(
        case=case,
        seconds=round(seconds, 3),
        probability_difference=probability,
        embedding_cosine=values[1],
        frame_embedding_difference=values[2],
        decides=decides,
    )


def channel_difference(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> float:
    """The largest difference of one value over max(1, the RMS of its channel in `theirs`).

    A trained norm's gains may make a channel large, and float32 rounding grows with it, in FunASR
    as in the export: an absolute bound would refuse exact exports.

    Args:
        ours: [T, D]
        theirs: [T, D]
    """
    sizes = np.sqrt(np.square(theirs, dtype=np.float64).mean(axis=0))
    return float((np.abs(ours - theirs) / np.maximum(1, sizes)).max())


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """[C] -> [C]."""
    exponents: NDArray[np.float64] = np.exp(logits - logits.max())
    return np.asarray(exponents / exponents.sum())


def require_faithful(parity: Parity, bounds: Bounds) -> None:
    """Raises UnfaithfulError, with the worst rows, where one that decides is beyond the bounds."""
    misfits = [
        (excess, reason, row)
        for row in parity.rows
        if row.decides
        for excess, reason in _excesses(row, bounds)
        if excess > 1
    ]
    misfits.sort(key=lambda misfit: misfit[0], reverse=True)
    if misfits:
        rows = tuple(dict.fromkeys(row for _, _, row in misfits))[:_WORST]
        raise UnfaithfulError(misfits[0][1], parity.model_copy(update={"rows": rows}))
    if parity.mean_bound is not None and parity.mean > parity.mean_bound:
        worst = sorted(parity.rows, key=lambda row: row.difference * row.decides, reverse=True)
        raise UnfaithfulError(
            f"on average a clip's probability differs by {parity.mean:.1e} from FunASR's, more "
            f"than {parity.mean_bound:g}",
            parity.model_copy(update={"rows": tuple(worst[:_WORST])}),
        )


def _excesses(row: ParityRow, bounds: Bounds) -> Iterator[tuple[float, str]]:
    """How many times its bound each difference of a row is, and the words for it."""
    found = (
        ("a probability", row.probability_difference, bounds.probability),
        ("a frame embedding", row.frame_embedding_difference, bounds.frame_embedding),
    )
    for what, difference, bound in found:
        if difference is not None:
            yield (
                difference / bound,
                f"{row.case}, {row.seconds:.1f} s: {what} differs by {difference:.1e} from "
                f"FunASR's, more than {bound:g}",
            )


def parity_line(what: str, parity: Parity) -> Text:
    """In a line, how far a form is from what it was compared with."""
    deciding = [row for row in parity.rows if row.decides]
    worst = max(deciding, key=lambda row: row.difference)
    of = "embeddings" if worst.probability_difference is None else "probabilities"
    line = Text()
    line.append("✓ " if parity.passed else "✗ ", "green" if parity.passed else "red")
    line.append(f"{what}: ", "bold")
    line.append(
        f"{of} within {worst.difference:.1e} of {parity.reference}'s, {parity.mean:.1e} on average "
        f"over {len(deciding)} clips (bound {parity.bound:g})"
    )
    return line


def parity_table(precision: str, parity: Parity) -> Table:
    """The rows as the user sees them; those in brackets do not decide."""
    table = Table(title=f"{precision} against {parity.reference}, bound {parity.bound:g}")
    table.add_column("case")
    for heading in ("seconds", "probability", "embedding cosine", "frame embedding"):
        table.add_column(heading, justify="right")
    for row in parity.rows:
        difference = row.probability_difference
        table.add_row(
            row.case if row.decides else f"({row.case})",
            f"{row.seconds:.2f}",
            "-" if difference is None else f"{difference:.1e}",
            f"{row.embedding_cosine:.7f}",
            f"{row.frame_embedding_difference:.1e}",
        )
    return table
