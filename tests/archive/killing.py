"""`python -m tests.archive.killing TABLE COUNT KILLS`: runs that are killed at random moments.

A process of its own, with one thread, because it forks. Prints how many recordings the journal knew
after each kill.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from emotion2vec_archive.journal import Journal

from tests.archive.fast_engine import PLAN, recordings, run_on

_MOST_BYTES = 16_000
"""By which the journal grows before a kill."""


def main(table: Path, count: int, kills: int) -> None:
    wanted = recordings(count)
    journal = table.with_name(f"{table.name}.journal")
    journal.touch()
    chance = random.Random(1)
    for _ in range(kills):
        enough = journal.stat().st_size + chance.randrange(_MOST_BYTES)
        child = os.fork()
        if not child:
            run_on(table, wanted)
            os._exit(0)
        while journal.stat().st_size < enough and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.0002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with Journal(table, PLAN.to_dict()) as opened:
            sys.stdout.write(f"{len(opened)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
