"""Audio longer than one model window: where to cut it, and how to join what comes back.

Windows begin on the frame grid, so a window's frames are frames of the whole. Neighbours overlap by
`overlap` samples; each frame is taken from the window in whose inner part it lies, because a frame
near a window's border has lost the context beyond it. The windows of one recording are as long as
each other (to a frame), so they batch without padding, and no short remainder is left over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition.recognition import Recognition, Segment
from emotion2vec_runtime.recognition.runner import ClipOutput

MAX_WINDOW_SECONDS = 30.0
"""Longer audio is recognised in windows of this length, unless told otherwise."""
OVERLAP_SECONDS = 2.0
"""What two such windows share."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One window: samples [start, stop), of whose frames [first, last) are kept.

    `first` and `last` count from the beginning of the recording.
    """

    start: int
    stop: int
    first: int
    last: int

    def kept(self, frame_hop: int) -> slice:
        """The kept frames, counted from the beginning of the window."""
        offset = self.start // frame_hop
        return slice(self.first - offset, self.last - offset)


def cut(samples: int, manifest: Manifest, window: int, overlap: int) -> list[Cut]:
    """Cuts `samples` samples into windows of at most `window`; neighbours share `overlap` at least.

    The kept frames of the windows tile the frames of the whole without gap or overlap. `window`
    must exceed `overlap` by at least two frame hops.
    """
    if samples <= window:
        return [Cut(0, samples, 0, manifest.frame_count(samples))]
    hop = manifest.frame_hop
    # The frame before a border has to end within its window.
    overlap = max(overlap, 2 * (manifest.frame_field - hop))
    # One hop is set aside so that rounding a start down to the grid keeps the window long enough.
    stride = window - overlap - hop
    count = -(-(samples - overlap) // stride)
    length = -(-(samples + (count - 1) * overlap) // count)
    starts = [index * (length - overlap) // hop * hop for index in range(count)]
    stops = [*(min(start + length + hop, samples) for start in starts[:-1]), samples]
    borders = list(_borders(starts, stops, hop, manifest.frame_count(samples)))
    return [Cut(*edges) for edges in zip(starts, stops, borders[:-1], borders[1:], strict=True)]


def _borders(starts: list[int], stops: list[int], hop: int, frames: int) -> Iterator[int]:
    """Where responsibility passes on: the middle of each overlap, in frames."""
    yield 0
    for stop, start in zip(stops[:-1], starts[1:], strict=True):
        yield (start + stop) // 2 // hop
    yield frames


def join(
    samples: int,
    cuts: Sequence[Cut],
    outputs: Sequence[ClipOutput],
    manifest: Manifest,
    *,
    frame_embeddings: bool,
) -> Recognition:
    """One recognition of the windows that `cut` made of `samples` samples.

    Args:
        samples: of the whole.
        cuts: the windows.
        outputs: the model's answer for each, with frame embeddings: they are pooled here, over the
            frames that are kept.
        manifest: of the model.
        frame_embeddings: whether to keep them.
    """
    hop = manifest.frame_hop
    embeddings = np.concatenate(
        [
            output.frame_embeddings[part.kept(hop)]
            for part, output in zip(cuts, outputs, strict=True)
            if output.frame_embeddings is not None
        ]
    )
    kept_logits = [
        output.frame_logits[part.kept(hop)]
        for part, output in zip(cuts, outputs, strict=True)
        if output.frame_logits is not None
    ]
    frame_logits = np.concatenate(kept_logits) if kept_logits else None
    segments = tuple(
        Segment(part.first * hop, min(part.last * hop, samples), logits.mean(axis=0))
        for part, logits in zip(cuts, kept_logits, strict=False)
    )
    return Recognition(
        logits=None if frame_logits is None else frame_logits.mean(axis=0),
        embedding=embeddings.mean(axis=0),
        frame_logits=frame_logits,
        frame_embeddings=embeddings if frame_embeddings else None,
        segments=segments,
    )


def single(output: ClipOutput) -> Recognition:
    """The recognition of audio of one window."""
    return Recognition(
        logits=output.logits,
        embedding=output.embedding,
        frame_logits=output.frame_logits,
        frame_embeddings=output.frame_embeddings,
    )
