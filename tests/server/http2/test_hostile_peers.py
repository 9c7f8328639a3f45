"""What a hostile or broken peer does ends its stream or its connection, with the right code."""

from __future__ import annotations

import pytest
from emotion2vec_server.http2 import ErrorCode, Limits, frames
from hypothesis import given
from hypothesis import strategies as st

from tests.server.http2.peer import (
    GREETING,
    REQUEST,
    Client,
    data,
    frame,
    headers,
    request,
)

ACK = frames.ACK


def settings(name: int, value: int) -> bytes:
    return frames.settings({name: value})


FATAL = {
    "DATA on stream 0": (data(0, b"x"), ErrorCode.PROTOCOL_ERROR),
    "DATA on an idle stream": (data(3, b"x"), ErrorCode.PROTOCOL_ERROR),
    "DATA on a server's stream": (data(2, b"x"), ErrorCode.PROTOCOL_ERROR),
    "DATA beyond the frame size": (
        frames.head(frames.DATA, 0, 1, 2**20 + 1),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "more padding than DATA": (
        request() + frame(frames.DATA, frames.PADDED, 1, b"\x05abcd"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "padded DATA without length": (
        request() + frame(frames.DATA, frames.PADDED, 1) + b"\0",
        ErrorCode.PROTOCOL_ERROR,
    ),
    "HEADERS on stream 0": (request(0), ErrorCode.PROTOCOL_ERROR),
    "HEADERS on a server's stream": (request(2), ErrorCode.PROTOCOL_ERROR),
    "HEADERS on an older stream": (request(5) + request(3), ErrorCode.STREAM_CLOSED),
    "more padding than HEADERS": (
        frame(frames.HEADERS, frames.PADDED | frames.END_HEADERS, 1, b"\x05\x82"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "padded HEADERS without length": (
        frame(frames.HEADERS, frames.PADDED | frames.END_HEADERS, 1),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "HEADERS too short for their priority": (
        frame(frames.HEADERS, frames.HAS_PRIORITY | frames.END_HEADERS, 1, b"abc"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "HEADERS that are no HPACK": (headers(1, b"\xff\xff\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR),
    "an index of nothing": (headers(1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
    "HEADERS too large": (
        frames.head(frames.HEADERS, 0, 1, 32_769),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "PRIORITY on stream 0": (frame(frames.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
    "PRIORITY of 4 bytes": (frame(frames.PRIORITY, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
    "RST_STREAM on stream 0": (frame(frames.RST_STREAM, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "RST_STREAM on an idle stream": (
        frame(frames.RST_STREAM, 0, 7, bytes(4)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "RST_STREAM of 3 bytes": (frame(frames.RST_STREAM, 0, 1, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
    "SETTINGS on a stream": (frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "SETTINGS of 5 bytes": (frame(frames.SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
    "SETTINGS ACK with content": (
        frame(frames.SETTINGS, ACK, 0, bytes(6)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "SETTINGS far too large": (
        frames.head(frames.SETTINGS, 0, 0, 16_386),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "ENABLE_PUSH of 2": (settings(frames.ENABLE_PUSH, 2), ErrorCode.PROTOCOL_ERROR),
    "a window of 2 GiB": (
        settings(frames.INITIAL_WINDOW_SIZE, 2**31),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "frames of 1 KiB": (settings(frames.MAX_FRAME_SIZE, 1024), ErrorCode.PROTOCOL_ERROR),
    "frames of 16 MiB": (settings(frames.MAX_FRAME_SIZE, 2**24), ErrorCode.PROTOCOL_ERROR),
    "PUSH_PROMISE": (
        request() + frame(frames.PUSH_PROMISE, 4, 1, bytes(4)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "PING on a stream": (frame(frames.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "PING of 7 bytes": (frame(frames.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "GOAWAY on a stream": (frame(frames.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "GOAWAY of 7 bytes": (frame(frames.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE of 3 bytes": (
        frame(frames.WINDOW_UPDATE, 0, 0, bytes(3)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "WINDOW_UPDATE by 0": (frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
    "WINDOW_UPDATE beyond 2 GiB": (
        frames.window_update(0, 2**31 - 1),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "WINDOW_UPDATE on an idle stream": (frames.window_update(9, 1), ErrorCode.PROTOCOL_ERROR),
    "a stream's window beyond 2 GiB by SETTINGS": (
        request()
        + frames.window_update(1, 2**31 - 1 - 65_535)
        + settings(frames.INITIAL_WINDOW_SIZE, 65_536),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "CONTINUATION of nothing": (frame(frames.CONTINUATION, 4, 1), ErrorCode.PROTOCOL_ERROR),
    "CONTINUATION of another stream": (
        frame(frames.HEADERS, 0, 1) + frame(frames.CONTINUATION, 4, 3),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "PING within headers": (
        frame(frames.HEADERS, 0, 1) + frame(frames.PING, 0, 0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "DATA within headers": (frame(frames.HEADERS, 0, 1) + data(1, b"x"), ErrorCode.PROTOCOL_ERROR),
    "an unknown frame within headers": (
        frame(frames.HEADERS, 0, 1) + frame(0x77, 0, 1),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "an unknown frame of 2 MiB": (frames.head(0x77, 0, 0, 2**21), ErrorCode.FRAME_SIZE_ERROR),
}


@pytest.mark.parametrize("name", FATAL)
def test_connection_ends(name: str) -> None:
    sent, code = FATAL[name]
    client = Client()
    client.send(sent)
    assert client.goaway() == code
    assert client.connection.is_over
    # Whatever still comes is ignored.
    client.send(request(101), b"\xff" * 100)
    assert client.answers() == []
    assert client.connection.streams == {}


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        frames.PREFACE + request(),
        frames.PREFACE + frames.SETTINGS_ACK,
        frames.PREFACE + frame(frames.PING, 0, 0, bytes(8)),
    ],
)
def test_no_http2(sent: bytes) -> None:
    client = Client(greet=False)
    client.send(sent)
    assert client.goaway() == ErrorCode.PROTOCOL_ERROR
    assert client.events == []


MALFORMED = {
    "no :path": [field for field in REQUEST if field[0] != ":path"],
    "an empty :path": [(name, "" if name == ":path" else value) for name, value in REQUEST],
    "two :path": [(":path", "/other"), *REQUEST],
    "an unknown pseudo-header": [(":status", "200"), *REQUEST],
    "a late pseudo-header": [*REQUEST[1:], REQUEST[0]],
    "an upper case name": [*REQUEST, ("Name", "value")],
    "an empty name": [*REQUEST, ("", "value")],
    "a name with a space": [*REQUEST, ("a b", "value")],
    "a value with a line break": [*REQUEST, ("name", "a\nb")],
    "a value with NUL": [*REQUEST, ("name", "a\0b")],
    "a value with spaces around": [*REQUEST, ("name", " a")],
    "connection": [*REQUEST, ("connection", "close")],
    "transfer-encoding": [*REQUEST, ("transfer-encoding", "chunked")],
    "te other than trailers": [*REQUEST[:-1], ("te", "gzip")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_request(name: str) -> None:
    client = Client()
    client.send(request(1, fields=MALFORMED[name]), request(3))
    assert client.reset() == (1, ErrorCode.PROTOCOL_ERROR)
    assert [event[:2] for event in client.events] == [("request", 3)]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (request(end=True) + data(1, b"x"), ErrorCode.STREAM_CLOSED),
        (request(end=True) + request(1, end=True), ErrorCode.STREAM_CLOSED),
        (request() + request(1), ErrorCode.PROTOCOL_ERROR),
        (request() + headers(1, b"\0\x05:path\x01/", end=True), ErrorCode.PROTOCOL_ERROR),
        (request() + frames.window_update(1, 0), ErrorCode.PROTOCOL_ERROR),
        (request() + frames.window_update(1, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
    ],
)
def test_stream_ends(sent: bytes, code: ErrorCode) -> None:
    client = Client()
    client.send(sent)
    assert client.reset() == (1, code)
    assert client.events[-1] == ("reset", 1, code)
    client.send(request(3))
    assert client.events[-1][:2] == ("request", 3)


def test_data_on_a_stream_that_both_have_ended() -> None:
    client = Client()
    client.send(request(end=True))
    client.connection.send(client.stream(), b"\x88", b"", b"")
    client.answers()
    client.send(data(1, b"x"))
    assert client.goaway() == ErrorCode.STREAM_CLOSED


FLOODS = {
    "PING": frame(frames.PING, 0, 0, bytes(8)),
    "PING ACK": frame(frames.PING, ACK, 0, bytes(8)),
    "SETTINGS": frame(frames.SETTINGS, 0, 0),
    "SETTINGS ACK": frames.SETTINGS_ACK,
    "empty DATA": data(1, b""),
    "PRIORITY": frame(frames.PRIORITY, 0, 9, bytes(5)),
    "WINDOW_UPDATE": frames.window_update(0, 1),
    "a stream's WINDOW_UPDATE": frames.window_update(1, 1),
    "unknown frames": frame(0x77, 0, 0),
    "GOAWAY": frame(frames.GOAWAY, 0, 0, bytes(8)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood(name: str) -> None:
    client = Client()
    client.send(request(1), FLOODS[name] * 100)
    assert client.connection.failure is None
    client.send(FLOODS[name] * 10_001)
    assert client.goaway() == ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("name", FLOODS)
def test_the_same_in_peace(name: str) -> None:
    client = Client()
    client.send(request(1))
    for _ in range(400):
        client.send(FLOODS[name] * 100)
        client.clock.now += 100
        client.answers()
    assert client.connection.failure is None


def test_rapid_reset() -> None:
    """CVE-2023-44487."""
    client = Client()
    for stream_id in range(1, 4001, 2):
        client.send(request(stream_id), frames.reset(stream_id, ErrorCode.CANCEL))
    assert client.goaway() == ErrorCode.ENHANCE_YOUR_CALM
    assert len([event for event in client.events if event[0] == "request"]) < 1100


def test_resets_provoked_from_the_server() -> None:
    """CVE-2025-8671."""
    client = Client()
    for stream_id in range(1, 4001, 2):
        client.send(request(stream_id), frames.window_update(stream_id, 0))
    assert client.goaway() == ErrorCode.ENHANCE_YOUR_CALM


def test_resets_among_answers_are_no_flood() -> None:
    client = Client()
    for stream_id in range(1, 40_001, 4):
        client.send(request(stream_id, end=True), request(stream_id + 2))
        client.connection.send(client.stream(stream_id), b"\x88", b"", b"")
        client.connection.release()
        client.send(frames.reset(stream_id + 2, ErrorCode.CANCEL))
        client.answers()
    assert client.connection.failure is None


def test_reset_streams_count_until_they_are_released() -> None:
    client = Client(Limits(max_streams=2))
    # Whoever runs them needs a while to stop.
    client.connection.release, release = lambda: None, client.connection.release  # type: ignore[method-assign]
    client.send(request(1), request(3), frames.reset(1, ErrorCode.CANCEL), request(5))
    assert client.reset() == (5, ErrorCode.REFUSED_STREAM)
    release()
    client.send(request(7))
    assert client.reset() is None


def test_continuation_flood() -> None:
    client = Client()
    client.send(frame(frames.HEADERS, 0, 1, b""), frame(frames.CONTINUATION, 0, 1, b"") * 100)
    assert client.goaway() == ErrorCode.ENHANCE_YOUR_CALM


def test_endless_headers() -> None:
    client = Client()
    client.send(
        frame(frames.HEADERS, 0, 1, bytes(60_000)), frame(frames.CONTINUATION, 0, 1, bytes(60_000))
    )
    assert client.goaway() == ErrorCode.ENHANCE_YOUR_CALM


def test_headers_that_swell() -> None:
    """A small block that names a large field of the table many times."""
    client = Client()
    entry = b"\x40\x01a\x7f\x91\x1e" + bytes([97]) * 4000
    client.send(headers(1, entry + b"\xbe" * 1000))
    assert client.goaway() == ErrorCode.ENHANCE_YOUR_CALM


def test_more_data_than_a_stream_s_window() -> None:
    client = Client(Limits(stream_window=100_000), consume=False)
    client.send(request(1), data(1, bytes(60_000)))
    assert client.reset() is None
    client.send(data(1, bytes(60_000)), data(1, bytes(10)))
    assert client.reset() == (1, ErrorCode.FLOW_CONTROL_ERROR)
    assert client.connection.failure is None


def test_more_data_than_the_connection_s_window() -> None:
    client = Client(Limits(connection_window=100_000), consume=False)
    client.send(request(1), data(1, bytes(60_000)), request(3), data(3, bytes(60_000)))
    assert client.goaway() == ErrorCode.FLOW_CONTROL_ERROR


def test_more_streams_than_allowed() -> None:
    client = Client(Limits(max_streams=3))
    client.send(*[request(stream_id) for stream_id in (1, 3, 5, 7)])
    assert client.reset() == (7, ErrorCode.REFUSED_STREAM)
    assert client.connection.failure is None


@given(st.binary(max_size=2000))
def test_any_bytes(sent: bytes) -> None:
    client = Client()
    client.send(sent)
    client.answers()


@given(
    st.lists(
        st.builds(
            frame,
            st.integers(0, 12),
            st.integers(0, 255),
            st.sampled_from([0, 1, 2, 3, 5]),
            st.binary(max_size=40),
        ),
        max_size=30,
    )
)
def test_any_frames(sent: list[bytes]) -> None:
    client = Client()
    client.send(request(1), data(1, b"abc"), *sent)
    client.answers()
    for stream in tuple(client.connection.streams.values()):
        client.connection.send(stream, b"\x88", b"x" * 10, b"")
    client.answers()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_greeting_in_pieces(size: int) -> None:
    client = Client(greet=False)
    sent = GREETING + request(1)
    for begin in range(0, len(sent), size):
        client.send(sent[begin : begin + size])
    assert [event[0] for event in client.events] == ["request"]
