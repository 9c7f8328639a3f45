"""What the model says of audio of any length: logits and embeddings, not yet emotions."""

from __future__ import annotations

from dataclasses import dataclass

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Segment:
    """One window of long audio: samples [start, stop) and the mean logits [C] of its frames."""

    start: int
    stop: int
    logits: Float32


@dataclass(frozen=True, slots=True)
class Recognition:
    """The model's answer for audio of any length.

    Attributes:
        logits: [C] mean of the frame logits, None without a classifier.
        embedding: [D] mean of the frame embeddings; None where only logits are known.
        frame_logits: [T, C], None without a classifier.
        frame_embeddings: [T, D], None unless asked for.
        segments: one a window, only for audio longer than one, with a classifier.
    """

    logits: Float32 | None
    embedding: Float32 | None
    frame_logits: Float32 | None
    frame_embeddings: Float32 | None
    segments: tuple[Segment, ...] = ()


def require_a_frame(samples: int, manifest: Manifest) -> None:
    """Raises InvalidRequestError where so many samples are shorter than one frame."""
    if samples < manifest.frame_field:
        milliseconds = 1000 * manifest.frame_field / manifest.sample_rate
        raise InvalidRequestError(
            "audio",
            f"the audio has {samples} samples at 16 kHz; send at least "
            f"{manifest.frame_field} ({milliseconds:.0f} ms)",
        )
