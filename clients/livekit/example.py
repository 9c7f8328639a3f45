"""An agent that knows how its user sounds: python example.py FILE --server HOST:PORT

A real AgentSession: LiveKit's own voice detector, turns and speech-to-text adapter. Only what would
need accounts elsewhere is played: a recording is the microphone, the transcripts are given, and the
LLM answers with what it was told about the user's voice. Put your own in their places.
"""

from __future__ import annotations

import argparse
import asyncio
import wave
from typing import Any

from emotion2vec_client import AsyncClient
from emotion2vec_livekit import EmotionSTT
from livekit import rtc
from livekit.agents import Agent, AgentSession, inference, llm, stt
from livekit.agents.voice import io

FRAME = 320
SILENCE = 3.0


class Recording(io.AudioInput):
    """A WAV file of 16 kHz mono as the microphone, in real time; then silence."""

    def __init__(self, path: str) -> None:
        super().__init__(label="recording")
        with wave.open(path) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (16000, 1, 2):
                raise SystemExit(f"{path} must be a WAV file of 16 kHz, mono, 16 bits")
            self._samples = file.readframes(file.getnframes()) + bytes(int(SILENCE * 32000))
        self._at = 0

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.sleep(FRAME / 16000)
        piece = self._samples[self._at : self._at + 2 * FRAME]
        if len(piece) < 2 * FRAME:
            raise StopAsyncIteration
        self._at += 2 * FRAME
        return rtc.AudioFrame(piece, 16000, 1, FRAME)


class GivenWords(stt.STT[Any]):
    """Hears the same words in everything."""

    def __init__(self, words: str) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._words = words

    async def _recognize_impl(self, *_arguments: Any, **_options: Any) -> stt.SpeechEvent:
        heard = stt.SpeechData(language="en", text=self._words)  # type: ignore[arg-type]
        return stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard])


class Echo(llm.LLM):
    """Answers with the last instructions it got."""

    def chat(self, *, chat_ctx: llm.ChatContext, **options: Any) -> llm.LLMStream:
        kept = {name: options[name] for name in ("conn_options",) if name in options}
        return EchoStream(self, chat_ctx=chat_ctx, tools=[], **kept)


class EchoStream(llm.LLMStream):
    async def _run(self) -> None:
        told = [item for item in self.chat_ctx.items if item.type == "message"]
        text = next((m.text_content for m in reversed(told) if m.role == "system"), "")
        delta = llm.ChoiceDelta(role="assistant", content=f"I was told: {text}")
        self._event_ch.send_nowait(llm.ChatChunk(id="echo", delta=delta))


class Listener(Agent):
    """Tells the LLM how the user sounded, before each answer."""

    def __init__(self, ears: EmotionSTT) -> None:
        super().__init__(instructions="You are a kind helper.")
        self._ears = ears

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        if self._ears.emotion is not None:
            turn_ctx.add_message(role="system", content=self._ears.emotion.to_instructions())


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="WAV of 16 kHz, mono, 16 bits")
    parser.add_argument("--server", default="127.0.0.1:50051", help="emotion2vec-server")
    options = parser.parse_args()
    answered = asyncio.Event()
    async with AsyncClient(options.server) as client:
        # One voice detector for the adapter, one for the session's turns.
        words = stt.StreamAdapter(stt=GivenWords("I have waited."), vad=inference.VAD())
        ears = EmotionSTT(words, client=client)
        session: AgentSession[None] = AgentSession(
            stt=ears, vad=inference.VAD(), llm=Echo(), turn_handling={"turn_detection": "vad"}
        )

        @session.on("conversation_item_added")
        def show(event: Any) -> None:
            if event.item.type != "message":
                return
            print(f"{event.item.role}: {event.item.text_content}", flush=True)
            if event.item.role == "assistant":
                answered.set()

        session.input.audio = Recording(options.file)
        await session.start(Listener(ears))
        try:
            await asyncio.wait_for(answered.wait(), 60)
        finally:
            await session.aclose()


if __name__ == "__main__":
    asyncio.run(main())
