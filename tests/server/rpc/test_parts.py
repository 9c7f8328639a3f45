"""The parts of a call that need no connection: messages, encodings, metadata, the head, endings."""

from __future__ import annotations

import gzip
import struct
import zlib

import grpc
import pytest
from emotion2vec_server.http2 import Headers
from emotion2vec_server.rpc import ending, metadata
from emotion2vec_server.rpc.encoding import inflate, inflate_small
from emotion2vec_server.rpc.faults import CallError, HttpError
from emotion2vec_server.rpc.head import read
from emotion2vec_server.rpc.inbox import Compressed, Inbox, prefixed
from emotion2vec_server.rpc.liveness import Liveness, Patience, Verdict
from emotion2vec_server.rpc.stalls import Stalls
from hypothesis import given
from hypothesis import strategies as st

CODE = grpc.StatusCode

# Messages.


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=50)), max_size=8),
    st.lists(st.integers(0, 500), max_size=20),
    st.integers(0, 60),
)
def test_messages_in_any_pieces(
    messages: list[tuple[bool, bytes]], cuts: list[int], kept: int
) -> None:
    body = b"".join(struct.pack(">?I", flag, len(text)) + text for flag, text in messages)
    tail = prefixed(bytes(60))[:kept]
    content = body + tail
    places = sorted({min(cut, len(content)) for cut in cuts})
    inbox = Inbox(60)
    for begin, end in zip([0, *places], [*places, len(content)], strict=True):
        inbox.add(memoryview(content)[begin:end])
    assert list(inbox.messages) == [Compressed(text) if flag else text for flag, text in messages]
    assert inbox.is_between_messages == (kept == 0)


def test_message_that_is_too_large_is_known_by_its_prefix() -> None:
    with pytest.raises(CallError) as caught:
        Inbox(10).add(memoryview(struct.pack(">BI", 0, 11)))
    assert caught.value.code is CODE.RESOURCE_EXHAUSTED


def test_prefix_that_is_wrong() -> None:
    with pytest.raises(CallError) as caught:
        Inbox(10).add(memoryview(struct.pack(">BI", 2, 1)))
    assert caught.value.code is CODE.INTERNAL


# Encodings.


def test_little_that_holds_much_is_not_made_at_once() -> None:
    bomb = gzip.compress(bytes(2**24))
    assert len(bomb) < 2**15
    assert inflate_small(bomb, b"gzip", 2**16) is None
    assert inflate_small(gzip.compress(bytes(2**16)), b"gzip", 2**16) == bytes(2**16)


class _Answer:
    """Stands for a stream with an answer that waits."""

    outbox = (b"more",)

    def __init__(self) -> None:
        self.sent = 0


@pytest.mark.parametrize(("a_second", "is_stalled"), [(1, True), (1000, False)])
def test_an_answer_taken_byte_by_byte_stands_still(a_second: int, is_stalled: bool) -> None:
    stalls, answer = Stalls(60.0), _Answer()
    stalled: list[object] = []
    for second in range(200):
        stalled += stalls.check(float(second), [answer])  # type: ignore[list-item]
        answer.sent += a_second
    assert bool(stalled) == is_stalled


@given(st.binary(max_size=3000))
def test_inflate(content: bytes) -> None:
    assert inflate(gzip.compress(content), b"gzip", 3000) == content
    assert inflate(zlib.compress(content), b"deflate", 3000) == content


@pytest.mark.parametrize(
    ("data", "encoding", "code"),
    [
        (gzip.compress(bytes(2**26)), b"gzip", CODE.RESOURCE_EXHAUSTED),
        (zlib.compress(bytes(1001)), b"deflate", CODE.RESOURCE_EXHAUSTED),
        (b"no gzip", b"gzip", CODE.INTERNAL),
        (zlib.compress(b"x"), b"gzip", CODE.INTERNAL),
        (gzip.compress(b"x")[:-1], b"gzip", CODE.INTERNAL),
        (gzip.compress(b"x") + b"more", b"gzip", CODE.INTERNAL),
        (b"", b"gzip", CODE.INTERNAL),
        (b"x", b"identity", CODE.INTERNAL),
    ],
)
def test_inflate_refuses(data: bytes, encoding: bytes, code: grpc.StatusCode) -> None:
    with pytest.raises(CallError) as caught:
        inflate(data, encoding, 1000)
    assert caught.value.code is code


# Metadata.


def test_metadata_is_read() -> None:
    fields = Headers(
        [
            (b":path", b"/a/B"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"grpc-timeout", b"1S"),
            (b"a", b"b"),
            (b"a", b"c"),
            (b"x-bin", b"AAH/,AA=="),
            (b"y-bin", b"!!"),
            (b"latin", b"\xe4"),
        ]
    )
    assert metadata.read(fields) == (
        ("a", "b"),
        ("a", "c"),
        ("x-bin", b"\0\1\xff"),
        ("x-bin", b"\0"),
        ("latin", "ä"),
    )


