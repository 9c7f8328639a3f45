"""`python -m emotion2vec_archive.leash ...`: emotion2vec-server that ends with who started it.

It runs until standard input ends, which it does however its other end dies.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading


def _stop_when_alone() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_when_alone, daemon=True).start()
    runpy.run_module("emotion2vec_server", run_name="__main__", alter_sys=True)
