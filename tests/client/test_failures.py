"""What goes wrong, in both clients: statuses, retries, deadlines, TLS, tokens."""

from __future__ import annotations

import asyncio
import math
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from emotion2vec.v1 import service_pb2_grpc
from emotion2vec_client import (
    NO_RETRY,
    AsyncClient,
    Client,
    DeadlineExceededError,
    InvalidAudioError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    RecognitionError,
    RetryPolicy,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from emotion2vec_client import status as status_module
from emotion2vec_client.retry import Tries
from hypothesis import given
from hypothesis import strategies as st

Code = grpc.StatusCode
FAST = RetryPolicy(first_pause=0.01, longest_pause=0.02, jitter=0.0)


@pytest.mark.parametrize(
    ("code", "field", "error"),
    [
        (Code.INVALID_ARGUMENT, "audio", InvalidAudioError),
        (Code.INVALID_ARGUMENT, "audio_config.sample_rate_hertz", InvalidAudioError),
        (Code.INVALID_ARGUMENT, "config.audio_config.encoding", InvalidAudioError),
        (Code.INVALID_ARGUMENT, "config.allowed_labels", InvalidRequestError),
        (Code.INVALID_ARGUMENT, None, InvalidRequestError),
        (Code.NOT_FOUND, None, NotFoundError),
        (Code.RESOURCE_EXHAUSTED, None, TooLargeError),
        (Code.UNAUTHENTICATED, None, UnauthenticatedError),
        (Code.DEADLINE_EXCEEDED, None, DeadlineExceededError),
        (Code.INTERNAL, None, RecognitionError),
        (Code.UNKNOWN, None, RecognitionError),
    ],
)
@pytest.mark.parametrize("call", ["recognize", "stream"])
def test_every_status_becomes_its_error_and_is_not_retried(
    client: Any, server: Any, make_failure: Any, code: Any, field: Any, error: Any, call: str
) -> None:
    # What is too large for one message is sent in pieces.
    times = 2 if (call, code) == ("recognize", Code.RESOURCE_EXHAUSTED) else 1
    server.service.failures.extend([make_failure(code, "what to do", field=field)] * times)
    calls = {
        "recognize": lambda: client.recognize(b"x"),
        "stream": lambda: list(client.stream([b"xx"], sample_rate=16000)),
    }
    with pytest.raises(RecognitionError, match="what to do") as caught:
        calls[call]()
    assert type(caught.value) is error
    assert (caught.value.code, caught.value.field) == (code, field)
    assert caught.value.retry_after is None
    assert len(server.service.requests) == times


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED])
def test_retry_info_is_honoured_until_it_works(
    client: Any, server: Any, make_failure: Any, code: Any
) -> None:
    failure = make_failure(code, "loading", retry_after=0.06)
    server.service.failures.extend([failure] * 6)
    started = time.monotonic()
    assert client.recognize(b"x").emotion is not None
    assert len(server.service.requests) == 7
    assert time.monotonic() - started >= 6 * 0.06


def test_unavailable_without_retry_info_is_tried_a_few_times(
    client: Any, server: Any, make_failure: Any
) -> None:
    server.service.failures.extend([make_failure(Code.UNAVAILABLE)] * 3)
    assert len(client.list_models()) == 2
    server.service.failures.extend([make_failure(Code.UNAVAILABLE)] * 10)
    with pytest.raises(UnavailableError):
        client.list_models()
    assert len(server.service.requests) == 4 + 4


def test_a_call_that_the_server_cancels_is_tried_again(
    client: Any, server: Any, make_failure: Any
) -> None:
    """A server that stops does so with what has just arrived."""
    server.service.failures.append(make_failure(Code.CANCELLED, "CANCELLED"))
    assert client.recognize(b"x").emotion is not None
    server.service.failures.append(make_failure(Code.CANCELLED, "CANCELLED"))
    with pytest.raises(UnavailableError, match="shutting down") as caught:
        list(client.stream([b"xx"], sample_rate=16000))
    assert (caught.value.code, caught.value.retryable) == (Code.CANCELLED, True)


def test_a_call_that_this_side_cancels_is_not_tried_again(server: Any) -> None:
    server.service.gate = threading.Event()
    client = Client(server.address, retry=FAST)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.recognize, b"x")
        assert server.service.entered.acquire(timeout=30)
        client.close()
        error = call.exception(timeout=30)
    assert type(error) is RecognitionError
    assert (error.code, error.retryable) == (Code.CANCELLED, False)


