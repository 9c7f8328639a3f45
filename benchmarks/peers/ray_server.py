"""Ray Serve: an HTTP proxy in front of one replica, whose method gets batches.

After its documentation (docs.ray.io/en/latest/serve: "Dynamic Request Batching", "Performance
Tuning"): `max_batch_size` as ours; no wait for more, so that a lone request is not held back; as
many requests at once as there may be callers; one replica with all threads; raw bytes; access log
and dashboard off.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import threading

import numpy as np
import ray
from numpy.typing import NDArray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.peers.model import MAX_BATCH, Model

_PATH = "/recognize"


@serve.deployment(
    max_ongoing_requests=1024,
    ray_actor_options={"num_cpus": 1},
    logging_config=LoggingConfig(enable_access_log=False),
)
class Recognizer:
    def __init__(self, path: str, threads: int, provider: str) -> None:
        self._model = Model(path, threads, provider)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0)
    async def recognize(self, clips: list[bytes]) -> list[NDArray[np.float32]]:
        # In a thread, so that the next batch gathers meanwhile.
        return list(await asyncio.to_thread(self._model, clips))

    async def __call__(self, request: Request) -> Response:
        scores = await self.recognize(await request.body())
        return Response(scores.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--provider", required=True)
    options = parser.parse_args()
    ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(
        http_options=HTTPOptions(host="127.0.0.1", port=options.port),
        logging_config=LoggingConfig(enable_access_log=False),
    )
    recognizer = Recognizer.bind(options.model, options.threads, options.provider)
    serve.run(recognizer, route_prefix=_PATH)
    stop = threading.Event()
    # Ray's own handler for it would end this process and leave the others behind.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()
    serve.shutdown()
    ray.shutdown()
