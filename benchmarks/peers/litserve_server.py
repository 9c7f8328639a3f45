"""LitServe: FastAPI processes in front of one inference process that gets batches.

After its documentation (lightning.ai/docs/litserve): `fast_queue` (ZeroMQ), "for hundreds of
requests per second"; raw bytes through FastAPI instead of JSON; access log off; one API process,
its own choice for one worker. The batch timeout is 1 ms, which measured best: with 0 its worker
waits in a busy loop and takes a core from the rest, with 5 ms a lone caller waits for nothing.
"""

# No `from __future__ import annotations` here: LitServe hands the annotation itself to FastAPI.
import argparse
from collections.abc import Iterable
from typing import Annotated

import litserve
import numpy as np
from fastapi import Body, Response
from numpy.typing import NDArray

from benchmarks.peers.model import MAX_BATCH, Model


class Recognizer(litserve.LitAPI):
    def __init__(self, path: str, threads: int, provider: str) -> None:
        super().__init__(max_batch_size=MAX_BATCH, batch_timeout=0.001)
        self._arguments = (path, threads, provider)

    def setup(self, device: str) -> None:  # noqa: ARG002
        self._model = Model(*self._arguments)

    def decode_request(
        self, request: Annotated[bytes, Body(media_type="application/octet-stream")]
    ) -> bytes:
        return request

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, x: list[bytes]) -> NDArray[np.float32]:
        return self._model(x)

    def unbatch(self, output: NDArray[np.float32]) -> Iterable[NDArray[np.float32]]:
        return output

    def encode_response(self, output: NDArray[np.float32]) -> Response:
        return Response(output.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--provider", required=True)
    options = parser.parse_args()
    api = Recognizer(options.model, options.threads, options.provider)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, timeout=False, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
