"""What strangers can make the HTTP door spend is bounded, and the callers of both feel nothing."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.e2e.conftest import COMMAND, RunningServer, start_server
from tests.e2e.test_strangers import SPEECH, UPLOAD_SECONDS, memory, seconds_of

POLITE = {"encoding": "LINEAR16", "sample_rate_hertz": "16000"}
HEAD = b"POST /v1/recognize HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n"
LARGE = 7 * (GET + b"\r\n") + GET + b"Connection: close\r\n\r\n"
"""Answered with 12 MB: more than the buffers of two sockets hold."""
STALLED = HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(100)


@contextmanager
def sending(server: RunningServer, *pieces: bytes, source: str = "") -> Iterator[socket.socket]:
    host, port = server.http_url.removeprefix("http://").split(":")
    with socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.settimeout(60)
        opened.bind((source, 0))
        opened.connect((host, int(port)))
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


def received(opened: socket.socket) -> bytes:
    """All that comes until it is closed."""
    came = bytearray()
    with suppress(ConnectionError):
        while data := opened.recv(2**20):
            came += data
    return bytes(came)


def call_over_http(calls: int, server: RunningServer) -> None:
    with requests.Session() as session:
        for _ in range(calls):
            reply = session.post(
                f"{server.http_url}/v1/recognize",
                params=POLITE,
                data=SPEECH,
                timeout=UPLOAD_SECONDS,
            )
            assert reply.status_code == 200, reply.text


def test_a_thousand_idle_connections_and_stalled_bodies_shut_nobody_out(
    start: Callable[..., RunningServer],
) -> None:
    server = start()
    before = memory(server)
    with ExitStack() as opened:
        for _ in range(1000):
            opened.enter_context(sending(server))
        for _ in range(8):
            opened.enter_context(sending(server, STALLED))
        # They fail where they are not answered in time.
        seconds_of(20, server)
        call_over_http(20, server)
        assert memory(server) - before < 100 * 2**20


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


def test_slow_readers_get_all_of_it_and_others_are_not_waited_for(
    demo_server: RunningServer,
) -> None:
    with sending(demo_server, LARGE) as unread, sending(demo_server, LARGE) as slow:
        unread.recv(1)
        came, ends = slow.recv(8192), time.monotonic() + 25
        while time.monotonic() < ends:
            came += slow.recv(8192)
            time.sleep(0.1)
        came += received(slow)
        with sending(demo_server, LARGE) as quick:
            assert len(came) == len(received(quick))
        assert len(received(unread)) + 1 < len(came)


def test_a_request_with_two_lengths_is_refused(demo_server: RunningServer) -> None:
    """A proxy may see two requests in it."""
    smuggled = b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    head = HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    with sending(demo_server, head + smuggled) as opened:
        came = received(opened)
    assert came.startswith(b"HTTP/1.1 400 ")
    assert came.count(b"HTTP/1.1") == 1


def test_a_huge_head_is_refused_at_once(demo_server: RunningServer) -> None:
    for field in (b"X-Long: " + b"x" * 2**20, b"X-Short: y\r\n" * 100_000):
        with sending(demo_server) as opened:
            try:
                opened.sendall(HEAD + field + b"\r\n\r\n")
            except ConnectionError:
                continue
            assert is_closed(opened)
    call_over_http(1, demo_server)


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

        def send_and_listen() -> None:
            stream.send(b"0" * 2**22)
            list(iter(stream.recv, None))

        with pytest.raises(ConnectionClosed):
            send_and_listen()
        # 1006: the connection went before the close code was read, as more was still being sent.
        assert stream.close_code in (1009, 1006)


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


def test_one_address_leaves_connections_for_others() -> None:
    """128 of them, as half of the files that the process may open."""
    server = start_server(command=("sh", "-c", 'ulimit -n 256; exec "$@"', "sh", *COMMAND))
    try:
        with ExitStack() as opened:
            greedy = [opened.enter_context(sending(server, source="127.0.0.2")) for _ in range(140)]
            call_over_http(3, server)
            answered = sum(map(is_answered, greedy))
        assert 0 < answered <= 0.8 * 128 + 1
        # When they have left, their places are free.
        while True:
            with sending(server, source="127.0.0.2") as later:
                if is_answered(later):
                    break
    finally:
        assert server.stop() == 0


def test_a_tab_that_is_closed_is_no_error(start: Callable[..., RunningServer]) -> None:
    server = start()
    config = {"audio_config": {"encoding": "AUDIO_ENCODING_LINEAR16", "sample_rate_hertz": 16000}}
    for pieces in range(6):
        with connect(f"{server.http_url.replace('http', 'ws')}/v1/stream") as stream:
            stream.send(json.dumps({**config, "interim_results": True}))
            for _ in range(1 + pieces):
                stream.send(SPEECH * 3)
            stream.recv(timeout=UPLOAD_SECONDS)
            # As a browser that is gone: without a word, while results come.
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            stream.socket.close()
    until = time.monotonic() + UPLOAD_SECONDS
    while not (codes := codes_of_streams(server)) and time.monotonic() < until:
        time.sleep(0.05)
    assert codes == {"CANCELLED"}
    assert server.stop() == 0
    assert not [line for line in server.log.lines if "rror" in line]


def codes_of_streams(server: RunningServer) -> set[str]:
    """With which they ended, by the metrics."""
    text = requests.get(server.metrics_url, timeout=UPLOAD_SECONDS).text
    line = r'^emotion2vec_requests_total\{code="(\w+)",door="http",method="StreamRecognize"\}'
    return set(re.findall(line, text, re.MULTILINE))


def is_answered(opened: socket.socket) -> bool:
    try:
        opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return bool(opened.recv(1))
    except ConnectionError:
        return False


def test_no_room_and_no_service_say_when_to_come_back(start: Callable[..., RunningServer]) -> None:
    server = start("--max-uploads", "1")
    with sending(server, STALLED) as stalled:
        # Until that one has begun there is room.
        while (full := post(server)).status_code == 200:
            pass
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        # What is on its way has some seconds.
        answer = HTTPResponse(stalled)
        answer.begin()
        stopped = json.loads(answer.read())
        stopping.join()
    assert (full.status_code, full.json()["code"]) == (429, "RESOURCE_EXHAUSTED")
    assert "too many requests are on their way in" in full.json()["detail"]
    assert int(full.headers["retry-after"]) >= 1
    assert (answer.status, stopped["code"]) == (503, "UNAVAILABLE")
    assert "shutting down" in stopped["detail"]
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["connection"] == "close"


def post(server: RunningServer) -> requests.Response:
    return requests.post(f"{server.http_url}/v1/recognize", params=POLITE, data=SPEECH, timeout=60)
