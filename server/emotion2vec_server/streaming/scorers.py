"""From a stream's windows to scores: each window by itself, or as a step after those before it."""

from __future__ import annotations

from typing import Protocol

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.errors import InferenceError
from emotion2vec_runtime.recognition.live import State, StepOutput
from emotion2vec_runtime.recognition.runner import ClipOutput

from emotion2vec_server.batching.batcher import Completed
from emotion2vec_server.streaming.windows import Framing, Window


class Model(Protocol):
    """What scoring needs of the served model."""

    async def infer(
        self, samples: Float32, *, urgent: bool = False, caller: str = ""
    ) -> Completed[ClipOutput]: ...

    def new_state(self, left: int) -> State: ...

    async def step(
        self, state: State, samples: Float32, *, frames: int, caller: str = ""
    ) -> Completed[StepOutput]: ...


class Scorer(Protocol):
    """Scores one utterance's windows, in order. A call that failed may be made again."""

    async def score(self, window: Window) -> Float32:
        """The logits [T, C] of frames [first_frame, frame_end) of `window`.

        Raises:
            RequestError: whatever the model refuses or fails with.
        """
        ...


def scorer_of(model: Model, framing: Framing, caller: str) -> Scorer:
    """A new utterance's."""
    if framing.incremental:
        return _StepScorer(model, framing, caller)
    return _WindowScorer(model, caller)


class _WindowScorer:
    def __init__(self, model: Model, caller: str) -> None:
        self._model = model
        self._caller = caller

    async def score(self, window: Window) -> Float32:
        completed = await self._model.infer(window.samples, urgent=True, caller=self._caller)
        return _of_each_frame(completed.result.frame_logits, window)


class _StepScorer:
    def __init__(self, model: Model, framing: Framing, caller: str) -> None:
        self._model = model
        self._caller = caller
        self._state = model.new_state(framing.window)
        self._heard = 0

    async def score(self, window: Window) -> Float32:
        # The first samples of a frame are the last ones of the frame before.
        unheard = max(0, window.end_sample - self._heard)
        self._state.hear(window.samples[len(window.samples) - unheard :])
        self._heard = window.end_sample
        completed = await self._model.step(
            self._state,
            window.samples,
            frames=window.frame_end - window.first_frame,
            caller=self._caller,
        )
        logits = _of_each_frame(completed.result.frame_logits, window)
        self._state.advance(completed.result, window.final_end - window.final_begin)
        return logits


def _of_each_frame(logits: Float32 | None, window: Window) -> Float32:
    if logits is None or len(logits) != window.frame_end - window.first_frame:
        raise InferenceError("the model gave no scores, or not one a frame")
    return logits
