"""A connection with a well-behaved client: requests in, responses out, within the windows."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import h2.config
import h2.connection
import h2.events
import hpack
import pytest
from emotion2vec_server.http2 import (
    Connection,
    ErrorCode,
    Limits,
    block,
    frames,
    response_block,
)
from emotion2vec_server.http2.faults import PeerError
from emotion2vec_server.http2.headers import HeaderDecoder
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.http2.peer import (
    GREETING,
    REQUEST,
    Client,
    data,
    frame,
    headers,
    parse,
    request,
)

FIELDS = tuple((name.encode(), value.encode()) for name, value in REQUEST)
ANSWER = response_block(200, [(b"content-type", b"application/grpc")])
END = block([(b"grpc-status", b"0")])
NO_TABLE = b"\x20"
ACK = frames.ACK
MIB = 2**20


def sizes(client: Client) -> list[int]:
    """Of the DATA frames among the answers."""
    return [len(answer.payload) for answer in client.answers() if answer.kind == frames.DATA]


def settings_of(payload: bytes) -> dict[int, int]:
    return dict(struct.iter_unpack(">HI", payload))


def test_greeting() -> None:
    client = Client(Limits(max_streams=7, max_frame_bytes=2**18, stream_window=2**19), greet=False)
    first, second = client.answers()
    assert (first.kind, first.flags, first.stream_id) == (frames.SETTINGS, 0, 0)
    assert settings_of(first.payload) == {
        frames.MAX_CONCURRENT_STREAMS: 7,
        frames.INITIAL_WINDOW_SIZE: 2**19,
        frames.MAX_FRAME_SIZE: 2**18,
        frames.MAX_HEADER_LIST_SIZE: 16_384,
    }
    assert second == (frames.WINDOW_UPDATE, 0, 0, (2**26 - 65_535).to_bytes(4))
    client.send(GREETING)
    assert client.answers() == [(frames.SETTINGS, ACK, 0, b"")]


def test_request_and_response() -> None:
    client = Client()
    client.send(request(1), data(1, b"abc"), data(1, b"def", end=True))
    assert client.events == [("request", 1, FIELDS), ("data", 1, b"abcdef"), ("end", 1)]
    client.connection.send(client.stream(), ANSWER, b"reply", END)
    assert client.answers() == [
        (frames.HEADERS, frames.END_HEADERS, 1, NO_TABLE + ANSWER),
        (frames.DATA, 0, 1, b"reply"),
        (frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, END),
    ]
    assert client.connection.streams == {}


def test_early_response_stops_the_request() -> None:
    client = Client(Limits(connection_window=100_000))
    client.send(request(1), data(1, b"abc"))
    client.connection.send(client.stream(), b"", b"", ANSWER)
    assert client.answers()[1:] == [(frames.RST_STREAM, 0, 1, bytes(4))]
    # What is on its way is no fault, and doesn't use the connection up.
    for _ in range(100):
        client.send(data(1, bytes(10_000)))
    client.send(headers(1, END, end=True), frames.window_update(1, 5), frames.reset(1, 8))
    assert client.connection.failure is None
    assert client.events[-1][0] == "data"
    credit = [int.from_bytes(answer.payload) for answer in client.answers()]
    assert sum(credit) > 900_000


def test_padding_and_priority_are_dropped() -> None:
    client = Client()
    flags = frames.PADDED | frames.HAS_PRIORITY | frames.END_HEADERS
    fields = hpack.Encoder().encode(REQUEST)
    client.send(frame(frames.HEADERS, flags, 1, b"\x03" + bytes(5) + fields + bytes(3)))
    padded = frame(frames.DATA, frames.PADDED | frames.END_STREAM, 1, b"\x04body" + bytes(4))
    client.send(frame(frames.DATA, frames.PADDED, 1, b"\x02" + bytes(2)), padded)
    assert client.events == [("request", 1, FIELDS), ("data", 1, b"body"), ("end", 1)]


def test_headers_in_continuations() -> None:
    client = Client()
    fields = hpack.Encoder().encode(REQUEST)
    client.send(frame(frames.HEADERS, frames.END_STREAM, 1, fields[:5]))
    client.send(frame(frames.CONTINUATION, 0, 1, fields[5:9]))
    client.send(frame(frames.CONTINUATION, frames.END_HEADERS, 1, fields[9:]))
    assert client.events == [("request", 1, FIELDS), ("end", 1)]


def test_trailers_of_a_request_end_it() -> None:
    client = Client()
    client.send(request(1), data(1, b"abc"), headers(1, block([(b"a", b"b")]), end=True))
    assert client.events[1:] == [("data", 1, b"abc"), ("end", 1)]


def test_large_response_headers_are_continued() -> None:
    client = Client()
    client.send(request(1, end=True))
    long = block([(b"a-bin", b"x" * 40_000)])
    client.connection.send(client.stream(), ANSWER, b"", long)
    answers = client.answers()[1:]
    assert [(answer.kind, answer.flags) for answer in answers] == [
        (frames.HEADERS, frames.END_STREAM),
        (frames.CONTINUATION, 0),
        (frames.CONTINUATION, frames.END_HEADERS),
    ]
    assert b"".join(answer.payload for answer in answers) == long
    assert all(len(answer.payload) <= 16_384 for answer in answers)


def test_answers_to_pings_and_settings() -> None:
    client = Client()
    client.send(frames.ping(b"12345678"), frames.ping(b"x" * 8, ack=True), frames.SETTINGS_ACK)
    client.send(frames.settings({frames.MAX_FRAME_SIZE: 2**20, 0x99: 1}))
    assert client.answers() == [
        (frames.PING, ACK, 0, b"12345678"),
        (frames.SETTINGS, ACK, 0, b""),
    ]


def test_reset_by_the_client() -> None:
    client = Client()
    client.send(request(1), data(1, b"abc"), frames.reset(1, ErrorCode.CANCEL))
    assert client.events[-1] == ("reset", 1, ErrorCode.CANCEL)
    client.connection.send(client.stream(), ANSWER, b"too late", END)
    assert client.answers() == []


def test_reset_by_the_server() -> None:
    client = Client()
    client.send(request(1))
    client.connection.reset(client.stream(), ErrorCode.INTERNAL_ERROR)
    client.connection.reset(client.stream(), ErrorCode.INTERNAL_ERROR)
    assert client.reset() == (1, ErrorCode.INTERNAL_ERROR)
    client.send(data(1, b"late", end=True))
    assert [event[0] for event in client.events] == ["request", "reset"]


def test_connection_that_is_lost() -> None:
    client = Client()
    client.send(request(1), request(3))
    client.connection.lose()
    assert [event[0] for event in client.events[2:]] == ["reset", "reset"]


def test_leaving() -> None:
    client = Client()
    client.send(request(1))
    client.connection.leave()
    client.connection.leave()
    (goaway,) = client.answers()
    assert goaway == (frames.GOAWAY, 0, 0, struct.pack(">II", 1, ErrorCode.NO_ERROR))
    assert not client.connection.is_over
    # Its client can't have known; it will try elsewhere.
    client.send(request(3), data(3, b"abc", end=True))
    assert [event[0] for event in client.events] == ["request"]
    client.send(data(1, b"", end=True))
    client.connection.send(client.stream(), ANSWER, b"", END)
    assert client.connection.is_over
    assert client.connection.failure is None


# Windows.


def test_response_waits_for_the_windows() -> None:
    client = Client()
    client.send(request(1, end=True))
    client.connection.send(client.stream(), ANSWER, b"x" * 100_000)
    assert sum(sizes(client)) == 65_535
    client.send(frames.window_update(1, 1000))
    assert sizes(client) == []
    client.send(frames.window_update(0, 10))
    assert sizes(client) == [10]
    client.send(frames.window_update(0, 100_000))
    assert sizes(client) == [990]
    assert ("room", 1) not in client.events
    client.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 200_000}))
    assert sum(sizes(client)) == 33_465
    assert client.events[-1] == ("room", 1)
    client.connection.send(client.stream(), b"", b"", END)
    assert client.answers()[-1].flags & frames.END_STREAM


def test_window_that_is_made_smaller() -> None:
    client = Client()
    client.send(request(1, end=True))
    client.connection.send(client.stream(), ANSWER, b"x" * 65_000)
    assert sum(sizes(client)) == 65_000
    client.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 10}), frames.window_update(0, MIB))
    client.connection.send(client.stream(), b"", b"y" * 100, END)
    client.send(frames.window_update(1, 64_990))
    assert sizes(client) == []
    client.send(frames.window_update(1, 5))
    assert sizes(client) == [5]


def test_end_without_data_needs_no_window() -> None:
    """Not one that is below zero either."""
    client = Client()
    client.send(request(1, end=True))
    client.connection.send(client.stream(), ANSWER, b"x" * 65_000)
    assert sum(sizes(client)) == 65_000
    client.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 10}))
    client.connection.send(client.stream(), b"", b"", END)
    assert client.answers()[-1].payload == END
    assert client.connection.streams == {}


@pytest.mark.parametrize("size", [0, 100, 2**16])
def test_a_peer_may_have_a_table_of_any_size(size: int) -> None:
    client = Client()
    client.send(frames.settings({1: size}))
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = min(size, 4096)
    for stream_id in (1, 3):
        client.send(request(stream_id, end=True))
        client.connection.send(client.stream(stream_id), ANSWER, b"reply", END)
    blocks = [each.payload for each in client.answers() if each.kind == frames.HEADERS]
    fields = [decoder.decode(each, raw=True) for each in blocks]
    assert fields[1:2] == fields[3:] == [[(b"grpc-status", b"0")]]


def test_goaway_never_names_a_later_stream() -> None:
    client = Client()
    client.send(request(1))
    client.connection.leave()
    client.send(request(3), frame(frames.SETTINGS, 0, 1))
    named = [
        struct.unpack_from(">I", answer.payload)[0]
        for answer in client.answers()
        if answer.kind == frames.GOAWAY
    ]
    assert named == [1, 1]


def test_client_that_asks_for_more_with_every_frame_is_no_flood() -> None:
    """As Go does, of the stream and of the connection."""
    client = Client()
    client.send(request(1, end=True))
    client.connection.send(client.stream(), ANSWER)
    for _ in range(12_000):
        client.connection.send(client.stream(), b"", bytes(16_384))
        for size in sizes(client):
            client.send(frames.window_update(0, size), frames.window_update(1, size))
    assert client.connection.failure is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("answer"), st.sampled_from([1, 3, 5]), st.integers(1, 120_000)),
            st.tuples(st.just("widen"), st.sampled_from([0, 1, 3, 5]), st.integers(1, 90_000)),
            st.tuples(st.just("window"), st.just(0), st.integers(0, 150_000)),
        ),
        max_size=40,
    )
)
def test_windows_are_kept_whatever_they_are(steps: list[tuple[str, int, int]]) -> None:
    """No more than the windows allow is sent, and no less."""
    client = Client()
    client.send(*[request(stream_id, end=True) for stream_id in (1, 3, 5)])
    connection, initial = 65_535, 65_535
    windows = dict.fromkeys((1, 3, 5), 65_535)
    waiting = dict.fromkeys((1, 3, 5), 0)
    client.answers()
    for step, stream_id, size in steps:
        if step == "answer":
            waiting[stream_id] += size
            client.connection.send(client.stream(stream_id), b"", bytes(size))
        elif step == "window":
            windows = {each: windows[each] + size - initial for each in windows}
            initial = size
            client.send(frames.settings({frames.INITIAL_WINDOW_SIZE: size}))
        elif stream_id:
            windows[stream_id] += size
            client.send(frames.window_update(stream_id, size))
        else:
            connection += size
            client.send(frames.window_update(0, size))
        for answer in client.answers():
            if answer.kind == frames.DATA:
                windows[answer.stream_id] -= len(answer.payload)
                waiting[answer.stream_id] -= len(answer.payload)
                connection -= len(answer.payload)
                assert windows[answer.stream_id] >= 0
                assert connection >= 0
        assert not connection or not any(waiting[each] and windows[each] > 0 for each in waiting)


def test_window_that_is_made_smaller_while_its_stream_has_its_turn() -> None:
    client = Client()
    client.send(request(1, end=True))
    client.connection.send(client.stream(), ANSWER, bytes(100_000))
    client.send(frames.window_update(1, 1000))
    client.answers()
    client.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 0}), frames.window_update(0, 50))
    assert sizes(client) == []
    client.send(frames.window_update(1, 64_545))
    assert sizes(client) == [10]


def test_frames_are_as_large_as_the_client_takes_and_others_can_bear() -> None:
    client = Client()
    windows = frames.settings({frames.INITIAL_WINDOW_SIZE: MIB}) + frames.window_update(0, MIB)
    client.send(windows, request(1, end=True))
    client.connection.send(client.stream(), ANSWER, bytes(50_000))
    assert max(sizes(client)) == 16_384
    client.send(frames.settings({frames.MAX_FRAME_SIZE: MIB}))
    client.connection.send(client.stream(), b"", bytes(200_000))
    assert max(sizes(client)) == 65_536


def test_answers_take_turns() -> None:
    client = Client()
    windows = frames.settings({frames.INITIAL_WINDOW_SIZE: MIB}) + frames.window_update(0, 4 * MIB)
    client.send(windows, *[request(stream_id, end=True) for stream_id in (1, 3, 5)])
    client.answers()
    for stream_id in (1, 3):
        client.connection.send(client.stream(stream_id), ANSWER, bytes(MIB), END)
    part = parse(client.connection.take())
    order = [answer.stream_id for answer in part if answer.kind == frames.DATA]
    assert order[:6] == [1, 3, 1, 3, 1, 3]
    assert sum(len(answer.payload) for answer in part) < 400_000
    # A small answer doesn't wait for the large ones.
    client.connection.send(client.stream(5), ANSWER, b"small", END)
    assert 5 in {answer.stream_id for answer in parse(client.connection.take())}
    assert len(client.answers()) > 50
    assert client.connection.streams == {}


def test_unread_request_holds_its_sender_back() -> None:
    client = Client(Limits(stream_window=100_000, connection_window=200_000), consume=False)
    client.send(request(1), data(1, bytes(100_000)))
    assert client.answers() == []
    client.connection.consume(client.stream(), 40_000)
    assert client.answers() == []
    client.connection.consume(client.stream(), 20_000)
    assert client.answers() == [(frames.WINDOW_UPDATE, 0, 1, (60_000).to_bytes(4))]
    client.connection.consume(client.stream(), 1_000_000)
    assert client.answers() == [(frames.WINDOW_UPDATE, 0, 0, (100_000).to_bytes(4))]


def test_padding_is_given_back() -> None:
    client = Client(Limits(stream_window=1000))
    client.send(request(1))
    window = 1000
    padded = bytes([199]) + b"x" * 50 + bytes(199)
    for _ in range(50):
        assert window >= len(padded)
        window -= len(padded)
        client.send(frame(frames.DATA, 0x8, 1, padded))
        window += sum(
            int.from_bytes(answer.payload)
            for answer in client.answers()
            if (answer.kind, answer.stream_id) == (frames.WINDOW_UPDATE, 1)
        )
    assert window <= 1000


def test_unread_rest_is_given_back_to_the_connection() -> None:
    client = Client(Limits(connection_window=100_000), consume=False)
    for stream_id in range(1, 101, 2):
        client.send(request(stream_id), data(stream_id, bytes(60_000)))
        client.connection.reset(client.stream(stream_id), ErrorCode.CANCEL)
        client.answers()
    assert client.connection.failure is None


def test_complete_request_gets_no_more_window() -> None:
    client = Client(Limits(stream_window=1000), consume=False)
    client.send(request(1), data(1, bytes(1000), end=True))
    client.connection.consume(client.stream(), 1000)
    assert client.answers() == []


# Whatever the pieces.


CONVERSATION = b"".join(
    [
        GREETING,
        request(1),
        data(1, b"abc" * 100),
        request(3, end=True),
        frame(frames.DATA, frames.PADDED, 1, b"\x04body" + bytes(4)),
        frame(0x77, 3, 9, b"unknown"),
        frames.ping(b"12345678"),
        frame(frames.HEADERS, 0, 5, hpack.Encoder().encode(REQUEST)[:7]),
        frame(frames.CONTINUATION, frames.END_HEADERS, 5, hpack.Encoder().encode(REQUEST)[7:]),
        data(1, b"", end=True),
        data(5, b"x" * 5000),
        frames.reset(5, ErrorCode.CANCEL),
        frames.window_update(0, 5),
        request(7),
        headers(7, block([(b"a", b"b")]), end=True),
        data(9, b"idle"),
    ]
)


def pieces(cuts: list[int]) -> Iterator[bytes]:
    places = sorted({cut % len(CONVERSATION) for cut in cuts})
    for begin, end in zip([0, *places], [*places, len(CONVERSATION)], strict=True):
        yield CONVERSATION[begin:end]


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=30))
def test_same_bytes_same_events(cuts: list[int]) -> None:
    whole, split = Client(greet=False), Client(greet=False)
    whole.send(CONVERSATION)
    for piece in pieces(cuts):
        split.send(piece)
    assert split.events == whole.events
    assert split.answers() == whole.answers()
    # The last frame is on a stream that was never opened.
    assert ("end", 7) in whole.events
    assert whole.connection.failure is not None


def test_byte_by_byte() -> None:
    whole, split = Client(greet=False), Client(greet=False)
    whole.send(CONVERSATION)
    for byte in CONVERSATION:
        split.send(bytes([byte]))
    assert split.events == whole.events
    assert split.answers() == whole.answers()


# With another implementation.


class Pair:
    """Our connection and a client by the library h2, joined."""

    def __init__(self) -> None:
        self.client = Client(greet=False)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []
        self.exchange()

    def exchange(self) -> None:
        """Until neither has anything to say."""
        server: Connection = self.client.connection
        while True:
            there = self.h2.data_to_send()
            server.receive(memoryview(there))
            back = server.take()
            if not there and not back:
                return
            for event in self.h2.receive_data(back):
                self.events.append(event)
                if isinstance(event, h2.events.DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 200_000)), max_size=5))
def test_with_h2_as_the_client(exchanges: list[tuple[int, int]]) -> None:
    pair = Pair()
    for number, (asked, answered) in enumerate(exchanges):
        stream_id = 2 * number + 1
        pair.h2.send_headers(stream_id, REQUEST)
        sent = 0
        while sent < asked:
            window = pair.h2.local_flow_control_window(stream_id)
            part = min(window, pair.h2.max_outbound_frame_size, asked - sent, 30_000)
            pair.h2.send_data(stream_id, bytes(part))
            pair.exchange()
            sent += part
        pair.h2.end_stream(stream_id)
        pair.exchange()
        body = bytes([number]) * answered
        pair.client.connection.send(pair.client.stream(stream_id), ANSWER, body, END)
        pair.exchange()
        received = [
            event.data
            for event in pair.events
            if isinstance(event, h2.events.DataReceived) and event.stream_id == stream_id
        ]
        assert b"".join(received) == body
        ends = [event for event in pair.events if isinstance(event, h2.events.TrailersReceived)]
        assert ends[-1].headers == [(b"grpc-status", b"0")]
    assert pair.client.connection.failure is None


# Headers.


FIELD = st.tuples(
    st.from_regex(rb"\A[a-z0-9-]{1,20}\Z"), st.from_regex(rb"\A[!-~]([ -~]{0,300}[!-~])?\Z")
)


@given(st.lists(FIELD, max_size=20))
def test_blocks_are_what_hpack_reads(fields: list[tuple[bytes, bytes]]) -> None:
    assert hpack.Decoder(max_header_list_size=2**20).decode(block(fields), raw=True) == fields
    first, *rest = hpack.Decoder(max_header_list_size=2**20).decode(
        response_block(415, fields), raw=True
    )
    assert first == (b":status", b"415")
    assert rest == fields


@st.composite
def blocks(draw: st.DrawFn) -> list[bytes]:
    """Header blocks as encoders of every habit make them, some of them several times."""
    encoder = hpack.Encoder()
    found = []
    fields = draw(st.lists(FIELD, min_size=1, max_size=5))
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.integers(0, 5)) == 0:
            encoder.header_table_size = draw(st.sampled_from([0, 100, 300, 4096]))
        chosen = [*FIELDS, *draw(st.lists(st.sampled_from(fields), max_size=4))]
        # Sensitive fields are literals that no table takes up.
        with_habits = [(name, value, draw(st.booleans())) for name, value in chosen]
        each = encoder.encode(with_habits, huffman=draw(st.booleans()))
        found += [each] * draw(st.integers(1, 3))
    return found


@given(blocks())
def test_remembered_blocks_are_what_they_were(sent: list[bytes]) -> None:
    """A block that leaves the table as it is is decoded once, until the table changes."""
    decoder, plain = HeaderDecoder(2**16), hpack.Decoder(max_header_list_size=2**16)
    for each in sent:
        try:
            expected = tuple(plain.decode(each, raw=True))
        except hpack.HPACKError:
            # Sent again, it named a place that another field, or none, has now.
            with pytest.raises(PeerError):
                decoder.decode(each)
            return
        assert decoder.decode(each) == expected


def test_nothing_is_remembered_of_a_table_that_is_emptied() -> None:
    decoder = HeaderDecoder(2**16)
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.decode(b"\xbe") == decoder.decode(b"\xbe") == ((b"a", b"b"),)
    decoder.decode(b"\x20\x82")
    with pytest.raises(PeerError):
        decoder.decode(b"\xbe")


@pytest.mark.parametrize("status", [200, 404, 415, 505])
def test_status(status: int) -> None:
    (field,) = hpack.Decoder().decode(response_block(status, []), raw=True)
    assert field == (b":status", str(status).encode())
