"""What one writes in an afternoon: grpc.aio, a queue, and one thread that takes what is there.

No delay: while the model runs, the next batch gathers. Bytes in, float32 probabilities out.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import grpc

from benchmarks.peers.model import MAX_BATCH, Model

METHOD = "/naive.Emotion/Recognize"


async def work(queue: asyncio.Queue[tuple[bytes, asyncio.Future[bytes]]], model: Model) -> None:
    while True:
        batch = [await queue.get()]
        while len(batch) < MAX_BATCH and not queue.empty():
            batch.append(queue.get_nowait())
        clips, replies = zip(*batch, strict=True)
        for reply, scores in zip(replies, await asyncio.to_thread(model, clips), strict=True):
            if not reply.done():
                reply.set_result(scores.tobytes())


async def serve(model: Model, port: int) -> None:
    queue: asyncio.Queue[tuple[bytes, asyncio.Future[bytes]]] = asyncio.Queue()

    async def recognize(pcm: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        queue.put_nowait((pcm, reply))
        return await reply

    service, method = METHOD.strip("/").split("/")
    handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(recognize)}
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await work(queue, model)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--provider", required=True)
    options = parser.parse_args()
    asyncio.run(serve(Model(options.model, options.threads, options.provider), options.port))
