"""The process that decoders are forked from: Python with FFmpeg loaded, no more. Linux only.

A decoder forked from it is there in milliseconds and shares its memory; started anew, each would
take 0.3 s of CPU time and 40 MB. It talks to its owner in lines of one packet each:

    fork, with a link's socket, a file and a memory    answers with the process's id
    kill ID                                            ends that one, if it still runs
"""

from __future__ import annotations

import gc
import io
import mmap
import os
import signal
import socket
import struct
import sys
from typing import Final, NoReturn

from emotion2vec_runtime.audio.containers.formats import Format
from emotion2vec_runtime.audio.headers import Length
from emotion2vec_runtime.audio.workers import sandbox
from emotion2vec_runtime.audio.workers.decoder import serve
from emotion2vec_runtime.audio.workers.job import Job
from emotion2vec_runtime.audio.workers.link import Kind, Message, SocketLink, queue_links

FORK, KILL = b"fork", b"kill "
DESCRIPTORS = 3
"""That come with `FORK`."""
_BEEP: Final = struct.pack(">4s5I", b".snd", 24, 3200, 3, 8000, 2) + bytes(3200)
"""An AU file: 16 bits, 8 kHz, two channels."""


def main() -> None:
    """Serves the owner whose socket is the descriptor that the first argument names."""
    owner = socket.socket(fileno=int(sys.argv[1]))
    _warm_up()
    gc.freeze()
    children: set[int] = set()
    while True:
        request, descriptors, _, _ = socket.recv_fds(owner, 64, DESCRIPTORS)
        if not request:
            _end(children)
        children -= _reaped(children)
        if request == FORK:
            child = os.fork()
            if not child:
                _become_decoder(owner, descriptors)
            children.add(child)
            for descriptor in descriptors:
                os.close(descriptor)
            owner.sendall(str(child).encode())
        elif request.startswith(KILL):
            child = int(request.removeprefix(KILL))
            if child in children:
                os.kill(child, signal.SIGKILL)


def _warm_up() -> None:
    """Decodes something, so that what Python loads at its first use is there: a decoder can't."""
    owner, decoder = queue_links()
    job = Job(Format.AU, Length(), max_seconds=1, separate=False)
    for content in (_BEEP, _BEEP[:4]):
        owner.send(job.message(is_live=False))
        owner.send(Message(Kind.TAKEN))
        owner.close()
        serve(decoder, io.BytesIO(content), memoryview(bytearray(1 << 16)), sandbox.begin_turn)


def _reaped(children: set[int]) -> set[int]:
    """Those that have ended. Until they are reaped, here alone, nobody else gets their ids."""
    return {child for child in children if os.waitpid(child, os.WNOHANG)[0]}


def _end(children: set[int]) -> NoReturn:
    for child in children:
        os.kill(child, signal.SIGKILL)
    os._exit(0)


def _become_decoder(owner: socket.socket, descriptors: list[int]) -> NoReturn:
    connection, file, shared = descriptors
    try:
        owner.close()
        memory = memoryview(mmap.mmap(shared, 0))
        os.close(shared)
        link = SocketLink(socket.socket(fileno=connection))
        content = os.fdopen(file, "rb", buffering=0)
        sandbox.enter()
        serve(link, content, memory, sandbox.begin_turn)
    finally:
        # Whatever happened is the owner's to tell, who sees the link close.
        os._exit(0)


if __name__ == "__main__":
    main()
