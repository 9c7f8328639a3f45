"""The FrameProcessor: hears the user's speech, and tells how it sounded."""

from __future__ import annotations

import asyncio
from typing import Any

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from emotion2vec_pipecat.classifier import EmotionClassifier
from emotion2vec_pipecat.clip import Clip, Clipper
from emotion2vec_pipecat.frames import UserEmotionFrame


class EmotionProcessor(FrameProcessor):
    """Stands behind the speech-to-text service and before the user's context aggregator, in a
    pipeline whose voice detector (a VADProcessor, say) stands before both.

    When the detector hears speech end, its audio goes to the classifier, while the words are still
    being recognised. The transcription waits for the answer: a `UserEmotionFrame` goes ahead of it,
    and it carries the same in `metadata["emotion"]`. Where there is no answer in time, it goes on
    without. Audio must be let through by the speech-to-text service (`audio_passthrough`, which is
    Pipecat's default).
    """

    def __init__(
        self,
        classifier: EmotionClassifier,
        *,
        pre_roll: float = 0.5,
        longest: float = 15.0,
        **options: Any,
    ) -> None:
        """
        Args:
            classifier: Who knows the emotion of a clip.
            pre_roll: Seconds from before the detector heard speech.
            longest: Seconds of speech that are heard at most: the last ones.
            options: FrameProcessor's own.
        """
        super().__init__(**options)
        self._classifier = classifier
        self._clipper = Clipper(pre_roll, longest)
        self._hearing: asyncio.Task[UserEmotionFrame | None] | None = None
        self._said = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM:
            await self._hear(frame)
        await self.push_frame(frame, direction)

    async def _hear(self, frame: Frame) -> None:
        if isinstance(frame, InputAudioRawFrame):
            self._clipper.push(frame)
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            self._clipper.start()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._ask(self._clipper.stop())
        elif isinstance(frame, TranscriptionFrame):
            await self._attach(frame)
        elif isinstance(frame, (EndFrame, CancelFrame)):
            await self._forget()

    def _ask(self, clip: Clip | None) -> None:
        # An earlier question ends by itself: a transcription may be waiting for it.
        self._hearing, self._said = None, False
        if clip is not None:
            self._hearing = self.create_task(self._emotion(clip))

    async def _emotion(self, clip: Clip) -> UserEmotionFrame | None:
        emotion = await self._classifier.classify(*clip)
        if emotion is None:
            return None
        scores = {score.label: score.probability for score in emotion.scores}
        return UserEmotionFrame(emotion.label, emotion.confidence, scores, clip.seconds)

    async def _attach(self, frame: TranscriptionFrame) -> None:
        """Further transcriptions of the same speech get the same emotion, without a frame."""
        if self._hearing is None:
            return
        # Shielded, because an interruption cancels the wait, not the answer.
        emotion = await asyncio.shield(self._hearing)
        if emotion is None:
            return
        frame.metadata["emotion"] = emotion.as_metadata()
        if not self._said:
            self._said = True
            await self.push_frame(emotion)

    async def _forget(self) -> None:
        hearing, self._hearing = self._hearing, None
        if hearing is not None and not hearing.done():
            await self.cancel_task(hearing)
