"""An agent that knows how its user sounds: python example.py FILE --server HOST:PORT

A real Pipecat pipeline: Silero's voice detector, turns, context aggregator. Only what would need
accounts elsewhere is played: a recording is the microphone, the transcripts are given, and in place
of the LLM its messages are shown. Put your own services in their places.
"""

from __future__ import annotations

import argparse
import asyncio
import wave
from typing import Any

from emotion2vec_client import AsyncClient
from emotion2vec_pipecat import EmotionClassifier, EmotionProcessor, UserEmotionFrame
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMMessagesAppendFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

SILENCE = 3.0


class GivenWords(FrameProcessor):
    """In place of speech-to-text: the same words for everything."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            await self.push_frame(TranscriptionFrame("I have waited.", "user", "now"))


class TellLLM(FrameProcessor):
    """Puts what was heard before the user's words, as a message to the LLM."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, UserEmotionFrame):
            text = f"The user's next words sounded {frame.label} ({frame.confidence:.2f})."
            message: Any = {"role": "system", "content": text}
            await self.push_frame(LLMMessagesAppendFrame([message], run_llm=False))
        if isinstance(frame, TranscriptionFrame):
            print(f"transcription: {frame.text} {frame.metadata.get('emotion')}", flush=True)
        await self.push_frame(frame, direction)


class Show(FrameProcessor):
    """In place of the LLM: shows what it would be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            for message in frame.context.get_messages():
                print(f"LLM is told: {message}", flush=True)
            self.asked.set()
        await self.push_frame(frame, direction)


async def speak(path: str, worker: PipelineWorker) -> None:
    """A WAV file of 16 kHz mono as the microphone, in real time; then silence."""
    with wave.open(path) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (16000, 1, 2):
            raise SystemExit(f"{path} must be a WAV file of 16 kHz, mono, 16 bits")
        samples = file.readframes(file.getnframes()) + bytes(int(SILENCE * 32000))
    for at in range(0, len(samples), 640):
        await worker.queue_frame(InputAudioRawFrame(samples[at : at + 640], 16000, 1))
        await asyncio.sleep(0.02)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="WAV of 16 kHz, mono, 16 bits")
    parser.add_argument("--server", default="127.0.0.1:50051", help="emotion2vec-server")
    options = parser.parse_args()
    turns = UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy()])
    aggregators = LLMContextAggregatorPair(
        LLMContext(), user_params=LLMUserAggregatorParams(user_turn_strategies=turns)
    )
    llm = Show()
    async with AsyncClient(options.server) as client:
        pipeline = Pipeline(
            [
                VADProcessor(vad_analyzer=SileroVADAnalyzer()),
                GivenWords(),
                EmotionProcessor(EmotionClassifier(client)),
                TellLLM(),
                aggregators.user(),
                llm,
                aggregators.assistant(),
            ]
        )
        worker = PipelineWorker(pipeline, params=PipelineParams(audio_in_sample_rate=16000))
        started = asyncio.Event()

        @worker.event_handler("on_pipeline_started")
        async def on_started(*_arguments: Any) -> None:
            started.set()

        async def talk() -> None:
            await started.wait()
            try:
                await speak(options.file, worker)
                await asyncio.wait_for(llm.asked.wait(), 30)
            finally:
                await worker.cancel()

        runner = WorkerRunner()
        await runner.add_workers(worker)
        await asyncio.gather(runner.run(), talk())


if __name__ == "__main__":
    asyncio.run(main())
