"""A module that runs as long as whoever started it, however that ends.

`python -m emotion2vec_server.process.tether MODULE ARGUMENT...` is `python -m MODULE ARGUMENT...`,
and is told to end (SIGTERM) when its standard input does: that is a pipe whose other end the system
closes with the process that holds it, killed or not.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    _, module, *arguments = sys.argv
    threading.Thread(target=_end_with_input, name="tether", daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
