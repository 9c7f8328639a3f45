"""What strangers can make the HTTP door spend is bounded, and the callers of both feel nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.e2e.conftest import RunningServer
from tests.e2e.test_strangers import SPEECH, UPLOAD_SECONDS, memory, seconds_of

POLITE = {"encoding": "LINEAR16", "sample_rate_hertz": "16000"}
HEAD = b"POST /v1/recognize HTTP/1.1\r\nHost: x\r\n"
STALLED = HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(100)


@contextmanager
def sending(server: RunningServer, *pieces: bytes) -> Iterator[socket.socket]:
    host, port = server.http_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as opened:
        for piece in pieces:
            opened.sendall(piece)
        yield opened


def is_closed(opened: socket.socket) -> bool:
    """Waits until it is, whatever comes before."""
    try:
        while opened.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def http_seconds_of(calls: int, server: RunningServer) -> list[float]:
    taken = []
    with requests.Session() as session:
        for _ in range(calls):
            began = time.monotonic()
            reply = session.post(f"{server.http_url}/v1/recognize", params=POLITE, data=SPEECH)
            assert reply.status_code == 200, reply.text
            taken.append(time.monotonic() - began)
    return taken


def test_a_thousand_idle_connections_and_stalled_bodies_shut_nobody_out(
    start: Callable[..., RunningServer],
) -> None:
    server = start()
    before = memory(server)
    with ExitStack() as opened:
        for _ in range(1000):
            opened.enter_context(sending(server))
        for _ in range(64):
            opened.enter_context(sending(server, STALLED))
        taken = seconds_of(20, server) + http_seconds_of(20, server)
        assert memory(server) - before < 100 * 2**20
    assert max(taken) < UPLOAD_SECONDS / 10


def test_nobody_is_waited_for_without_end(start: Callable[..., RunningServer]) -> None:
    """Who says nothing, half of a head, or goes on behind an answer that has been given."""
    server = start("--max-upload-seconds", "5", "--stream-idle-seconds", "3")
    refused = HEAD + b"Content-Encoding: gzip\r\nContent-Length: 100000000\r\n\r\n"
    upgrade = (
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with ExitStack() as opened:
        waiting = [
            opened.enter_context(sending(server, *pieces))
            for pieces in ((), (b"POST /v1/rec",), (refused,), (STALLED,), (upgrade,))
        ]
        assert all(is_closed(one) for one in waiting)


def test_a_huge_head_is_refused_at_once(demo_server: RunningServer) -> None:
    for field in (b"X-Long: " + b"x" * 2**20, b"X-Short: y\r\n" * 100_000):
        with sending(demo_server) as opened:
            try:
                opened.sendall(HEAD + field + b"\r\n\r\n")
            except ConnectionError:
                continue
            assert is_closed(opened)
    assert http_seconds_of(1, demo_server)


def test_what_is_sent_is_bounded_before_it_is_read(start: Callable[..., RunningServer]) -> None:
    server = start("--max-recording-seconds", "10")
    long = (bytes(100_000) for _ in range(10_000))
    reply = requests.post(f"{server.http_url}/v1/recognize", params=POLITE, data=long)
    assert reply.status_code == 413
    assert "--max-recording-seconds" in reply.json()["detail"]
    assert memory(server, "VmHWM") < 600 * 2**20


def test_a_large_message_ends_a_stream(demo_server: RunningServer) -> None:
    address = demo_server.http_url.replace("http", "ws") + "/v1/stream"
    with connect(address) as stream:
        stream.send(b"0" * 2**22)
        with pytest.raises(ConnectionClosed):
            list(iter(stream.recv, None))
        assert stream.close_code == 1009


def test_a_server_that_stops_loses_no_request(start: Callable[..., RunningServer]) -> None:
    """Callers without retries see answers, until nobody takes their connection."""
    server = start()
    outcomes: Counter[str] = Counter()

    def call() -> None:
        with requests.Session() as session:
            while True:
                try:
                    reply = session.post(
                        f"{server.http_url}/v1/recognize", params=POLITE, data=SPEECH
                    )
                    outcomes[str(reply.status_code)] += 1
                except requests.ConnectionError as error:
                    is_refused = "Connection refused" in str(error)
                    outcomes["refused" if is_refused else str(error)] += 1
                    return

    callers = [threading.Thread(target=call) for _ in range(16)]
    for caller in callers:
        caller.start()
    while outcomes["200"] < 64:
        time.sleep(0.01)
    assert server.stop() == 0
    for caller in callers:
        caller.join(60)
    assert set(outcomes) == {"200", "refused"}
    assert outcomes["refused"] == len(callers)
