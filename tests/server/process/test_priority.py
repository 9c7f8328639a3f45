"""The model's threads give way to the event loop's."""

from __future__ import annotations

import os
import sys
import threading

import pytest
from emotion2vec_server.process.priority import give_way

_NICEST = 19
"""Linux gives way no further (setpriority(2)), however nice the tests themselves are run."""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere priorities are a process's")
def test_a_thread_and_what_it_starts_give_way_and_the_main_thread_does_not() -> None:
    seen: dict[str, int] = {}

    def look(name: str) -> None:
        seen[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def load() -> None:
        give_way()
        give_way()
        look("loader")
        started = threading.Thread(target=look, args=("worker",))
        started.start()
        started.join()

    before = os.getpriority(os.PRIO_PROCESS, os.getpid())
    loader = threading.Thread(target=load)
    loader.start()
    loader.join()
    look("main")
    behind = min(before + 5, _NICEST)
    assert seen == {"loader": behind, "worker": behind, "main": before}
