"""A clip of speech in, its emotion out: a plain object, with no frames and no pipeline."""

from __future__ import annotations

import asyncio

import numpy as np
from emotion2vec_client import AsyncClient, Emotion
from emotion2vec_client.errors import RecognitionError
from loguru import logger


class EmotionClassifier:
    """Asks the server about one clip at a time; several at once are fine."""

    def __init__(self, client: AsyncClient, *, model: str = "", timeout: float = 1.0) -> None:
        """
        Args:
            client: It stays the caller's to close.
            model: The server's model; empty is its default.
            timeout: Seconds that an answer may take.
        """
        self._client = client
        self._model = model
        self._timeout = timeout

    async def classify(self, audio: bytes, sample_rate: int, channels: int = 1) -> Emotion | None:
        """The emotion of 16-bit little-endian PCM; None, with a line in the log, where it can't be
        had in time, or where the clip is too short to have one."""
        samples = np.frombuffer(audio, "<i2")
        if channels > 1:
            samples = samples.reshape(-1, channels)
        try:
            async with asyncio.timeout(self._timeout):
                result = await self._client.recognize(
                    samples, sample_rate=sample_rate, speech_only=True, model=self._model
                )
        except (RecognitionError, TimeoutError) as error:
            logger.warning("a turn goes on without its emotion: {!r}", error)
            return None
        return result.emotion
