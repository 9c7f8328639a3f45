"""The emotion of each turn of a phone call: python examples/twilio_bridge.py --server HOST:PORT

Twilio connects here (`<Start><Stream url="wss://.../">`) and sends the caller's voice, mu-law of
8 kHz in JSON; each call becomes one stream, and each turn one line of JSON on stdout. A turn ends
where the server hears speech end, and with the call. Needs emotion2vec-client and websockets.

Whoever reaches this port can open streams: put it behind what checks Twilio's signature.
"""

import argparse
import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from emotion2vec_client import (
    END_UTTERANCE,
    AsyncClient,
    RecognitionError,
    SpeechEdge,
    StreamFinal,
    StreamSpeech,
)
from emotion2vec_client.events import EndUtterance
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
# Of Twilio's messages the longest is about 300 bytes: 20 ms of audio.
LONGEST_MESSAGE = 64 * 1024


@dataclass
class Call:
    """One phone call."""

    id: str = ""
    turn_ends: list[EndUtterance] = field(default_factory=list)
    """Turns that the server heard end, to be closed with the next piece of audio."""


def audio_of(message: dict[str, Any], call: Call) -> bytes:
    """The caller's audio in a message of Twilio's; none in most."""
    if message["event"] == "start":
        call.id = message["start"]["callSid"]
        if message["start"]["mediaFormat"] != FORMAT:
            raise ValueError(f"the audio must be {FORMAT}")
    if message["event"] == "media" and message["media"]["track"] == "inbound":
        return base64.b64decode(message["media"]["payload"], validate=True)
    return b""


async def chunks(socket: ServerConnection, call: Call) -> AsyncIterator[bytes | EndUtterance]:
    """The caller's audio with the ends of turns in it."""
    # A call that breaks off ends its last turn too.
    with suppress(ConnectionClosedError):
        async for text in socket:
            message = json.loads(text)
            if message["event"] == "stop":
                return
            if audio := audio_of(message, call):
                yield audio
            while call.turn_ends:
                yield call.turn_ends.pop()


async def bridge(socket: ServerConnection, client: AsyncClient) -> None:
    """One call, from Twilio's "start" to its "stop"."""
    call = Call()
    audio = chunks(socket, call)
    try:
        async for event in client.stream(
            audio, encoding="mulaw", sample_rate=8000, speech_only=True
        ):
            if isinstance(event, StreamSpeech) and event.edge is SpeechEdge.END:
                call.turn_ends.append(END_UTTERANCE)
            elif isinstance(event, StreamFinal) and event.recognition.emotion is not None:
                print(json.dumps({"call": call.id, **event.to_dict()}), flush=True)
    except (KeyError, TypeError, ValueError) as error:
        await socket.close(1007, f"not a message of Twilio's: {error!r}"[:120])
    except RecognitionError as error:
        await socket.close(1011, str(error)[:120])


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="127.0.0.1:50051", help="emotion2vec-server")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8765, help="where Twilio connects")
    options = parser.parse_args()
    async with AsyncClient(options.server) as client:
        handler = partial(bridge, client=client)
        async with serve(handler, options.host, options.port, max_size=LONGEST_MESSAGE) as listener:
            port = next(iter(listener.sockets)).getsockname()[1]
            print(f"waiting for calls on {options.host}:{port}", file=sys.stderr, flush=True)
            await listener.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
