"""How a server is called: one class a protocol, requests made beforehand, replies read cheaply.

`client` is our whole client as a user has it. The others are what is compared: bytes out, scores
in, as little in between as each protocol allows, so that a comparison is one of servers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypedDict

import grpc
import numpy as np
from emotion2vec.v1 import audio_pb2, service_pb2
from emotion2vec_client import NO_RETRY, AsyncClient, RecognitionError
from numpy.typing import NDArray

from benchmarks.bodies import RAW
from benchmarks.peers.naive import METHOD as NAIVE_METHOD
from benchmarks.speech import SAMPLE_RATE

RECOGNIZE = "/emotion2vec.v1.EmotionRecognitionService/Recognize"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
HTTP_PATH = {"mosec": "/inference", "litserve": "/predict", "ray": "/recognize"}
_UNLIMITED = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


class Answer(NamedTuple):
    """What came back; the figures are 0 where a server does not tell them."""

    scores: NDArray[np.float32]
    """[C] probabilities."""
    batch_size: int = 0
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0


class CallError(Exception):
    """A call failed. The message is its kind: a gRPC status, an HTTP status, "timeout"."""


class Target(Protocol):
    """A server, with requests ready to be sent."""

    async def call(self, clip: int) -> Answer:
        """Sends clip number `clip`.

        Raises:
            CallError: the server refused it or could not be reached.
        """
        ...

    async def close(self) -> None: ...


class _Format(TypedDict, total=False):
    """Of raw samples, as our client is told it."""

    encoding: Literal["linear16"]
    sample_rate: int


class ClientTarget:
    """Our server through our client."""

    def __init__(self, address: str, bodies: Sequence[bytes], encoding: str) -> None:
        self._bodies = bodies
        # A file is sent as it is, for the server to find out what it holds.
        self._format: _Format = (
            {"encoding": "linear16", "sample_rate": SAMPLE_RATE} if encoding == RAW else {}
        )
        self._client = AsyncClient(address, retry=NO_RETRY, timeout=600)

    async def call(self, clip: int) -> Answer:
        try:
            result = await self._client.recognize(self._bodies[clip], **self._format)
        except RecognitionError as error:
            raise CallError(type(error).__name__) from error
        emotion, metadata = result.emotion, result.metadata
        scores = [score.probability for score in emotion.scores] if emotion else []
        return Answer(
            np.array(scores, dtype=np.float32),
            metadata.batch_size,
            metadata.queue_duration,
            metadata.inference_duration,
        )

    async def close(self) -> None:
        await self._client.close()


class GrpcTarget:
    """One gRPC method, raw bytes out, `read` in."""

    def __init__(
        self,
        address: str,
        method: str,
        requests: Sequence[bytes],
        read: Callable[[bytes], Answer],
        deadline: float = 0.0,
    ) -> None:
        self._requests = requests
        self._deadline = deadline or None
        self._channel = grpc.aio.insecure_channel(address, options=_UNLIMITED)
        self._method: grpc.aio.UnaryUnaryMultiCallable[bytes, Answer] = self._channel.unary_unary(
            method, response_deserializer=read
        )

    async def call(self, clip: int) -> Answer:
        try:
            answer: Answer = await self._method(self._requests[clip], timeout=self._deadline)
        except grpc.RpcError as error:
            raise CallError(error.code().name) from error
        return answer

    async def close(self) -> None:
        await self._channel.close()


class HttpTarget:
    """POST over kept-alive HTTP/1.1 connections, `read` in."""

    def __init__(
        self,
        address: str,
        path: str,
        bodies: Sequence[bytes],
        read: Callable[[bytes], Answer],
    ) -> None:
        self._read = read
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._requests = [
            f"POST {path} HTTP/1.1\r\nHost: {address}\r\n"
            f"Content-Type: application/octet-stream\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
            for body in bodies
        ]
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def call(self, clip: int) -> Answer:
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
            return await self._exchange(connection, self._requests[clip])
        except (OSError, asyncio.IncompleteReadError) as error:
            raise CallError(type(error).__name__) from error

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port)

    async def _exchange(
        self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes
    ) -> Answer:
        reader, writer = connection
        writer.write(request)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        code = status.split()[1].decode()
        lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        if code != "200" or not lengths:
            # What follows may have any form.
            writer.close()
            raise CallError(f"HTTP {code}")
        body = await reader.readexactly(lengths[0])
        self._idle.append(connection)
        return self._read(body)

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


def open_target(
    kind: str, address: str, bodies: Sequence[bytes], encoding: str = RAW, deadline: float = 0.0
) -> Target:
    """The target of that kind; needs a running event loop.

    "client", "recognize" and "http" are our server's, and know encodings; "recognize" knows
    deadlines. The others take arrays: their bodies are raw samples.
    """
    if kind == "client":
        return ClientTarget(address, bodies, encoding)
    if kind in HTTP_PATH:
        return HttpTarget(address, HTTP_PATH[kind], bodies, _raw_scores)
    if kind == "http":
        query = f"?encoding=LINEAR16&sample_rate_hertz={SAMPLE_RATE}" if encoding == RAW else ""
        return HttpTarget(address, f"/v1/recognize{query}", bodies, _read_json)
    if kind == "naive":
        return GrpcTarget(address, NAIVE_METHOD, bodies, _raw_scores)
    if kind == "recognize":
        requests = [_recognize(body, encoding) for body in bodies]
        return GrpcTarget(address, RECOGNIZE, requests, _read_response, deadline)
    if kind == "triton":
        return _triton(address, bodies)
    raise ValueError(f"no target is called {kind}")


def _raw_scores(data: bytes) -> Answer:
    return Answer(np.frombuffer(data, dtype=np.float32))


def _recognize(body: bytes, encoding: str) -> bytes:
    raw = audio_pb2.AudioConfig(
        encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=SAMPLE_RATE
    )
    config = raw if encoding == RAW else None
    return service_pb2.RecognizeRequest(audio_config=config, audio=body).SerializeToString()


def _read_response(data: bytes) -> Answer:
    response = service_pb2.RecognizeResponse.FromString(data)
    scores = [score.probability for score in response.result.scores]
    metadata = response.metadata
    return Answer(
        np.array(scores, dtype=np.float32),
        metadata.batch_size,
        metadata.queue_duration.ToNanoseconds() / 1e9,
        metadata.inference_duration.ToNanoseconds() / 1e9,
    )


def _read_json(data: bytes) -> Answer:
    response = json.loads(data)
    scores = [score["probability"] for score in response["result"]["scores"]]
    metadata = response["metadata"]
    return Answer(
        np.array(scores, dtype=np.float32),
        metadata["batch_size"],
        float(metadata["queue_duration"].removesuffix("s")),
        float(metadata["inference_duration"].removesuffix("s")),
    )


def _triton(address: str, pcm: Sequence[bytes]) -> GrpcTarget:
    # Compiled here and now (grpcio-tools), which spares us Triton's own client.
    messages = grpc.protos(str(Path("benchmarks", "peers", "kserve.proto")))
    request = messages.ModelInferRequest

    def write(clip: bytes) -> bytes:
        tensor = request.InferInputTensor(name="pcm", datatype="INT16", shape=[1, len(clip) // 2])
        data: bytes = request(
            model_name="recognizer", inputs=[tensor], raw_input_contents=[clip]
        ).SerializeToString()
        return data

    def read(data: bytes) -> Answer:
        return _raw_scores(messages.ModelInferResponse.FromString(data).raw_output_contents[0])

    return GrpcTarget(address, MODEL_INFER, [write(clip) for clip in pcm], read)
