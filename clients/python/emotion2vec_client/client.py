"""The client for threads and scripts."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc
from emotion2vec.v1.service_pb2 import GetModelRequest, ListModelsRequest
from emotion2vec.v1.service_pb2_grpc import EmotionRecognitionServiceStub

from emotion2vec_client import responses
from emotion2vec_client.audio import AudioSource, Encoding, RawEncoding, RawFormat, load
from emotion2vec_client.connection import (
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT,
    Connection,
    PathLike,
    deadline_of,
)
from emotion2vec_client.errors import RecognitionError
from emotion2vec_client.events import StreamEvent
from emotion2vec_client.health import HEALTH_METHOD, read_health, write_health_request
from emotion2vec_client.requests import Chunk, recognize_request, stream_config
from emotion2vec_client.results import Health, Model, Recognition
from emotion2vec_client.retry import RetryPolicy
from emotion2vec_client.upload import Upload

Request = TypeVar("Request")
Reply = TypeVar("Reply")


class Client:
    """Calls an emotion2vec-server. Thread-safe: share one, calls on it may run side by side.

    Every call raises a `RecognitionError` when the server, or the way to it, fails. Whole calls
    (not streams) are tried again while the server is unavailable or full; see `RetryPolicy`.

    Args:
        server: "HOST:PORT"; the calls take turns between all addresses of HOST. Without a name in
            DNS: "ipv4:10.0.0.1:50051,10.0.0.2:50051".
        secure: use TLS; also implied by any of the certificates.
        root_certificates: PEM file of the authorities to trust instead of the system's.
        client_certificate: PEM file with which this client identifies itself.
        client_key: PEM file with its key.
        token: sent with every call as `authorization: Bearer TOKEN`.
        timeout: seconds that a call may take, all its tries together; math.inf for no limit.
        retry: when failed calls are tried again.

    Raises:
        ValueError: an argument makes no sense, or a certificate file is no PEM.
        OSError: a certificate file can't be read.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        secure: bool = False,
        root_certificates: PathLike | None = None,
        client_certificate: PathLike | None = None,
        client_key: PathLike | None = None,
        token: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._connection = Connection(
            server=server,
            secure=secure,
            root_certificates=root_certificates,
            client_certificate=client_certificate,
            client_key=client_key,
            token=token,
            timeout=timeout,
            retry=RetryPolicy() if retry is None else retry,
        )
        self._channel = _open(self._connection)
        self._stub = EmotionRecognitionServiceStub(self._channel)

    def recognize(
        self,
        audio: AudioSource,
        *,
        frames: bool = False,
        embedding: bool = False,
        frame_embeddings: bool = False,
        processed_audio: bool = False,
        model: str = "",
        allowed_labels: Sequence[str] = (),
        encoding: Encoding | None = None,
        sample_rate: int | None = None,
        channels: int | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Recognition:
        """Recognises one whole recording.

        Args:
            audio: a path, bytes, a file open in binary mode, or an array [n] or [n, channels] of
                int16 or float32 samples.
            frames: return the scores of every 20 ms frame too.
            embedding: return the embedding of the utterance.
            frame_embeddings: return one embedding a frame; they are large.
            processed_audio: return what the model heard, 16 kHz mono.
            model: name of the model; the server's default if empty.
            allowed_labels: score these labels only; all of them if empty.
            encoding: of raw bytes; the server detects containers such as WAV or MP3 itself.
            sample_rate: Hz; needed by arrays and raw bytes.
            channels: of interleaved raw bytes; 1 if None.
            request_id: comes back in the result.
            timeout: seconds, instead of the client's.

        Raises:
            RecognitionError: the call failed; its subclasses say how.
            OSError: the file can't be read.
            TypeError, ValueError: the arguments don't fit each other.
        """
        request = recognize_request(
            load(audio, encoding, sample_rate, channels),
            frames=frames,
            embedding=embedding,
            frame_embeddings=frame_embeddings,
            processed_audio=processed_audio,
            model=model,
            allowed_labels=allowed_labels,
            request_id=request_id,
        )
        return responses.recognition(self._call(self._stub.Recognize, request, timeout))

    def stream(
        self,
        chunks: Iterable[Chunk],
        *,
        sample_rate: int,
        encoding: RawEncoding = "linear16",
        channels: int = 1,
        window: float | None = None,
        hop: float | None = None,
        lookahead: float | None = None,
        interim: bool = False,
        voice_activity_detection: bool | None = None,
        embedding: bool = False,
        frame_embeddings: bool = False,
        model: str = "",
        allowed_labels: Sequence[str] = (),
        request_id: str = "",
        timeout: float | None = None,
    ) -> Generator[StreamEvent, None, None]:
        """Recognises live audio while it comes.

        The chunks are taken in another thread, as fast as the server takes them; an iterator that
        waits for a microphone may block. Stop iterating, or close the result, to end the stream.

        Args:
            chunks: raw samples of any length as bytes or arrays, and END_UTTERANCE.
            sample_rate: Hz.
            encoding: of the samples.
            channels: interleaved channels.
            window: seconds of audio that the model sees at once; the server's default if None.
            hop: seconds between two runs of the model; the server's default if None.
            lookahead: seconds heard after a frame before it is final; the server's default if None.
            interim: yield running results, and frames before they are final.
            voice_activity_detection: report speech and keep silence out of the running results; the
                server's default if None.
            embedding: final results carry the embedding of the utterance.
            frame_embeddings: final results carry one embedding a frame.
            model: name of the model; the server's default if empty.
            allowed_labels: score these labels only; all of them if empty.
            request_id: comes back in the first event.
            timeout: seconds that the whole stream may take; no limit if None.

        Raises:
            RecognitionError: the stream failed. Streams are not tried again.
            Exception: whatever `chunks` raises.
        """
        raw = RawFormat(encoding, sample_rate, channels)
        config = stream_config(
            raw,
            window=window,
            hop=hop,
            lookahead=lookahead,
            interim=interim,
            voice_activity_detection=voice_activity_detection,
            embedding=embedding,
            frame_embeddings=frame_embeddings,
            model=model,
            allowed_labels=allowed_labels,
            request_id=request_id,
        )
        return self._events(Upload(config, raw), chunks, deadline_of(timeout))

    def list_models(self, *, timeout: float | None = None) -> tuple[Model, ...]:
        """The served models."""
        reply = self._call(self._stub.ListModels, ListModelsRequest(), timeout)
        return tuple(map(responses.model, reply.models))

    def get_model(self, name: str = "", *, timeout: float | None = None) -> Model:
        """One model, the default one if `name` is empty.

        Raises:
            NotFoundError: the server has no such model.
        """
        request = GetModelRequest(name=name)
        return responses.model(self._call(self._stub.GetModel, request, timeout).model)

    def health(self, service: str = "", *, timeout: float | None = None) -> Health:
        """The server's own word on its health, as it is now: asked once, without another try.

        Raises:
            UnavailableError: the server can't be reached.
            NotFoundError: it has no such service.
        """
        check = self._channel.unary_unary(HEALTH_METHOD, write_health_request, read_health)
        return self._try(check, service, self._connection.tries(timeout).remaining())

    def close(self) -> None:
        """Ends the connection; calls under way are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Reply],
        request: Request,
        timeout: float | None,
    ) -> Reply:
        """One call with all its tries."""
        tries = self._connection.tries(timeout)
        while True:
            try:
                return self._try(method, request, tries.remaining())
            except RecognitionError as error:
                pause = tries.pause(error)
                if pause is None:
                    raise
            time.sleep(pause)

    def _try(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Reply],
        request: Request,
        timeout: float | None,
    ) -> Reply:
        try:
            return method(request, timeout=timeout, metadata=self._connection.metadata)
        except grpc.RpcError as error:
            raise self._connection.translate(error) from error

    def _events(
        self, upload: Upload, chunks: Iterable[Chunk], timeout: float | None
    ) -> Generator[StreamEvent, None, None]:
        call = self._stub.StreamRecognize(
            upload.messages(chunks), timeout=timeout, metadata=self._connection.metadata
        )
        try:
            for reply in call:
                upload.check()
                event = responses.stream_event(reply)
                if event is not None:
                    yield event
            upload.check()
        except grpc.RpcError as error:
            upload.check()
            raise self._connection.translate(error) from error
        finally:
            call.cancel()


def _open(connection: Connection) -> grpc.Channel:
    credentials = connection.credentials()
    if credentials is None:
        return grpc.insecure_channel(connection.target, connection.options)
    return grpc.secure_channel(connection.target, credentials, connection.options)
