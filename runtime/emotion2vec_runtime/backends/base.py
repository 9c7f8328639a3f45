"""What recognition needs of a library that runs a model, and the data that crosses the border."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from emotion2vec_runtime.arrays import Bools, Float32, Int64


class Outputs(NamedTuple):
    """One batch of results. B clips, T frames (padded), C classes, D embedding size.

    Rows beyond a clip's `frame_lengths` are padding and hold no meaning.
    """

    logits: Float32 | None
    """[B, C]; None where the model has no classifier."""
    embedding: Float32
    """[B, D]: mean of the clip's frame embeddings."""
    frame_logits: Float32 | None
    """[B, T, C]; None where the model has no classifier."""
    frame_embeddings: Float32 | None
    """[B, T, D]; None unless asked for."""
    frame_lengths: Int64
    """[B]: true frames of each clip."""


class Backend(Protocol):
    """A loaded model. `run` may be called from as many threads at once as it has instances."""

    @property
    def provider(self) -> str:
        """Where it runs: a name in `backends.providers`."""
        ...

    @property
    def precision(self) -> str: ...

    @property
    def cards(self) -> int:
        """On how many it runs; 1 also where there are none."""
        ...

    def run(self, waveforms: Float32, lengths: Int64, *, frame_embeddings: bool = False) -> Outputs:
        """Runs one batch.

        Args:
            waveforms: [B, S] samples at 16 kHz, zero beyond each clip's length.
            lengths: [B] true samples, at least one frame field each, at most S.
            frame_embeddings: whether to fetch them too; they are large.

        Raises:
            OutOfMemoryError: the batch did not fit; a smaller one may.
            InferenceError: the library failed on it.
        """
        ...


class StepInputs(NamedTuple):
    """One step of a batch of live streams; the names are the step graph's.

    B streams, S samples, C features that are known, R frames that are run again, P past keys,
    L blocks, D embedding size. What a stream has fewer of stands at the end; before it is padding.
    """

    waveform: Float32
    """[B, S] normalised samples of the new frames; these are padded behind."""
    lengths: Int64
    """[B] true samples; fewer than one frame's field where no frame is new."""
    features: Float32
    """[B, C, D]"""
    is_known: Bools
    """[B, C]"""
    is_provisional: Bools
    """[B, R]: of the last R features."""
    past: Float32
    """[2 L, B, P, D]: keys and values of each block."""
    is_past: Bools
    """[B, P]"""


class StepOutputs(NamedTuple):
    """T new frames, Q = R + T frames that were run, K classes; else as in `StepInputs`."""

    frame_logits: Float32
    """[B, Q, K]"""
    frame_embeddings: Float32
    """[B, Q, D]"""
    new_features: Float32
    """[B, T, D]"""
    keys_values: Float32
    """[2 L, B, Q, D]"""


class StepBackend(Protocol):
    """A loaded step graph. `run` may be called from as many threads at once as `Backend.run`."""

    @property
    def blocks(self) -> int:
        """L"""
        ...

    @property
    def context(self) -> int:
        """Features before the first frame of a step that it needs."""
        ...

    def run(self, inputs: StepInputs) -> StepOutputs:
        """Runs one step.

        Raises:
            OutOfMemoryError: the batch did not fit; a smaller one may.
            InferenceError: the library failed on it.
        """
        ...