def test_retry_never_outlives_the_deadline(client: Any, server: Any, make_failure: Any) -> None:
    server.service.failures.append(make_failure(Code.UNAVAILABLE, "draining", retry_after=3600))
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="draining") as caught:
        client.recognize(b"x", timeout=10)
    assert caught.value.retry_after == 3600
    assert time.monotonic() - started < 10


def test_overload_that_lasts_is_told(client: Any, server: Any, make_failure: Any) -> None:
    failure = make_failure(Code.RESOURCE_EXHAUSTED, "queue full", retry_after=0.05)
    server.service.failures.extend([failure] * 1000)
    with pytest.raises((OverloadedError, DeadlineExceededError)):
        client.recognize(b"x", timeout=0.5)
    assert len(server.service.requests) > 1


def test_tries_share_one_deadline(client: Any, server: Any, make_failure: Any) -> None:
    server.service.failures.extend([make_failure(Code.UNAVAILABLE, retry_after=0.1)] * 3)
    client.recognize(b"x", timeout=3)
    left = server.service.seconds_left
    assert len(left) == 4
    assert left[-1] <= left[0] - 0.2


def test_no_retry(connect: Any, server: Any, make_failure: Any) -> None:
    client = connect(server.address, retry=NO_RETRY)
    server.service.failures.append(make_failure(Code.UNAVAILABLE, retry_after=0.01))
    with pytest.raises(UnavailableError):
        client.recognize(b"x")


def test_streams_and_health_are_not_retried(client: Any, server: Any, make_failure: Any) -> None:
    server.service.failures.append(make_failure(Code.UNAVAILABLE, "full", retry_after=0.01))
    with pytest.raises(UnavailableError, match="full") as caught:
        list(client.stream([b"xx"], sample_rate=16000))
    assert caught.value.retry_after == pytest.approx(0.01)
    with pytest.raises(NotFoundError):
        client.health("no such service")


def test_default_deadline_reaches_the_server(connect: Any, server: Any) -> None:
    connect(server.address).recognize(b"x")
    connect(server.address, timeout=7).recognize(b"x")
    connect(server.address, timeout=math.inf).recognize(b"x")
    connect(server.address, timeout=7).recognize(b"x", timeout=100)
    default, own, none, call = server.service.seconds_left
    # gRPC rounds a timeout up when it sends it.
    assert 50 < default <= 61
    assert 0 < own <= 7.5
    assert none is None or none > 1e6
    assert 90 < call <= 101


def test_silence_of_the_server_ends_with_the_deadline(client: Any, server: Any) -> None:
    server.service.gate = threading.Event()
    with pytest.raises(DeadlineExceededError, match="longer timeout"):
        client.recognize(b"x", timeout=0.3)


@pytest.mark.parametrize("details", ["Deadline Exceeded", "Stream removed (Deadline Exceeded)"])
def test_grpcs_words_for_a_deadline_are_not_passed_on(details: str) -> None:
    assert "longer timeout" in str(translated(Code.DEADLINE_EXCEEDED, details))


