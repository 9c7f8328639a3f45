"""How close the frames of live streams come to those of the whole recording, in each mode.

The short form of `benchmarks.fidelity_streaming`, for every checkpoint: trained weights decide
which mode is the closer one, so the default of servers follows what is measured here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.backends.base import Backend, StepBackend
from emotion2vec_runtime.bundle import Label, StreamFidelity, StreamMode
from emotion2vec_runtime.recognition.emotion import Classes

from emotion2vec_export.config import ModelConfig
from emotion2vec_export.recordings import RATE, TO_FIT, TO_JUDGE, recording
from emotion2vec_export.stepping import Stepped

# The server's defaults.
WINDOW_SECONDS, HOP_SECONDS, LOOKAHEAD_SECONDS = 3.0, 0.5, 0.4


def stream_fidelity(
    whole: Backend, steps: StepBackend, config: ModelConfig, labels: Sequence[Label]
) -> tuple[StreamFidelity, ...]:
    """Over a recording whose emotion changes, alike in all but the mode; a row a mode.

    Args:
        whole: runs clips of any length, and has a classifier.
        steps: of the same model.
        config: of the model.
        labels: in class order.
    """
    window, hop, lookahead = (
        round(seconds * RATE / config.audio.frame_hop)
        for seconds in (WINDOW_SECONDS, HOP_SECONDS, LOOKAHEAD_SECONDS)
    )
    classes = Classes(labels)

    stepped = Stepped(steps, config, "fp32", hop=hop, lookahead=lookahead, left=window)
    track = track_to_stream()
    offline = classes.probabilities(_logits(whole, track))
    windowed = np.concatenate(list(_windowed(whole, track, config, window, hop, lookahead)))
    return (
        _compared("windowed", classes.probabilities(windowed), offline),
        _compared("incremental", classes.probabilities(_logits(stepped, track)), offline),
    )


def track_to_stream() -> Float32:
    """19 s [S], with all the emotions, one after the other.

    It is the model in fp32 that is judged, so what int8 is fitted to will do. A sentence that is
    repeated would tell nothing: its streams differ by 0.004 in either mode.
    """
    return np.concatenate([recording(name) for name in (*TO_FIT, *TO_JUDGE)])


def _windowed(
    whole: Backend, samples: Float32, config: ModelConfig, window: int, hop: int, lookahead: int
) -> Iterator[Float32]:
    """The logits [T, K] that each window makes final; lengths are in frames."""
    audio = config.audio
    frames = (len(samples) - audio.frame_field) // audio.frame_hop + 1
    # As `Stepped` does: where the two end at other frames, that alone moves what is compared.
    ends = [*range(hop, frames, hop), frames]
    final = 0
    for end in ends:
        first = max(0, end - window)
        last = end if end == frames else max(final, end - lookahead)
        stop = (end - 1) * audio.frame_hop + audio.frame_field
        logits = _logits(whole, samples[first * audio.frame_hop : stop])
        yield logits[final - first : last - first]
        final = last


def _logits(backend: Backend | Stepped, samples: Float32) -> Float32:
    """[T, K] of one clip [S]."""
    outputs = backend.run(samples[None], np.array([len(samples)], np.int64))
    assert outputs.frame_logits is not None  # noqa: S101 - steps need a classifier
    logits: Float32 = outputs.frame_logits[0]
    return logits


def _compared(mode: StreamMode, streamed: Float32, offline: Float32) -> StreamFidelity:
    agrees = streamed.argmax(axis=1) == offline.argmax(axis=1)
    return StreamFidelity(
        mode=mode,
        window_seconds=WINDOW_SECONDS,
        hop_seconds=HOP_SECONDS,
        lookahead_seconds=LOOKAHEAD_SECONDS,
        difference=float(np.abs(streamed - offline).max(axis=1).mean()),
        agreement=float(agrees.mean()),
    )
