"""Our server as a server: where it listens, how it stops, and what it does to bad connections."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import hpack
import pytest
from emotion2vec_server import rpc
from emotion2vec_server.http2 import frames
from emotion2vec_server.rpc.call import Call
from emotion2vec_server.rpc.peer import Peer
from grpc_health.v1 import health_pb2

from tests.server.http2.peer import GREETING, Frame, data, frame, headers, parse, request
from tests.server.rpc.serving import SERVICE, calling, failure, path

MIB = 2**20
SHORT = rpc.Patience(
    handshake=0.3, silence=0.3, answer=0.3, idle=1.0, request=0.3, stall=0.3, check=0.05
)


async def echo(_requests: AsyncIterator[bytes], context: Any) -> bytes:
    message: bytes = await context.read()
    return message


async def name(_requests: AsyncIterator[bytes], context: Any) -> bytes:
    return str(context.peer()).encode()


async def large(_requests: AsyncIterator[bytes], _context: Any) -> bytes:
    return bytes(8 * MIB)


METHODS = {
    method: grpc.stream_unary_rpc_method_handler(behaviour)
    for method, behaviour in {"Echo": echo, "Name": name, "Large": large}.items()
}


@asynccontextmanager
async def serving(
    limits: rpc.Limits | None = None,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    grace: float = 0,
    **methods: grpc.RpcMethodHandler[Any, Any],
) -> AsyncIterator[tuple[rpc.Server, int]]:
    server = rpc.Server(limits=limits)
    handler = grpc.method_handlers_generic_handler(SERVICE, {**METHODS, **methods})
    server.add_generic_rpc_handlers((handler,))
    port = server.listen(host, 0, tls)
    await server.start()
    try:
        yield server, port
    finally:
        await server.stop(grace)


class Socket:
    """A connection by hand."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Socket:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def rest(self) -> list[Frame]:
        """All that comes until the server closes."""
        return parse(await asyncio.wait_for(self.reader.read(), 10))

    async def next(self, wanted: Callable[[Frame], bool]) -> Frame:
        """The next frame of that kind."""
        while True:
            head = await asyncio.wait_for(self.reader.readexactly(frames.HEAD_BYTES), 10)
            length_and_kind, flags, stream_id = frames.HEAD.unpack(head)
            payload = await self.reader.readexactly(length_and_kind >> 8)
            found = Frame(length_and_kind & 0xFF, flags, stream_id, payload)
            if wanted(found):
                return found


def ask(method: str, stream_id: int = 1, **fields: str) -> bytes:
    given = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path(method),
        "content-type": "application/grpc",
        **{key.replace("_", "-"): value for key, value in fields.items()},
    }
    return request(stream_id, fields=list(given.items()))


MESSAGE = struct.pack(">BI", 0, 3) + b"abc"


# How it writes.


