"""What a call costs in transport alone: our gRPC server against grpc.aio's, both on uvloop
and with the same heap.

    .venv/bin/python -m benchmarks.transport [--rounds N] [--seconds S]

The handler reads one message and answers with 400 bytes, as Recognize does without a model. Each
server is a process of its own; they take turns, so that what else the machine does meets both. The
client is grpc.aio's, here, over one connection; its CPU time is not counted, but limits calls/s.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import grpc
import uvloop
from emotion2vec_server import rpc
from emotion2vec_server.heap import keep_freed_memory

from benchmarks import machine, markdown
from benchmarks.process import cpu_seconds, free_port, running

KINDS = ("grpc.aio", "ours")
SIZES = (0, 160_000)
CALLERS = (1, 8, 64)
_METHOD = "/bench.Transport/Call"
_REPLY = bytes(400)
_LIMIT = 2**26


class Cell(NamedTuple):
    """One server under one load."""

    calls_per_second: float
    server_cpu_ms: float
    """Of the server process, user and system, a call."""
    p50_ms: float


async def _handle(_requests: AsyncIterator[bytes], context: Any) -> bytes:
    await context.read()
    return _REPLY


async def _serve(kind: str, port: int) -> None:
    service, method = _METHOD.strip("/").split("/")
    handlers: dict[str, Any] = {method: grpc.stream_unary_rpc_method_handler(_handle)}
    server: Any
    if kind == "ours":
        server = rpc.Server(limits=rpc.Limits(max_message_bytes=_LIMIT))
        server.listen("127.0.0.1", port)
    else:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", _LIMIT)])
        server.add_insecure_port(f"127.0.0.1:{port}")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    await server.start()
    await asyncio.Event().wait()


async def _measure(port: int, pid: int, size: int, callers: int, seconds: float) -> Cell:
    body, latencies = bytes(size), list[float]()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary(_METHOD)
        for _ in range(20):
            await call(body, wait_for_ready=True)

        async def loop() -> None:
            while (began := time.perf_counter()) < end:
                await call(body)
                latencies.append(time.perf_counter() - began)

        cpu, begin = cpu_seconds(pid), time.perf_counter()
        end = begin + seconds
        await asyncio.gather(*[loop() for _ in range(callers)])
        elapsed = time.perf_counter() - begin
        spent = cpu_seconds(pid) - cpu
    count = len(latencies)
    return Cell(count / elapsed, 1000 * spent / count, 1000 * median(latencies))


def measure(rounds: int, seconds: float) -> dict[tuple[int, int, str], Cell]:
    """The medians of all rounds, by message size, callers and server."""
    found: dict[tuple[int, int, str], list[Cell]] = {}
    with TemporaryDirectory() as folder:
        for number in range(rounds):
            for kind in KINDS if number % 2 else reversed(KINDS):
                port = free_port()
                command = [sys.executable, "-m", "benchmarks.transport", "--serve", kind, str(port)]
                with running(command, Path(folder, "log")) as process:
                    for size in SIZES:
                        for callers in CALLERS:
                            cell = asyncio.run(_measure(port, process.pid, size, callers, seconds))
                            found.setdefault((size, callers, kind), []).append(cell)
    return {key: Cell(*map(median, zip(*cells, strict=True))) for key, cells in found.items()}


def report(cells: dict[tuple[int, int, str], Cell]) -> str:
    """A Markdown table: grpc.aio, then ours, and how many times as good ours is."""
    header = ["request, callers", *(f"{what}, {kind}" for what in _COLUMNS for kind in KINDS)]
    rows = [
        [f"{size:,} bytes, {callers}", *_figures(*(cells[size, callers, kind] for kind in KINDS))]
        for size in SIZES
        for callers in CALLERS
    ]
    return markdown.table([*header, "CPU saved"], rows)


_COLUMNS = ("server CPU ms a call", "calls/s", "p50 ms")


def _figures(theirs: Cell, ours: Cell) -> list[str]:
    return [
        *(f"{cell.server_cpu_ms:.3f}" for cell in (theirs, ours)),
        *(f"{cell.calls_per_second:,.0f}" for cell in (theirs, ours)),
        *(f"{cell.p50_ms:.2f}" for cell in (theirs, ours)),
        f"{theirs.server_cpu_ms / ours.server_cpu_ms:.1f}x",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transport", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--serve", nargs=2, metavar=("KIND", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        keep_freed_memory()
        uvloop.run(_serve(options.serve[0], int(options.serve[1])))
        return
    here = machine.describe()
    cells = measure(options.rounds, options.seconds)
    print(f"{here.date}, {here.processor}, {here.cores} cores, Python {here.python}\n")
    print(report(cells))


if __name__ == "__main__":
    main()
