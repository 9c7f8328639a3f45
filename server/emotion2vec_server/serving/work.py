"""What an instance of a model runs: clips, and steps of live streams. They share its queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emotion2vec_runtime.recognition.live import Step, StepOutput, StepRunner
from emotion2vec_runtime.recognition.runner import Clip, ClipOutput, Runner

Work = Clip | Step
WorkOutput = ClipOutput | StepOutput


class WorkRunner:
    """Runs batches of both, each kind in a run of its own."""

    def __init__(self, clips: Runner, steps: StepRunner | None) -> None:
        """`steps` is None where the bundle has no graph for them."""
        self._clips = clips
        self._steps = steps

    def __call__(self, work: Sequence[Work]) -> list[WorkOutput]:
        """The outputs are in the order of `work`.

        Raises:
            OutOfMemoryError: the batch did not fit; a smaller one may.
            InferenceError: the model failed on it.
        """
        clips = [item for item in work if isinstance(item, Clip)]
        steps = [item for item in work if isinstance(item, Step)]
        ran_clips: Iterator[WorkOutput] = iter(self._clips(clips) if clips else ())
        ran_steps: Iterator[WorkOutput] = iter(self._steps(steps) if steps and self._steps else ())
        return [next(ran_clips if isinstance(item, Clip) else ran_steps) for item in work]
