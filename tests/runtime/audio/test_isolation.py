"""A decoder that dies costs its own recording only, and can do nothing else."""

from __future__ import annotations

import io
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from emotion2vec_runtime.audio import AudioSpec, Encoding, StreamDecoder, decode
from emotion2vec_runtime.audio.workers import pool, process, seccomp
from emotion2vec_runtime.errors import BusyError, InvalidRequestError, TooLargeError

from tests.runtime.audio.conftest import floats
from tests.runtime.audio.media import encode, speech

DETECT = AudioSpec(Encoding.DETECT)
pytestmark = pytest.mark.skipif(not process.IS_ISOLATED, reason="there are no decoder processes")


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[pool.Pool]:
    """A pool of its own for each test."""
    own = pool.Pool(size=1, max_live=2)
    for module in ("decode", "readers"):
        monkeypatch.setattr(sys.modules[f"emotion2vec_runtime.audio.{module}"], "POOL", own)
    yield own
    own.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def children(parent: int) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(ppid) == parent and state != "Z":
            found.add(int(path.parent.name))
    return found


def zygote(decoders: pool.Pool) -> int:
    assert decoders._zygote._process is not None
    return decoders._zygote._process.pid


@pytest.fixture(scope="module")
def hours() -> bytes:
    """An hour and a half of silence in a small file."""
    file = io.BytesIO()
    with sf.SoundFile(file, "w", 8000, 1, format="FLAC", subtype="PCM_16") as writer:
        for _ in range(200):
            writer.write(np.zeros(8000 * 30, np.int16))
    return file.getvalue()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_a_decoder_that_dies_or_hangs_is_replaced(
    decoders: pool.Pool, hours: bytes, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(process, "_PATIENCE", 6.0)
    good = encode(speech("sad"), "mp3", "libmp3lame")
    before = floats(decode(good, DETECT, 10))
    (worker,) = children(zygote(decoders))
    caught: list[Exception] = []

    def run() -> None:
        try:
            decode(hours, DETECT, 1e9)
        except InvalidRequestError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: is_busy(worker))
    os.kill(worker, number)
    thread.join()
    assert "made its decoder fail" in str(caught[0])
    np.testing.assert_array_equal(floats(decode(good, DETECT, 10)), before)
    assert worker not in children(zygote(decoders))
    assert decoders.counts() == (0, 1, 1)


def is_busy(process: int) -> bool:
    """Whether it has used the processor for 80 ms since it was forked."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system) >= 8


@pytest.mark.parametrize("whom", [zygote, lambda decoders: min(children(zygote(decoders)))])
def test_processes_that_are_killed_between_recordings_cost_none(
    decoders: pool.Pool, whom: Callable[[pool.Pool], int]
) -> None:
    data = encode(speech("sad"), "mp3", "libmp3lame")
    before = floats(decode(data, DETECT, 10))
    workers = children(zygote(decoders))
    victim = whom(decoders)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not is_running(victim))
    if victim not in workers:
        wait_until(lambda: not any(map(is_running, workers)))
    np.testing.assert_array_equal(floats(decode(data, DETECT, 10)), before)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_live_recording_has_its_own_decoder_and_gives_it_back(decoders: pool.Pool) -> None:
    data = encode(speech("sad"), "ogg", "libopus", 48000)
    streams = [StreamDecoder(DETECT) for _ in range(2)]
    for stream in streams:
        stream.push(data[:2000])
    third = StreamDecoder(DETECT)
    with pytest.raises(BusyError):
        third.push(data[:2000])
    assert len(children(zygote(decoders))) == 2
    assert decoders.counts() == (2, 0, 0)
    streams[0].close()
    StreamDecoder(DETECT).push(data[:2000])
    streams[1].push(data[2000:])
    assert streams[1].finish().size


def test_a_bad_file_costs_no_process(decoders: pool.Pool, hours: bytes) -> None:
    good = encode(speech("sad"), "mp3", "libmp3lame")
    decode(good, DETECT, 10)
    workers = children(zygote(decoders))
    with pytest.raises(InvalidRequestError):
        decode(b"fLaC" + bytes(1000), DETECT, 10)
    with pytest.raises(TooLargeError):
        decode(hours, DETECT, 10)
    decode(good, DETECT, 10)
    assert children(zygote(decoders)) == workers


def test_nothing_is_left_when_the_pool_is_closed(decoders: pool.Pool) -> None:
    decode(encode(speech("sad"), "mp3", "libmp3lame"), DETECT, 10)
    every = {zygote(decoders), *children(zygote(decoders))}
    decoders.close()
    wait_until(lambda: not any(map(is_running, every)))


def test_nothing_is_left_of_a_server_that_is_killed() -> None:
    code = (
        "import os, signal, sys; from emotion2vec_runtime.audio import *; "
        "decode(open(sys.argv[1], 'rb').read(), AudioSpec(Encoding.DETECT), 10); "
        "from emotion2vec_runtime.audio.workers.pool import POOL; "
        "print(POOL._zygote._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    example = Path(__file__).parents[3] / "examples" / "sad.flac"
    done = subprocess.run([sys.executable, "-c", code, example], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not is_running(int(done.stdout)))


ATTEMPTS = {
    "open a file": "open('/etc/passwd')",
    "write a file": "os.open('/tmp/written', os.O_CREAT | os.O_WRONLY)",
    "open a socket": "socket.socket()",
    "start a process": "os.fork() or os._exit(0)",
    "take a gigabyte": "bytearray(1 << 30)",
    "grow a file": "os.write(spare, b'x')",
    "signal its owner": "os.kill(os.getppid(), 0)",
    "become root": "os.setuid(0) if os.getuid() else open('/etc/passwd')",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_what_a_decoder_may_not_do(attempt: str) -> None:
    code = (
        "import os, signal, socket; from emotion2vec_runtime.audio.workers import sandbox\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "spare = os.memfd_create('spare')\n"
        "sandbox.enter()\n"
        f"try: {ATTEMPTS[attempt]}\n"
        "except (OSError, MemoryError): os._exit(7)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 7, done.stderr


@pytest.mark.skipif(platform.machine() not in seccomp._MACHINES, reason="the kernel has no filter")
@pytest.mark.parametrize("name", seccomp._REFUSED)
def test_refused_calls_are_those_of_that_name(name: str) -> None:
    """As the machine's C library knows them, by what it does with a call that must fail."""
    number = seccomp._REFUSED[name][seccomp._MACHINES[platform.machine()][0]]
    header = Path("/usr/include") / f"{platform.machine()}-linux-gnu" / "asm" / "unistd_64.h"
    if number is None or not header.exists():
        pytest.skip("nothing to compare with")
    assert f"#define __NR_{name} {number}\n" in header.read_text()


def test_a_turn_has_an_end() -> None:
    code = (
        "from emotion2vec_runtime.audio.workers import sandbox\n"
        "sandbox.TURN_SECONDS = 0\n"
        "sandbox.enter()\n"
        "sandbox.begin_turn()\n"
        "while True: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -signal.SIGXCPU
