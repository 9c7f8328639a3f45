"""mosec: HTTP in Rust, and a Python worker that gets batches. Run with mosec's own flags.

After its documentation (mosecorg.github.io/mosec): `max_batch_size` as ours; no wait for more, so
that a lone request is not held back (that needs `--wait 0` too, as a `max_wait_time` of 0 means the
flag's, whose default is 10 ms); raw bytes in and out instead of JSON; one worker with all threads,
since several would run several batches on the same cores.
"""

from __future__ import annotations

import os

import numpy as np
from mosec import Server, Worker
from numpy.typing import NDArray

from benchmarks.peers.model import MAX_BATCH, Model


class Recognizer(Worker):
    def __init__(self) -> None:
        super().__init__()
        threads, provider = int(os.environ["PEER_THREADS"]), os.environ["PEER_PROVIDER"]
        self._model = Model(os.environ["PEER_MODEL"], threads, provider)

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: list[bytes]) -> list[NDArray[np.float32]]:
        return list(self._model(data))

    def serialize(self, data: NDArray[np.float32]) -> bytes:
        return data.tobytes()


if __name__ == "__main__":
    server = Server()
    server.append_worker(Recognizer, num=1, max_batch_size=MAX_BATCH, max_wait_time=0)
    server.run()
