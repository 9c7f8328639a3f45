"""The threads that decode, and what waits for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


class DecodeThreads(ThreadPoolExecutor):
    """A pool of threads that tells how busy it is."""

    @property
    def waiting(self) -> int:
        """Pieces of work that no thread has taken up yet."""
        return self._work_queue.qsize()
