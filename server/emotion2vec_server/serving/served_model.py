"""One served model: audio of any length, through its batcher.

This is the only place where waveforms meet the batcher, so whole recordings and the windows of live
streams share batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, cast

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition import long_audio
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_runtime.recognition.live import State, StepOutput, StepRunner
from emotion2vec_runtime.recognition.recognition import Recognition, require_a_frame
from emotion2vec_runtime.recognition.runner import Clip, ClipOutput

from emotion2vec_server.batching.batcher import Batcher, Completed
from emotion2vec_server.serving.work import Work, WorkOutput


class ServedModel:
    """Recognises audio with one model through its batcher."""

    def __init__(
        self,
        manifest: Manifest,
        batcher: Batcher[Work, WorkOutput],
        *,
        precision: str,
        provider: str,
        max_window: int,
        overlap: int,
        steps: StepRunner | None = None,
    ) -> None:
        """`max_window` and `overlap` are the long-audio windows, in samples; `steps` runs those of
        live streams, where the bundle has a graph for them."""
        self.manifest = manifest
        self.batcher = batcher
        self.precision = precision
        self.provider = provider
        self.max_window = max_window
        self.classes = Classes(manifest.labels)
        self._overlap = overlap
        self._steps = steps

    @property
    def is_incremental(self) -> bool:
        """Whether live streams may go in steps."""
        return self._steps is not None

    def new_state(self, left: int) -> State:
        """An utterance's that keeps `left` final frames.

        Raises:
            ValueError: the model has no steps.
        """
        if self._steps is None:
            raise ValueError("the bundle has no step graph")
        return State(self._steps.shape(left))

    async def step(
        self, state: State, samples: Float32, *, frames: int, caller: str = ""
    ) -> Completed[StepOutput]:
        """Runs `frames` frames of a live stream, of which the new ones see `samples` [S].

        Raises:
            RequestError: whatever the batcher refuses or the model fails with.
        """
        completed = await self.batcher.submit(
            state.step(samples), frames=frames, urgent=True, caller=caller
        )
        return cast(Completed[StepOutput], completed)

    async def infer(
        self,
        samples: Samples,
        *,
        deadline: float | None = None,
        frame_embeddings: bool = False,
        urgent: bool = False,
        caller: str = "",
        after: Sequence[int] = (),
    ) -> Completed[ClipOutput]:
        """Runs one window [S] of any length that the batcher's budget takes.

        `after` holds the frames of the windows of the same recording that came before it.

        Raises:
            InvalidRequestError: fewer samples than one frame needs.
            RequestError: whatever the batcher refuses or the model fails with.
        """
        require_a_frame(len(samples), self.manifest)
        completed = await self.batcher.submit(
            Clip(samples, frame_embeddings),
            frames=self.manifest.frame_count(len(samples)),
            deadline=deadline,
            urgent=urgent,
            caller=caller,
            after=after,
        )
        return cast(Completed[ClipOutput], completed)

    async def recognize(
        self,
        samples: Samples,
        *,
        deadline: float | None = None,
        frame_embeddings: bool = False,
        urgent: bool = False,
        caller: str = "",
    ) -> Completed[Recognition]:
        """Recognises samples [S] at 16 kHz, through overlapping windows where it is long.

        Args:
            samples: the whole recording.
            deadline: on the clock of `time.monotonic`.
            frame_embeddings: whether to keep one embedding a frame.
            urgent: whether audio of one window goes before what is not urgent.
            caller: whom the batcher shares its time between.

        Returns:
            The recognition; its times and batch size are those of the slowest window.

        Raises:
            InvalidRequestError: fewer samples than one frame needs.
            RequestError: whatever the batcher refuses or the model fails with.
        """
        if len(samples) <= self.max_window:
            window = await self.infer(
                samples,
                deadline=deadline,
                frame_embeddings=frame_embeddings,
                urgent=urgent,
                caller=caller,
            )
            return window.replaced(long_audio.single(window.result))
        cuts = long_audio.cut(len(samples), self.manifest, self.max_window, self._overlap)
        frames = [self.manifest.frame_count(part.stop - part.start) for part in cuts]
        windows = await _all_or_none(
            [
                self.infer(
                    samples[part.start : part.stop],
                    deadline=deadline,
                    # The embedding is pooled when they are joined, over the frames that are kept.
                    frame_embeddings=True,
                    caller=caller,
                    after=frames[:number],
                )
                for number, part in enumerate(cuts)
            ]
        )
        joined = await asyncio.to_thread(
            long_audio.join,
            len(samples),
            cuts,
            [window.result for window in windows],
            self.manifest,
            frame_embeddings=frame_embeddings,
        )
        return Completed(
            joined,
            queue_seconds=max(window.queue_seconds for window in windows),
            run_seconds=max(window.run_seconds for window in windows),
            batch_size=max(window.batch_size for window in windows),
        )


async def _all_or_none(
    work: Sequence[Coroutine[Any, Any, Completed[ClipOutput]]],
) -> list[Completed[ClipOutput]]:
    """Awaits all of it; when one fails, or the caller leaves, the rest is cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
