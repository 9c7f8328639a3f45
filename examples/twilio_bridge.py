"""The emotion of each turn of a phone call: python examples/twilio_bridge.py --server HOST:PORT

Twilio connects here (`<Start><Stream url="wss://.../">`) and sends the caller's voice, mu-law of
8 kHz in JSON; each call becomes one stream, and each turn one line of JSON on stdout. A turn ends
after half a second of silence, and with the call. Needs emotion2vec-client and websockets.

Whoever reaches this port can open streams: put it behind what checks Twilio's signature.
"""

import argparse
import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

from emotion2vec_client import AsyncClient, EndOfUtterance, RecognitionError, StreamFinal
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
# Of Twilio's messages the longest is about 300 bytes: 20 ms of audio.
LONGEST_MESSAGE = 64 * 1024


async def audio_of(socket: ServerConnection, call: list[str]) -> AsyncIterator[bytes]:
    """The caller's audio; the call's id goes into `call`."""
    # A call that breaks off ends its last turn too.
    with suppress(ConnectionClosedError):
        async for text in socket:
            message = json.loads(text)
            match message["event"]:
                case "start":
                    call.append(message["start"]["callSid"])
                    if message["start"]["mediaFormat"] != FORMAT:
                        raise ValueError(f"the audio must be {FORMAT}")
                case "media" if message["media"]["track"] == "inbound":
                    yield base64.b64decode(message["media"]["payload"], validate=True)
                case "stop":
                    return


async def bridge(socket: ServerConnection, client: AsyncClient) -> None:
    """One call, from Twilio's "start" to its "stop"."""
    call: list[str] = []
    try:
        async for event in client.stream(
            audio_of(socket, call),
            encoding="mulaw",
            sample_rate=8000,
            speech_only=True,
            end_of_utterance=EndOfUtterance(),
        ):
            if isinstance(event, StreamFinal) and event.recognition.emotion is not None:
                print(json.dumps({"call": call[0], **event.to_dict()}), flush=True)
    except (LookupError, TypeError, ValueError) as error:
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