def test_nobody_listens(connect: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        client = connect(address, retry=RetryPolicy(attempts=2, first_pause=0.01))
        with pytest.raises(UnavailableError, match="can't reach") as caught:
            client.recognize(b"x")
        with pytest.raises(UnavailableError, match="is it running"):
            client.health()
        with pytest.raises(UnavailableError):
            list(client.stream([b"xx"], sample_rate=16000))
    assert address in str(caught.value)
    assert "refused" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_server_is_told_apart(connect: Any) -> None:
    other = grpc.server(ThreadPoolExecutor(2))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    with pytest.raises(RecognitionError, match="is it an emotion2vec-server"):
        connect(f"127.0.0.1:{port}").recognize(b"x")
    other.stop(None)


def test_message_over_the_servers_limit(connect: Any, server: Any) -> None:
    small = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", 1000)])
    service_pb2_grpc.add_EmotionRecognitionServiceServicer_to_server(server.service, small)
    port = small.add_insecure_port("127.0.0.1:0")
    small.start()
    with pytest.raises(TooLargeError, match="in pieces, with recognize_recording"):
        connect(f"127.0.0.1:{port}").recognize(bytes(2000))
    small.stop(None)


@pytest.mark.parametrize(
    "details",
    [
        "Received message larger than max (20000000 vs. 16777216)",
        "SERVER: Received message larger than max (20000000 vs. 16777216)",
        "Decompressed message larger than max",
    ],
)
def test_a_message_that_is_too_large_is_a_hint_to_compress(details: str) -> None:
    error = translated(Code.RESOURCE_EXHAUSTED, details)
    assert isinstance(error, TooLargeError)
    assert "compress the audio" in str(error)


def test_replies_beyond_grpcs_default_limit_arrive(client: Any) -> None:
    samples = bytes(2 * 16000 * 200)
    result = client.recognize(samples, encoding="linear16", sample_rate=16000, processed_audio=True)
    assert result.processed_audio.nbytes == len(samples) > 4 * 2**20


def test_token_travels_with_every_call(connect: Any, server: Any) -> None:
    client = connect(server.address, token="secret")
    client.recognize(b"x")
    client.list_models()
    list(client.stream([], sample_rate=16000))
    assert [call["authorization"] for call in server.service.metadata] == ["Bearer secret"] * 3
    connect(server.address).recognize(b"x")
    assert "authorization" not in server.service.metadata[-1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"token": "line\n"}, "token"),
        ({"token": "schlüssel"}, "token"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": math.nan}, "timeout"),
        ({"client_key": "key.pem"}, "belong together"),
        ({"server": ""}, "HOST:PORT"),
    ],
)
def test_wrong_settings_are_refused(connect: Any, options: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        connect(**options)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, server.pem/.key and client.pem/.key, for localhost, valid for a day; other.pem is of
    another authority."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(("openssl", *arguments), cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        openssl(
            *("req", "-x509", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.pem"),
            *("-subj", f"/CN={name} authority", "-days", "1"),
        )
    for name in ("server", "client"):
        (folder / "san").write_text("subjectAltName=DNS:localhost")
        openssl(
            *("req", *new_key, "-keyout", f"{name}.key"),
            *("-out", f"{name}.csr", "-subj", f"/CN={name}"),
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-out", f"{name}.pem", "-days", "1", "-extfile", "san"),
        )
    return folder


@pytest.fixture
def start_secure(server: Any, certificates: Path) -> Iterator[Any]:
    """Starts the server with TLS as localhost:PORT; `mutual` if clients need a certificate."""
    started = []

    def start(*, mutual: bool) -> str:
        def read(name: str) -> bytes:
            return (certificates / name).read_bytes()

        secure = grpc.server(ThreadPoolExecutor(4))
        service_pb2_grpc.add_EmotionRecognitionServiceServicer_to_server(server.service, secure)
        port = secure.add_secure_port(
            "127.0.0.1:0",
            grpc.ssl_server_credentials(
                [(read("server.key"), read("server.pem"))],
                root_certificates=read("ca.pem") if mutual else None,
                require_client_auth=mutual,
            ),
        )
        secure.start()
        started.append(secure)
        return f"localhost:{port}"

    yield start
    for secure in started:
        secure.stop(None)


@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mutual"])
def test_tls(connect: Any, certificates: Path, start_secure: Any, mutual: bool) -> None:
    identity = {
        "client_certificate": certificates / "client.pem",
        "client_key": str(certificates / "client.key"),
    }
    trusted = {"root_certificates": certificates / "ca.pem", **(identity if mutual else {})}
    client = connect(start_secure(mutual=mutual), token="t", **trusted)
    assert client.recognize(b"x").emotion is not None


@pytest.mark.parametrize(
    ("kind", "authority", "says"),
    [
        ("tls", None, r"hangs up at once; does it want TLS \(--tls, or secure=True\)\?"),
        ("tls", "other.pem", r"is not trusted \(unable to get .*\); .*--tls-ca, or root_cert"),
        ("by address", "ca.pem", "certificate of .* is for other names"),
        ("mutual", "ca.pem", "want a certificate of the client .*--tls-cert"),
        ("plain", "ca.pem", "does not speak TLS; call it without"),
    ],
)
def test_each_mistake_with_tls_is_told(
    connect: Any,
    server: Any,
    certificates: Path,
    start_secure: Any,
    kind: str,
    authority: str | None,
    says: str,
) -> None:
    address = server.address if kind == "plain" else start_secure(mutual=kind == "mutual")
    if kind == "by address":
        address = address.replace("localhost", "127.0.0.1")
    trusted = None if authority is None else certificates / authority
    client = connect(address, root_certificates=trusted, retry=NO_RETRY)
    with pytest.raises(UnavailableError, match=says):
        client.recognize(b"x", timeout=10)


def test_keys_that_fit_no_certificate_are_told() -> None:
    details = "last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to create security handshaker."
    assert "don't belong together" in str(translated(Code.UNAVAILABLE, details))


def test_wrong_certificate_files_are_named(connect: Any, certificates: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pem"):
        connect("localhost:1", root_certificates="nowhere.pem")
    with pytest.raises(ValueError, match=r"server\.csr holds no PEM certificate"):
        connect("localhost:1", root_certificates=certificates / "server.csr")
    swapped = {
        "client_certificate": certificates / "client.pem",
        "client_key": certificates / "ca.pem",
    }
    with pytest.raises(ValueError, match=r"ca\.pem holds no PEM private key"):
        connect("localhost:1", **swapped)


def test_async_client_may_be_made_outside_of_its_loop(server: Any) -> None:
    client = AsyncClient(server.address)

    async def use() -> list[Any]:
        async with client:
            return await asyncio.gather(*(client.recognize(b"x") for _ in range(5)))

    assert len(asyncio.run(use())) == 5


def test_calls_go_to_all_addresses_of_a_server(connect: Any, server: Any) -> None:
    other = grpc.server(ThreadPoolExecutor(2))
    service = type(server.service)()
    service_pb2_grpc.add_EmotionRecognitionServiceServicer_to_server(service, other)
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    client = connect(f"ipv4:{server.address},127.0.0.1:{port}", timeout=20)
    deadline = time.monotonic() + 20
    # The two connections come about one after the other.
    while not (server.service.requests and service.requests) and time.monotonic() < deadline:
        client.list_models()
    first, second = len(server.service.requests), len(service.requests)
    for _ in range(10):
        client.list_models()
    other.stop(None)
    assert (len(server.service.requests) - first, len(service.requests) - second) == (5, 5)


# The policy by itself


def failure(code: Any = Code.UNAVAILABLE, retry_after: float | None = None) -> RecognitionError:
    kind = UnavailableError if code is Code.UNAVAILABLE else RecognitionError
    return kind("no", code=code, retry_after=retry_after)


@given(
    retry_after=st.none() | st.floats(0, 100),
    timeout=st.none() | st.floats(0.001, 100),
    chance=st.floats(0, 1),
    count=st.integers(1, 10),
)
def test_pauses_are_bounded_and_respect_server_and_deadline(
    retry_after: float | None, timeout: float | None, chance: float, count: int
) -> None:
    now = 0.0
    policy = RetryPolicy()
    tries = Tries(policy, timeout, clock=lambda: now, chance=lambda: chance)
    for _ in range(count):
        pause = tries.pause(failure(retry_after=retry_after))
        if pause is None:
            break
        assert pause > 0
        now += pause
        assert timeout is None or now < timeout
        if retry_after is not None:
            assert pause >= retry_after
            assert pause <= max(retry_after, 0.05) * (1 + policy.jitter)
        else:
            assert pause <= policy.longest_pause


def test_pauses_double_up_to_the_longest() -> None:
    policy = RetryPolicy(attempts=6, first_pause=1, longest_pause=4)
    tries = Tries(policy, None, chance=lambda: 1.0)
    assert [tries.pause(failure()) for _ in range(6)] == [1, 2, 4, 4, 4, None]


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED, Code.INTERNAL])
def test_what_cannot_pass_is_not_retried(code: Any) -> None:
    assert Tries(RetryPolicy(), None).pause(failure(code)) is None


@given(st.binary(max_size=200))
def test_any_bytes_in_the_details_leave_the_status_standing(packed: bytes) -> None:
    error = translated(Code.INTERNAL, "broken", packed)
    assert (error.code, str(error)) == (Code.INTERNAL, "broken")


def translated(code: Any, details: str, packed: bytes = b"") -> RecognitionError:
    """What a call raises that ended so; `packed` are the details of google.rpc."""

    class Failed(grpc.RpcError):
        def code(self) -> Any:
            return code

        def details(self) -> str:
            return details

        def trailing_metadata(self) -> Any:
            return (("other", "x"), ("grpc-status-details-bin", packed))

    return status_module.translate(Failed(), "server", secure=False)