class Counting:
    """A transport that counts what is written to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self.writes += 1
        self._transport.write(data)


async def test_answers_that_are_ready_together_go_out_in_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transports: list[Counting] = []
    connected = Peer.connection_made

    def connection_made(self: Peer, transport: asyncio.Transport) -> None:
        transports.append(Counting(transport))
        connected(self, transports[-1])  # type: ignore[arg-type]

    monkeypatch.setattr(Peer, "connection_made", connection_made)
    release, waiting = asyncio.Event(), asyncio.Semaphore(0)

    async def batch(_requests: AsyncIterator[bytes], _context: Any) -> bytes:
        waiting.release()
        await release.wait()
        return b"done"

    method = grpc.stream_unary_rpc_method_handler(batch)
    async with serving(Batch=method) as (_, port), Socket(port) as client:
        client.send(GREETING, *(ask("Batch", stream_id) for stream_id in range(1, 21, 2)))
        for _ in range(10):
            await waiting.acquire()
        before = transports[0].writes
        release.set()
        for stream_id in range(1, 21, 2):
            await client.next(
                lambda found, number=stream_id: found.stream_id == number and found.flags & 1
            )
        assert transports[0].writes == before + 1


# Where it listens.


@pytest.mark.parametrize(
    ("host", "address", "peer"),
    [
        ("127.0.0.1", "127.0.0.1", "ipv4:127.0.0.1:"),
        ("0.0.0.0", "127.0.0.1", "ipv4:127.0.0.1:"),
        ("localhost", "localhost", "ipv"),
        ("::1", "[::1]", "ipv6:%5B::1%5D:"),
        ("::", "[::1]", "ipv6:%5B::1%5D:"),
        ("::", "127.0.0.1", "ipv4:127.0.0.1:"),
    ],
)
async def test_addresses(host: str, address: str, peer: str) -> None:
    if ":" in host and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    async with serving(host=host) as (_, port), calling(f"{address}:{port}") as channel:
        reply = await channel.unary_unary(path("Name"))(b"")
        assert reply.decode().startswith(peer)
        assert int(reply.decode().rpartition(":")[2]) > 0


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_peers_are_named_as_grpc_names_them() -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, METHODS),))
    port = server.add_insecure_port("[::1]:0") if _has_ipv6() else 0
    if not port:
        pytest.skip("this machine has no IPv6")
    await server.start()
    async with calling(f"[::1]:{port}") as channel:
        reply = await channel.unary_unary(path("Name"))(b"")
        assert reply.startswith(b"ipv6:%5B::1%5D:")
    await server.stop(0)


async def test_port_in_use() -> None:
    async with serving() as (_, port):
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):
            with pytest.raises(OSError, match="in use"):
                rpc.Server().listen(host, port)


async def test_address_of_another_machine() -> None:
    with pytest.raises(OSError, match="assign"):
        rpc.Server().listen("192.0.2.1", 0)


# How it stops.


async def test_stop_lets_calls_end() -> None:
    began = asyncio.Event()

    async def slow(_requests: AsyncIterator[bytes], context: Any) -> bytes:
        began.set()
        await asyncio.sleep(0.3)
        message: bytes = await context.read()
        return message

    method = grpc.stream_unary_rpc_method_handler(slow)
    async with serving(Slow=method) as (server, port), calling(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(path("Slow"))(b"x" * 100_000)
        answering = asyncio.ensure_future(_result_of(call))
        await asyncio.wait_for(began.wait(), 5)
        stopping = asyncio.create_task(server.stop(10))
        assert await answering == b"x" * 100_000
        await asyncio.wait_for(stopping, 5)
        code, _ = await failure(channel.unary_unary(path("Echo"))(b"", timeout=5))
        assert code is grpc.StatusCode.UNAVAILABLE


async def _result_of(call: Any) -> Any:
    return await call


async def test_stop_ends_calls_that_take_too_long() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def stuck(_requests: AsyncIterator[bytes], _context: Any) -> bytes:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return b""

    method = grpc.stream_unary_rpc_method_handler(stuck)
    async with serving(Stuck=method) as (server, port), calling(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(path("Stuck"))(b"")
        failing = asyncio.create_task(failure(call))
        await asyncio.wait_for(began.wait(), 5)
        await asyncio.wait_for(server.stop(0.2), 5)
        code, details = await failing
        assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "the server is shutting down")
        assert cancelled.is_set()


async def test_stop_delivers_answers_that_wait() -> None:
    """One that its caller takes slowly is longer on its way than its handler ran."""
    async with serving() as (server, port), Socket(port) as client:
        client.send(GREETING, ask("Large"), data(1, MESSAGE, end=True))
        await client.next(lambda each: each.kind == frames.DATA)
        stopping = asyncio.create_task(server.stop(0.1, delivery=10))
        await asyncio.sleep(0.5)
        assert not stopping.done()
        more = 9 * MIB
        client.send(frames.window_update(0, more), frames.window_update(1, more))
        await client.next(lambda each: bool(each.flags & frames.END_STREAM))
        await asyncio.wait_for(stopping, 5)


async def test_request_that_is_no_message_is_the_callers_mistake(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def unary(request: Any, _context: Any) -> bytes:
        return b""

    method = grpc.unary_unary_rpc_method_handler(
        unary, request_deserializer=health_pb2.HealthCheckRequest.FromString
    )
    async with serving(Unary=method) as (_, port), calling(f"127.0.0.1:{port}") as channel:
        code, _ = await failure(channel.unary_unary(path("Unary"))(b"\xff\xff"))
    assert code is grpc.StatusCode.INTERNAL
    assert not caplog.records


async def test_stop_without_calls_is_quick() -> None:
    async with serving() as (server, port), calling(f"127.0.0.1:{port}") as channel:
        await channel.unary_unary(path("Echo"))(b"")
        await asyncio.wait_for(server.stop(30), 2)


# TLS.


def certificate(folder: Path, subject: str, *issuer: str) -> tuple[Path, Path]:
    """A certificate and its key, by itself or by the issuer's options."""
    paths = folder / f"{subject}.pem", folder / f"{subject}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"]
    names = ["-subj", f"/CN={subject}", "-addext", "subjectAltName=IP:127.0.0.1"]
    names += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
    files = ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run([*command, *names, *issuer, *files], check=True, capture_output=True)
    return paths


