"""One served model: audio of any length, through its batcher.

This is the only place where waveforms meet the batcher, so whole recordings and the windows of live
streams share batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar, cast

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio.voice import find_speech
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition import long_audio
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_runtime.recognition.live import State, StepOutput, StepRunner
from emotion2vec_runtime.recognition.long_audio import Cutter
from emotion2vec_runtime.recognition.recognition import Recognition, require_a_frame
from emotion2vec_runtime.recognition.runner import Clip, ClipOutput

from emotion2vec_server.batching.batcher import Batcher, Completed
from emotion2vec_server.serving.work import Work, WorkOutput

R = TypeVar("R")


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

    @property
    def streams_in_steps(self) -> bool:
        """Whether live streams go in steps where the caller does not choose."""
        return self.is_incremental and self.manifest.prefers_steps

    def new_state(self, left: int) -> State:
        """An utterance's that keeps `left` final frames.

        Raises:
            ValueError: the model has no steps.
        """
        if self._steps is None:
            raise ValueError("the bundle has no step graph")
        return State(self._steps.shape(left))

    def state_bytes(self, left: int, provisional: int) -> int:
        """Of such a state, with so many provisional frames, when it is full.

        Raises:
            ValueError: the model has no steps.
        """
        if self._steps is None:
            raise ValueError("the bundle has no step graph")
        return self._steps.shape(left).bytes(provisional)

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
        speech_only: bool = False,
        urgent: bool = False,
        caller: str = "",
    ) -> Completed[Recognition]:
        """Recognises samples [S] at 16 kHz, through overlapping windows where it is long.

        Args:
            samples: the whole recording.
            deadline: on the clock of `time.monotonic`.
            frame_embeddings: whether to keep one embedding a frame.
            speech_only: whether to pool over the frames with speech.
            urgent: whether audio of one window goes before what is not urgent.
            caller: whom the batcher shares its time between.

        Returns:
            The recognition; its times and batch size are those of the slowest window.

        Raises:
            InvalidRequestError: fewer samples than one frame needs.
            RequestError: whatever the batcher refuses or the model fails with.
        """
        cuts = self.cutter().cut(len(samples))
        is_long = len(cuts) > 1
        speech = await asyncio.to_thread(find_speech, samples) if speech_only else None
        frames = [self.manifest.frame_count(part.stop - part.start) for part in cuts]
        windows = await all_or_none(
            [
                self.infer(
                    samples[part.start : part.stop],
                    deadline=deadline,
                    # The embedding is pooled afterwards, over the frames that are kept.
                    frame_embeddings=frame_embeddings or is_long or speech_only,
                    urgent=urgent and not is_long,
                    caller=caller,
                    after=frames[:number],
                )
                for number, part in enumerate(cuts)
            ]
        )
        pool = long_audio.Pool(self.manifest, frame_embeddings=frame_embeddings)

        def join() -> Recognition:
            for part, window in zip(cuts, windows, strict=True):
                spoken = None if speech is None else speech[part.first : part.last]
                pool.add(part, window.result, spoken)
            return pool.recognition()

        recognition = await asyncio.to_thread(join) if is_long else join()
        return slowest(windows).replaced(recognition)

    def cutter(self) -> Cutter:
        """Lays out the windows of one recording."""
        return Cutter(self.manifest, self.max_window, self._overlap)


async def all_or_none(work: Sequence[Coroutine[Any, Any, R]]) -> list[R]:
    """Awaits all of it; when one fails, or the caller leaves, the rest is cancelled."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def slowest(parts: Sequence[Completed[Any]]) -> Completed[None]:
    """How all of them together came about: the longest times, and the largest batch."""
    return Completed(
        None,
        queue_seconds=max(part.queue_seconds for part in parts),
        run_seconds=max(part.run_seconds for part in parts),
        batch_size=max(part.batch_size for part in parts),
    )
