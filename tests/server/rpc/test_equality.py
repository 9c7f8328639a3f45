"""What callers and handlers see is the same with grpc.aio's server and with ours."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.server.rpc.serving import MAX_MESSAGE_BYTES, UNLIMITED, Serve, calling, failure, path

unary_unary = grpc.unary_unary_rpc_method_handler
unary_stream = grpc.unary_stream_rpc_method_handler
stream_unary = grpc.stream_unary_rpc_method_handler
stream_stream = grpc.stream_stream_rpc_method_handler
Context = Any
MIB = 2**20


async def echo(request: bytes, _context: Context) -> bytes:
    return request


async def read_one(_requests: AsyncIterator[bytes], context: Context) -> bytes:
    """As the product's unary calls are read."""
    message = await context.read()
    return b"none" if message is grpc.aio.EOF else message


async def join(requests: AsyncIterator[bytes], _context: Context) -> bytes:
    return b"".join([request async for request in requests])


async def split(request: bytes, _context: Context) -> AsyncIterator[bytes]:
    for byte in request:
        yield bytes([byte])


async def split_by_writing(request: bytes, context: Context) -> None:
    for byte in request:
        await context.write(bytes([byte]))


async def echo_each(requests: AsyncIterator[bytes], _context: Context) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def digest(_requests: AsyncIterator[bytes], context: Context) -> bytes:
    return hashlib.sha256(await context.read()).digest()


SHAPES = {
    "UnaryUnary": unary_unary(echo),
    "ReadOne": stream_unary(read_one),
    "StreamUnary": stream_unary(join),
    "UnaryStream": unary_stream(split),
    "Written": unary_stream(split_by_writing),
    "StreamStream": stream_stream(echo_each),
    "Digest": stream_unary(digest),
}


@pytest.mark.parametrize("size", [0, 1, 5, 16_384, 160_000, 3 * MIB])
@pytest.mark.parametrize("method", ["UnaryUnary", "ReadOne"])
async def test_unary(serve: Serve, method: str, size: int) -> None:
    async with calling(await serve(**SHAPES)) as channel:
        call = channel.unary_unary(path(method))
        message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        for _ in range(3):
            assert await call(message) == message


@pytest.mark.parametrize("method", ["UnaryStream", "Written"])
async def test_streamed_responses(serve: Serve, method: str) -> None:
    async with calling(await serve(**SHAPES)) as channel:
        responses = channel.unary_stream(path(method))(b"abc")
        assert [response async for response in responses] == [b"a", b"b", b"c"]


async def test_streamed_requests(serve: Serve) -> None:
    async with calling(await serve(**SHAPES)) as channel:
        call = channel.stream_unary(path("StreamUnary"))
        assert await call(iter([b"a", b"", b"b" * 100_000, b"c"])) == b"a" + b"b" * 100_000 + b"c"
        assert await call(iter([])) == b""
        assert await channel.stream_unary(path("ReadOne"))(iter([])) == b"none"


async def test_conversation(serve: Serve) -> None:
    async with calling(await serve(**SHAPES)) as channel:
        call = channel.stream_stream(path("StreamStream"))()
        for message in (b"a", b"", b"b" * 200_000):
            await call.write(message)
            assert await call.read() == message
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_many_large_streams_share_a_connection(serve: Serve) -> None:
    parts = [bytes([index]) * 300_000 for index in range(8)]

    async def talk(channel: grpc.aio.Channel) -> None:
        call = channel.stream_stream(path("StreamStream"))(iter(parts))
        assert [response async for response in call] == parts

    async with calling(await serve(**SHAPES)) as channel:
        await asyncio.gather(*[talk(channel) for _ in range(20)])


async def test_largest_request(serve: Serve) -> None:
    message = bytes(MAX_MESSAGE_BYTES)
    async with calling(await serve(**SHAPES)) as channel:
        call = channel.unary_unary(path("Digest"))
        assert await call(message) == hashlib.sha256(message).digest()
        code, _ = await failure(call(message + b"x"))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await call(b"") == hashlib.sha256(b"").digest()


async def test_large_response(serve: Serve) -> None:
    async def large(_request: bytes, _context: Context) -> bytes:
        return b"x" * (10 * MIB)

    async with calling(await serve(Large=unary_unary(large))) as channel:
        replies = await asyncio.gather(*[channel.unary_unary(path("Large"))(b"") for _ in range(4)])
        assert [len(reply) for reply in replies] == [10 * MIB] * 4


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("size", [100, 5 * MIB])
async def test_compressed_requests(serve: Serve, compression: Any, size: int) -> None:
    async with calling(await serve(**SHAPES), compression=compression) as channel:
        assert await channel.unary_unary(path("ReadOne"))(b"a" * size) == b"a" * size
        parts = [b"a" * size, b"", b"b" * 1000]
        assert await channel.stream_unary(path("StreamUnary"))(iter(parts)) == b"".join(parts)