@given(st.binary(max_size=100))
def test_binary_metadata_comes_back(value: bytes) -> None:
    fields = metadata.fields([("k-bin", value)])
    assert metadata.read(Headers(fields)) == (("k-bin", value),)
    assert not fields[0][1].endswith(b"=")


@pytest.mark.parametrize(
    ("key", "value"),
    [("", "a"), ("a b", "c"), (":path", "x"), ("grpc-status", "0"), ("a", "\n"), ("a", "ä")],
)
def test_metadata_that_can_t_be(key: str, value: str) -> None:
    with pytest.raises(ValueError, match="metadata"):
        metadata.fields([(key, value)])


# The head.


def head_of(**changes: str | None) -> Headers:
    fields: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/a.B/C",
        "content-type": "application/grpc",
    }
    fields |= {name.replace("_", "-").replace("9", ":"): value for name, value in changes.items()}
    return Headers((n.encode(), v.encode()) for n, v in fields.items() if v is not None)


def test_head() -> None:
    assert read(head_of(grpc_timeout="250m", grpc_encoding="gzip"), 1000) == (
        "/a.B/C",
        0.25,
        b"gzip",
    )
    assert read(head_of(content_type="application/grpc+proto"), 1000).timeout is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1H", 3600), ("2M", 120), ("3S", 3), ("4m", 4e-3), ("5u", 5e-6), ("6n", 6e-9), ("0S", 0)],
)
def test_timeouts(text: str, seconds: float) -> None:
    assert read(head_of(grpc_timeout=text), 1000).timeout == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "S", "123456789S", "-1S", "1.5S", "1s", "1S "])
def test_timeouts_that_make_no_sense(text: str) -> None:
    with pytest.raises(CallError) as caught:
        read(head_of(grpc_timeout=text), 1000)
    assert caught.value.code is CODE.INTERNAL


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (head_of(content_type=None), 415),
        (head_of(content_type="text/html"), 415),
        (head_of(content_type="application/grpc-web"), 415),
        (head_of(**{"9method": "GET"}), 405),
    ],
)
def test_requests_that_are_not_gRPC(headers: Headers, status: int) -> None:  # noqa: N802
    with pytest.raises(HttpError) as caught:
        read(headers, 1000)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (head_of(grpc_encoding="zstd"), CODE.UNIMPLEMENTED),
        (head_of(large="x" * 1000), CODE.RESOURCE_EXHAUSTED),
    ],
)
def test_heads_that_are_refused(headers: Headers, code: grpc.StatusCode) -> None:
    with pytest.raises(CallError) as caught:
        read(headers, 1000)
    assert caught.value.code is code


@given(st.text())
def test_messages_of_a_status_are_ascii(text: str) -> None:
    encoded = ending.percent_encoded(text)
    assert all(0x20 <= byte < 0x7F for byte in encoded)
    if "%" not in text and text.isascii() and text.isprintable():
        assert encoded.decode() == text


# Liveness.

PATIENCE = Patience(handshake=10, silence=60, answer=20, idle=600)


def test_connection_that_says_nothing() -> None:
    liveness = Liveness(PATIENCE, 0)
    quiet = {"heard": False, "is_greeted": False, "is_busy": False}
    assert liveness.check(9, **quiet) is Verdict.KEEP
    # A drop now and then doesn't help.
    assert liveness.check(10, heard=True, is_greeted=False, is_busy=False) is Verdict.DROP


def test_connection_that_vanished() -> None:
    liveness = Liveness(PATIENCE, 0)
    busy = {"is_greeted": True, "is_busy": True}
    assert liveness.check(59, heard=False, **busy) is Verdict.KEEP
    assert liveness.check(60, heard=False, **busy) is Verdict.PING
    assert liveness.check(79, heard=False, **busy) is Verdict.KEEP
    assert liveness.check(80, heard=False, **busy) is Verdict.DROP


def test_connection_that_answers() -> None:
    liveness = Liveness(PATIENCE, 0)
    busy = {"is_greeted": True, "is_busy": True}
    for minute in range(1, 100):
        assert liveness.check(60 * minute, heard=False, **busy) is Verdict.PING
        assert liveness.check(60 * minute, heard=True, **busy) is Verdict.KEEP


def test_idle_connection() -> None:
    liveness = Liveness(PATIENCE, 0)
    assert liveness.check(300, heard=True, is_greeted=True, is_busy=True) is Verdict.KEEP
    assert liveness.check(899, heard=True, is_greeted=True, is_busy=False) is Verdict.KEEP
    assert liveness.check(900, heard=True, is_greeted=True, is_busy=False) is Verdict.LEAVE
