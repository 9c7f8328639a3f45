"""A process with streams, as seen by who starts, stops or kills it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from benchmarks.soak.crowd import Job, Outcome


class Callers:
    """A process that runs a job. `stop` and then `outcome`, or `kill`."""

    def __init__(self, job: Job, log: Path) -> None:
        with log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.soak.crowd"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._log = log
        self._say(json.dumps(asdict(job)))

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        """Says that the server is about to stop."""
        self._say("stop")

    def outcome(self) -> Outcome:
        """Waits for the end.

        Raises:
            RuntimeError: the process failed.
        """
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"callers failed; see {self._log}")
        return Outcome(**json.loads(output))

    def kill(self) -> None:
        """SIGKILL: no farewell to the server. Harmless on a process that has ended."""
        self._process.kill()
        self._process.communicate()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        # One that has ended is noticed by its outcome.
        with suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