async def test_compressed_request_that_is_too_large(serve: Serve) -> None:
    address = await serve(**SHAPES)
    async with calling(address, compression=grpc.Compression.Gzip) as channel:
        code, _ = await failure(channel.unary_unary(path("ReadOne"))(bytes(MAX_MESSAGE_BYTES + 1)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_512_calls_at_once_on_one_channel(serve: Serve) -> None:
    gate, inside = asyncio.Event(), 0

    async def wait(request: bytes, _context: Context) -> bytes:
        nonlocal inside
        inside += 1
        if inside == 512:
            gate.set()
        await gate.wait()
        return request

    async with calling(await serve(Wait=unary_unary(wait))) as channel:
        calls = [channel.unary_unary(path("Wait"))(bytes([n % 256]) * 1000) for n in range(512)]
        replies = await asyncio.wait_for(asyncio.gather(*calls), 30)
        assert replies == [bytes([n % 256]) * 1000 for n in range(512)]


async def test_unknown_method(serve: Serve) -> None:
    async with calling(await serve(**SHAPES)) as channel:
        for call in (channel.unary_unary(path("No")), channel.unary_unary("/no.Service/No")):
            code, _ = await failure(call(b"x" * 100_000))
            assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_abort(serve: Serve) -> None:
    async def abort(_request: bytes, context: Context) -> bytes:
        context.set_trailing_metadata((("replaced", "yes"),))
        await context.abort(
            grpc.StatusCode.NOT_FOUND,
            "ä 100 % \n gone",
            (("why", "because"), ("why-bin", b"\0\xff")),
        )
        return b""

    async with calling(await serve(Abort=unary_unary(abort))) as channel:
        call = channel.unary_unary(path("Abort"))(b"")
        assert await failure(call) == (grpc.StatusCode.NOT_FOUND, "ä 100 % \n gone")
        assert dict(await call.trailing_metadata()) == {"why": "because", "why-bin": b"\0\xff"}


async def test_abort_within_a_stream(serve: Serve) -> None:
    async def abort(_request: bytes, context: Context) -> AsyncIterator[bytes]:
        yield b"one"
        await context.abort(grpc.StatusCode.DATA_LOSS, "no more")

    async with calling(await serve(Abort=unary_stream(abort))) as channel:
        call = channel.unary_stream(path("Abort"))(b"")
        assert await call.read() == b"one"
        assert await failure(call.read()) == (grpc.StatusCode.DATA_LOSS, "no more")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_unforeseen_error(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_request: bytes, _context: Context) -> bytes:
        raise LookupError("secret")

    async with calling(await serve(Fail=unary_unary(fail))) as channel:
        code, _ = await failure(channel.unary_unary(path("Fail"))(b""))
        assert code is grpc.StatusCode.UNKNOWN
    assert "LookupError: secret" in caplog.text


async def test_status_set_by_the_handler(serve: Serve) -> None:
    async def refuse(_request: bytes, context: Context) -> bytes:
        context.set_code(grpc.StatusCode.OUT_OF_RANGE)
        context.set_details("too far")
        context.set_trailing_metadata((("a", "b"),))
        return b""

    async with calling(await serve(Refuse=unary_unary(refuse))) as channel:
        call = channel.unary_unary(path("Refuse"))(b"")
        assert await failure(call) == (grpc.StatusCode.OUT_OF_RANGE, "too far")
        assert dict(await call.trailing_metadata()) == {"a": "b"}


async def test_metadata(serve: Serve) -> None:
    async def reflect(_request: bytes, context: Context) -> bytes:
        given = [
            item for item in context.invocation_metadata() if not item[0].startswith("user-agent")
        ]
        await context.send_initial_metadata((("first", "1"), ("first-bin", b"\1\2\3")))
        context.set_trailing_metadata((("last", "2"), ("last-bin", b"")))
        return repr(sorted(tuple(item) for item in given)).encode()

    async with calling(await serve(Reflect=unary_unary(reflect))) as channel:
        sent = (("a", "1"), ("a", "2"), ("b-bin", b"\0\1\xff"), ("authorization", "Bearer x y"))
        for _ in range(3):
            call = channel.unary_unary(path("Reflect"))(b"", metadata=sent)
            assert (await call).decode() == repr(sorted(sent))
            assert dict(await call.initial_metadata()) == {"first": "1", "first-bin": b"\1\2\3"}
            assert dict(await call.trailing_metadata()) == {"last": "2", "last-bin": b""}


async def test_what_a_context_knows(serve: Serve) -> None:
    async def tell(_request: bytes, context: Context) -> bytes:
        known = [
            context.peer().rpartition(":")[0],
            int(context.peer().rpartition(":")[2]) > 0,
            context.time_remaining() is None or 50 < context.time_remaining() < 61,
            context.time_remaining() is None,
            context.cancelled(),
            context.done(),
        ]
        return repr(known).encode()

    async with calling(await serve(Tell=unary_unary(tell))) as channel:
        call = channel.unary_unary(path("Tell"))
        assert await call(b"") == b"['ipv4:127.0.0.1', True, True, True, False, False]"
        assert await call(b"", timeout=60) == b"['ipv4:127.0.0.1', True, True, False, False, False]"


async def test_deadline(serve: Serve) -> None:
    cancelled = asyncio.Event()

    async def wait(requests: AsyncIterator[bytes], _context: Context) -> bytes:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return b""

    async with calling(await serve(Wait=stream_unary(wait))) as channel:
        code, _ = await failure(channel.unary_unary(path("Wait"))(b"x" * 100_000, timeout=0.2))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(cancelled.wait(), 5)


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_caller_who_leaves_cancels_the_handler(serve: Serve, how: str) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        try:
            yield b"here"
            began.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with calling(await serve(Wait=stream_stream(wait))) as channel:
        call = channel.stream_stream(path("Wait"))()
        assert await call.read() == b"here"
        await asyncio.wait_for(began.wait(), 5)
        if how == "cancel":
            call.cancel()
        else:
            await channel.close()
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_answer_before_the_request_is_complete(serve: Serve) -> None:
    async def refuse(_requests: AsyncIterator[bytes], context: Context) -> bytes:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no room")
        return b""

    address = await serve(Refuse=stream_unary(refuse), Echo=unary_unary(echo))

    def upload() -> tuple[grpc.StatusCode, str]:
        """By the blocking client: grpc.aio's own reports INTERNAL when its write meets the end."""
        with grpc.insecure_channel(address, options=UNLIMITED) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                channel.stream_unary(path("Refuse"))(itertools.repeat(b"x" * 100_000))
            return caught.value.code(), caught.value.details()

    expected = grpc.StatusCode.RESOURCE_EXHAUSTED, "no room"
    assert await asyncio.gather(*[asyncio.to_thread(upload) for _ in range(3)]) == [expected] * 3
    async with calling(address) as channel:
        for _ in range(20):
            call = channel.unary_unary(path("Refuse"))(bytes(8 * MIB))
            assert await failure(call) == expected
        # The connection has not run dry.
        assert await channel.unary_unary(path("Echo"))(bytes(4 * MIB)) == bytes(4 * MIB)


async def test_serializers(serve: Serve) -> None:
    async def double(request: int, _context: Context) -> int:
        return 2 * request

    async def count(requests: AsyncIterator[int], context: Context) -> AsyncIterator[int]:
        async for request in requests:
            yield request + 1
        assert await context.read() is grpc.aio.EOF

    codec = {
        "request_deserializer": lambda data: int(data.decode()),
        "response_serializer": lambda number: str(number).encode(),
    }
    methods = {"Double": unary_unary(double, **codec), "Count": stream_stream(count, **codec)}
    async with calling(await serve(**methods)) as channel:
        assert await channel.unary_unary(path("Double"))(b"21") == b"42"
        call = channel.stream_stream(path("Count"))(iter([b"1", b"2"]))
        assert [reply async for reply in call] == [b"2", b"3"]


async def test_interceptors(serve: Serve) -> None:
    seen: list[str] = []

    class Note(grpc.aio.ServerInterceptor):
        def __init__(self, name: str) -> None:
            self._name = name

        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            seen.append(f"{self._name} {details.method} {dict(details.invocation_metadata)['k']}")
            if details.method == path("Hidden"):
                return None
            return await continuation(details)

    methods = {"Echo": unary_unary(echo), "Hidden": unary_unary(echo)}
    address = await serve(interceptors=(Note("outer"), Note("inner")), **methods)
    async with calling(address) as channel:
        metadata = (("k", "v"),)
        assert await channel.unary_unary(path("Echo"))(b"x", metadata=metadata) == b"x"
        code, _ = await failure(channel.unary_unary(path("Hidden"))(b"", metadata=metadata))
        assert code is grpc.StatusCode.UNIMPLEMENTED
    assert seen == [
        "outer /test.Service/Echo v",
        "inner /test.Service/Echo v",
        "outer /test.Service/Hidden v",
    ]


async def test_done_callback(serve: Serve) -> None:
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handle(request: bytes, context: Context) -> bytes:
        context.add_done_callback(done.set_result)
        return request

    async with calling(await serve(Handle=unary_unary(handle))) as channel:
        await channel.unary_unary(path("Handle"))(b"")
        context = await asyncio.wait_for(done, 5)
        assert context.done()
        assert not context.cancelled()


async def test_blocking_client(serve: Serve) -> None:
    address = await serve(**SHAPES)

    def call() -> tuple[bytes, list[bytes]]:
        with grpc.insecure_channel(address, options=UNLIMITED) as channel:
            reply = channel.unary_unary(path("UnaryUnary"))(b"x" * 100_000)
            return reply, list(channel.stream_stream(path("StreamStream"))(iter([b"a", b"b"])))

    assert await asyncio.to_thread(call) == (b"x" * 100_000, [b"a", b"b"])
