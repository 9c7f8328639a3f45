"""Processes under measurement: started, watched through /proc, and always stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 180
STOP_SECONDS = 20
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    members = [pid]
    for member in members:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                members += map(int, task.read_text().split())
            except OSError:
                continue
    return members


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def cpu_seconds(pid: int) -> float:
    """CPU time, user and system, of the process, its descendants and those it has reaped."""
    return sum(_ticks(member) for member in family(pid)) / _TICKS


def resident_bytes(pid: int) -> int:
    """Memory in use, of the process and its descendants; shared pages count once for each."""
    return sum(_resident_pages(member) for member in family(pid)) * _PAGE


def peak_resident_bytes(pid: int) -> int:
    """Most memory that the process has had in use, since `forget_peak` if that was called."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def forget_peak(pid: int) -> None:
    """Sets the peak back to what is in use now: proc(5), clear_refs."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _ticks(pid: int) -> int:
    # After the name, which may hold spaces: fields 14 to 17 of proc(5) are utime, stime, cutime,
    # cstime.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    pid: int
    address: str
    """host:port"""
    metrics_url: str = ""
    http_address: str = ""
    """host:port of the same server's HTTP."""


@contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process with all its descendants, stopped at the end; its output goes to `log`."""
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **(environment or {})},
            # A group of its own, so that all of it can be stopped together.
            start_new_session=True,
        )
        try:
            yield process
        finally:
            stop(process)


def exchange(module: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Runs `python -m module`: `job` as JSON to its stdin, the result as JSON from its stdout.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def stop(process: subprocess.Popen[str]) -> None:
    """SIGTERM; what of the family is left after a while gets SIGKILL."""
    members = family(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for pid in {*members, *family(process.pid)}:
        if pid == process.pid and process.poll() is not None:
            continue
        try:
            if os.getpgid(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


@contextmanager
def emotion2vec_server(log: Path, *arguments: str) -> Iterator[Server]:
    """Our server on free ports.

    Raises:
        RuntimeError: it does not serve.
    """
    ports = ("--port", "0", "--http-port", "0", "--metrics-port", "0")
    command = [sys.executable, "-m", "emotion2vec_server", *ports]
    with running([*command, *arguments], log) as process:
        metrics = _wait_for_line(process, log, r"metrics on (http://\S+)")
        address = _wait_for_line(process, log, r"serving on (\S+:\d+)")
        http_address = _wait_for_line(process, log, r"page is at http://(\S+:\d+)")
        yield Server(process.pid, address, metrics, http_address)


def _wait_for_line(process: subprocess.Popen[str], log: Path, pattern: str) -> str:
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        if found := re.search(pattern, log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.01)
    raise RuntimeError(f"the server did not start; see {log}")
