"""Starts a server on the bundled demo model, sends it sample speech, and stops it: `make demo`.

The server listens on a free port of the loopback interface. The exit status is 0 only if it
started, recognised everything, and stopped as it should.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SERVING = re.compile(r"serving on (\S+:\d+)")
START_SECONDS = 120
STOP_SECONDS = 60


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    samples = sorted((ROOT / "examples").glob("*.flac"))
    if not samples:
        return fail("examples/ holds no .flac file; check the repository out again")
    with running_server() as (server, address):
        if address is None:
            return fail("the server did not start; its messages stand above")
        names = [os.path.relpath(sample) for sample in samples]
        recognized = client("recognize", *names, "--server", address)
        streamed = client("stream", names[0], "--server", address)
    if server.returncode != 0:
        return fail(f"the server ended with status {server.returncode} instead of 0")
    if recognized or streamed:
        return fail("the client failed; its messages stand above")
    print("\nThe same in the browser: make serve, and then http://127.0.0.1:8080/")
    return 0


@contextmanager
def running_server() -> Iterator[tuple[subprocess.Popen[str], str | None]]:
    """A server process and its address, None if it did not start; stopped by SIGTERM at the end."""
    command = [str(BIN / "emotion2vec-server"), "--port", "0", "--http-port", "0", "--no-metrics"]
    settings = {name: os.environ[name] for name in os.environ if not name.startswith("E2V_")}
    show(command)
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=settings)
    address: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=relay, args=(server, address), daemon=True).start()
    try:
        yield server, wait_for(address)
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def relay(server: subprocess.Popen[str], address: SimpleQueue[str | None]) -> None:
    """Shows what the server says, and hands over the address that it names (None if it ends)."""
    assert server.stderr is not None
    for line in server.stderr:
        sys.stderr.write(line)
        if found := SERVING.search(line):
            address.put(found[1])
    address.put(None)


def wait_for(address: SimpleQueue[str | None]) -> str | None:
    try:
        return address.get(timeout=START_SECONDS)
    except Empty:
        return None


def client(*arguments: str) -> int:
    """Runs the client command, its output shown; its exit status."""
    command = [str(BIN / "emotion2vec"), *arguments]
    show(command)
    return subprocess.run(command, check=False).returncode


def show(command: list[str]) -> None:
    print("\n$", shlex.join([Path(command[0]).name, *command[1:]]), flush=True)


def fail(message: str) -> int:
    print(f"demo: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