def context_of(chain: Path, key: Path, authority: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    if authority is not None:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_tls(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path, "server")
    credentials = grpc.ssl_channel_credentials(chain.read_bytes())
    async with serving(tls=context_of(chain, key)) as (_, port):
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            for size in (0, 160_000, 3 * MIB):
                assert await channel.unary_unary(path("Echo"))(bytes(size)) == bytes(size)
        async with calling(f"127.0.0.1:{port}") as channel:
            code, _ = await failure(channel.unary_unary(path("Echo"))(b"", timeout=5))
            assert code is grpc.StatusCode.UNAVAILABLE


async def test_tls_of_clients(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path, "server")
    authority = certificate(tmp_path, "authority")
    signed = ["-CA", str(authority[0]), "-CAkey", str(authority[1])]
    client = certificate(tmp_path, "client", *signed)
    stranger = certificate(tmp_path, "stranger")
    async with serving(tls=context_of(chain, key, authority[0])) as (_, port):
        for known, (shown, secret) in ((True, client), (False, stranger)):
            credentials = grpc.ssl_channel_credentials(
                chain.read_bytes(), secret.read_bytes(), shown.read_bytes()
            )
            async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
                call = channel.unary_unary(path("Echo"))(b"abc", timeout=5)
                if known:
                    assert await call == b"abc"
                else:
                    assert (await failure(call))[0] is grpc.StatusCode.UNAVAILABLE


async def test_tls_without_http2(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path, "server")
    async with serving(tls=context_of(chain, key)) as (_, port):
        client = ssl.create_default_context(cafile=str(chain))
        client.set_alpn_protocols(["http/1.1"])
        with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
            await _first_byte(port, client)


async def _first_byte(port: int, tls: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(GREETING)
    return await asyncio.wait_for(reader.readexactly(1), 5)


# Bad connections.


async def test_connection_that_is_no_client() -> None:
    async with serving(rpc.Limits(patience=SHORT)) as (_, port), Socket(port) as client:
        client.send(frames.PREFACE[:10])
        kinds = [each.kind for each in await client.rest()]
        assert kinds == [frames.SETTINGS, frames.WINDOW_UPDATE]


async def test_http_1() -> None:
    async with serving() as (_, port), Socket(port) as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert (await client.rest())[-1].kind == frames.GOAWAY


async def test_client_that_vanished_is_dropped() -> None:
    async with serving(rpc.Limits(patience=SHORT)) as (_, port), Socket(port) as client:
        client.send(GREETING, ask("Echo"))
        ping = await client.next(lambda each: each.kind == frames.PING)
        assert ping.flags == 0
        assert await client.rest() == []


async def test_client_that_answers_is_kept_until_it_is_idle() -> None:
    async with serving(rpc.Limits(patience=SHORT)) as (_, port), Socket(port) as client:
        client.send(GREETING)
        kinds = []
        while frames.GOAWAY not in kinds:
            found = await client.next(lambda each: each.kind in (frames.PING, frames.GOAWAY))
            kinds.append(found.kind)
            if found.kind == frames.PING:
                client.send(frames.ping(found.payload, ack=True))
        assert kinds.count(frames.PING) >= 2
        assert found.payload == struct.pack(">II", 0, 0)


async def test_answer_that_nobody_takes() -> None:
    """The connection lives, but a stream's window stays shut."""
    async with serving(rpc.Limits(patience=SHORT)) as (_, port), Socket(port) as client:
        client.send(GREETING, ask("Large"), data(1, MESSAGE, end=True))
        beat = asyncio.create_task(_beat(client))
        reset = await client.next(lambda each: each.kind == frames.RST_STREAM)
        assert reset.stream_id == 1
        client.send(ask("Echo", 3), data(3, MESSAGE, end=True), frames.window_update(0, MIB))
        assert (await client.next(lambda each: each.stream_id == 3)).kind == frames.HEADERS
        beat.cancel()


async def _beat(client: Socket) -> None:
    while True:
        client.send(frame(frames.PING, 0, 0, bytes(8)))
        await asyncio.sleep(0.1)


async def test_peer_that_does_not_read_is_not_read_from() -> None:
    """It can't make us answer without end: what we hold for it stays bounded."""
    limits = rpc.Limits(patience=rpc.Patience(silence=0.5, answer=0.5, check=0.05))
    async with serving(limits) as (server, port):
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.setblocking(False)
            with pytest.raises((TimeoutError, ConnectionError)):
                await _ask_without_reading(plain)
            # It counts as one that vanished.
            await asyncio.wait_for(server._until(lambda: not server._peers, 5), 5)
            assert not server._peers


async def _ask_without_reading(plain: socket.socket) -> None:
    """Asks for what is refused, each time in more bytes than were asked in."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(plain, GREETING)
    for begin in range(1, 2**31, 2000):
        refused = [headers(begin + step, b"\x82\x86\x84", end=True) for step in range(0, 2000, 2)]
        await asyncio.wait_for(loop.sock_sendall(plain, b"".join(refused)), 3)


async def test_request_that_never_comes() -> None:
    async def unary(request: bytes, _context: Any) -> bytes:
        return request

    method = grpc.unary_unary_rpc_method_handler(unary)
    limits = rpc.Limits(patience=SHORT)
    async with serving(limits, Unary=method) as (_, port), Socket(port) as client:
        client.send(GREETING, ask("Unary"), data(1, MESSAGE[:-1]))
        end = await client.next(lambda each: each.kind == frames.HEADERS)
        assert (b"grpc-status", b"4") in hpack.Decoder().decode(end.payload, raw=True)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b""])
async def test_no_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    chain, key = certificate(tmp_path, "server")
    limits = rpc.Limits(patience=SHORT)
    async with serving(limits, tls=context_of(chain, key)) as (_, port), Socket(port) as client:
        client.send(sent)
        await asyncio.wait_for(client.reader.read(), 5)
    assert [each for each in caplog.records if each.levelno > logging.DEBUG] == []


async def test_too_many_connections() -> None:
    async with serving(rpc.Limits(max_connections=1)) as (_, port), Socket(port) as first:
        first.send(GREETING)
        await first.next(lambda each: each.kind == frames.SETTINGS)
        async with Socket(port) as second:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await second.next(lambda each: each.kind == frames.SETTINGS)
        first.send(ask("Echo"), data(1, MESSAGE, end=True))
        await first.next(lambda each: each.kind == frames.DATA)


async def test_fault_is_one_line_of_debugging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "emotion2vec_server")
    async with serving() as (_, port), Socket(port) as client:
        client.send(GREETING, frame(frames.PING, 0, 0, bytes(7)))
        assert (await client.rest())[-1].kind == frames.GOAWAY
    (record,) = [each for each in caplog.records if each.name.startswith("emotion2vec_server")]
    assert record.levelno == logging.DEBUG
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (ask("Echo", content_type="application/json"), b":status 415"),
        (request(1, fields=[(":method", "GET"), (":scheme", "http"), (":path", "/")]), b"405"),
        (ask("Echo", grpc_encoding="zstd"), b"grpc-status 12"),
        (ask("Echo", grpc_timeout="soon"), b"grpc-status 13"),
        (ask("Echo", grpc_timeout="0S") + data(1, MESSAGE, end=True), b"grpc-status 4"),
        (ask("Echo", grpc_timeout="99999999H") + data(1, MESSAGE, end=True), b"grpc-status 0"),
        (ask("Echo", note="x" * 20_000), b"grpc-status 8"),
        (ask("Echo") + data(1, struct.pack(">BI", 0, 2**30)), b"grpc-status 8"),
        (ask("Echo") + data(1, struct.pack(">BI", 7, 1)), b"grpc-status 13"),
        (ask("Echo") + data(1, MESSAGE[:-1], end=True), b"grpc-status 13"),
        (ask("Echo") + data(1, struct.pack(">BI", 1, 1) + b"x", end=True), b"grpc-status 13"),
        (ask("Echo", te="trailers") + data(1, MESSAGE, end=True), b"grpc-status 0"),
        (ask("Echo") + data(1, MESSAGE, end=True), b"grpc-status 0"),
    ],
)
async def test_answers(sent: bytes, status: bytes) -> None:
    decoder = hpack.Decoder()
    async with serving() as (_, port), Socket(port) as client:
        client.send(GREETING, sent)
        fields = []
        ended = False
        while not ended:
            found = await client.next(lambda each: each.kind == frames.HEADERS)
            fields += decoder.decode(found.payload, raw=True)
            ended = bool(found.flags & frames.END_STREAM)
        assert status in b"\n".join(key + b" " + value for key, value in fields)
        # The connection serves on.
        client.send(ask("Echo", 3), data(3, MESSAGE, end=True))
        answer = await client.next(lambda each: each.kind == frames.DATA and each.stream_id == 3)
        assert answer.payload == MESSAGE


async def test_call_that_is_over_before_its_handler_begins() -> None:
    async with serving() as (server, port), Socket(port) as client:
        client.send(GREETING, ask("Echo"), frames.reset(1, 8), ask("Echo", 3))
        client.send(data(3, MESSAGE, end=True))
        await client.next(lambda each: each.kind == frames.DATA and each.stream_id == 3)
        (peer,) = server._peers
        assert not peer.calls


async def test_call_leaves_nothing_behind() -> None:
    """No cycle that would wait for the garbage collector, which stops everything when it comes."""
    async with serving() as (server, port), calling(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(path("Echo"))
        for _ in range(3):
            await call(b"x" * 100_000)
        gc.collect()
        gc.disable()
        try:
            async with Socket(port) as client:
                client.send(GREETING)
                for stream_id in range(1, 201, 2):
                    client.send(ask("Echo", stream_id), data(stream_id, MESSAGE, end=True))
                    await client.next(lambda each: each.kind == frames.DATA)
            assert not any(isinstance(each, Call) for each in gc.get_objects())
        finally:
            gc.enable()
        assert all(not peer.calls for peer in server._peers)
