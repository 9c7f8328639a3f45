"""The client for asyncio: `Client` again, with `await` where it waits.

`timeout` is an argument here too (ruff: ASYNC109), because it is the gRPC deadline that the server
is told, and because both clients shall have the same surface.
"""
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from typing import Self

from emotion2vec_client.aio_calls import AsyncCalls
from emotion2vec_client.audio import AudioSource, Encoding, body_of, stream_format
from emotion2vec_client.connection import (
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT,
    Connection,
    PathLike,
    deadline_of,
)
from emotion2vec_client.events import AlertRule, EndOfUtterance, FinalMode, StreamEvent, StreamMode
from emotion2vec_client.reconnect.resumption import resumption_of
from emotion2vec_client.requests import (
    Chunk,
    RecordingRequests,
    StreamUpload,
    recognition_config,
    stream_config,
    stream_messages,
)
from emotion2vec_client.results import Health, Model, Recognition, RecordingPart
from emotion2vec_client.retry import RetryPolicy


class AsyncClient:
    """`Client` for asyncio: same arguments, results and errors.

    It may be made outside of a running loop; it belongs to the loop of its first call.
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
        connection = Connection(
            server=server,
            secure=secure,
            root_certificates=root_certificates,
            client_certificate=client_certificate,
            client_key=client_key,
            token=token,
            timeout=timeout,
            retry=RetryPolicy() if retry is None else retry,
        )
        self._calls = AsyncCalls(connection)

    async def recognize(
        self,
        audio: AudioSource,
        *,
        frames: bool = False,
        embedding: bool = False,
        frame_embeddings: bool = False,
        processed_audio: bool = False,
        per_channel: bool = False,
        speech_only: bool = False,
        model: str = "",
        allowed_labels: Sequence[str] = (),
        encoding: Encoding | None = None,
        sample_rate: int | None = None,
        channels: int | None = None,
        request_id: str = "",
        timeout: float | None = None,
        progress: Callable[[RecordingPart], object] | None = None,
    ) -> Recognition:
        """As `Client.recognize`. Files are read in a thread."""
        requests = RecordingRequests(
            await asyncio.to_thread(body_of, audio, encoding, sample_rate, channels),
            recognition_config(
                frames=frames,
                embedding=embedding,
                frame_embeddings=frame_embeddings,
                processed_audio=processed_audio,
                per_channel=per_channel,
                speech_only=speech_only,
                model=model,
                allowed_labels=allowed_labels,
            ),
            request_id,
        )
        return await self._calls.recognize(requests, timeout, progress)

    def recognize_recording(
        self,
        audio: AudioSource,
        *,
        frames: bool = False,
        embedding: bool = False,
        frame_embeddings: bool = False,
        processed_audio: bool = False,
        per_channel: bool = False,
        speech_only: bool = False,
        model: str = "",
        allowed_labels: Sequence[str] = (),
        encoding: Encoding | None = None,
        sample_rate: int | None = None,
        channels: int | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[RecordingPart | Recognition, None]:
        """As `Client.recognize_recording`.

        To stop before the end, wrap the result in `contextlib.aclosing`.
        """
        requests = RecordingRequests(
            body_of(audio, encoding, sample_rate, channels),
            recognition_config(
                frames=frames,
                embedding=embedding,
                frame_embeddings=frame_embeddings,
                processed_audio=processed_audio,
                per_channel=per_channel,
                speech_only=speech_only,
                model=model,
                allowed_labels=allowed_labels,
            ),
            request_id,
        )
        return self._calls.recording(requests, timeout)

    def stream(
        self,
        chunks: AsyncIterable[Chunk],
        *,
        sample_rate: int | None = None,
        encoding: Encoding | None = None,
        channels: int | None = None,
        window: float | None = None,
        hop: float | None = None,
        lookahead: float | None = None,
        interim: bool = False,
        voice_activity_detection: bool | None = None,
        mode: StreamMode | None = None,
        final: FinalMode | None = None,
        end_of_utterance: EndOfUtterance | None = None,
        alerts: AlertRule | None = None,
        embedding: bool = False,
        frame_embeddings: bool = False,
        processed_audio: bool = False,
        speech_only: bool = False,
        model: str = "",
        allowed_labels: Sequence[str] = (),
        request_id: str = "",
        timeout: float | None = None,
        reconnect: bool = False,
    ) -> AsyncGenerator[StreamEvent, None]:
        """As `Client.stream`, with an asynchronous iterator of chunks.

        To stop before the end, wrap the result in `contextlib.aclosing`.
        """
        audio = stream_format(encoding, sample_rate, channels)
        first = stream_config(
            audio,
            recognition_config(
                embedding=embedding,
                frame_embeddings=frame_embeddings,
                processed_audio=processed_audio,
                speech_only=speech_only,
                model=model,
                allowed_labels=allowed_labels,
            ),
            window=window,
            hop=hop,
            lookahead=lookahead,
            interim=interim,
            voice_activity_detection=voice_activity_detection,
            mode=mode,
            final=final,
            end_of_utterance=end_of_utterance,
            alerts=alerts,
            request_id=request_id,
        )
        upload = StreamUpload(first, lambda chunk: stream_messages(chunk, audio))
        if not reconnect:
            return self._calls.stream(upload, chunks, deadline_of(timeout))
        resumption = resumption_of(audio, awaits_speech=end_of_utterance is not None)
        return self._calls.resumed_stream(upload, chunks, timeout, resumption)

    async def list_models(self, *, timeout: float | None = None) -> tuple[Model, ...]:
        """As `Client.list_models`."""
        return await self._calls.list_models(timeout)

    async def get_model(self, name: str = "", *, timeout: float | None = None) -> Model:
        """As `Client.get_model`."""
        return await self._calls.get_model(name, timeout)

    async def health(self, service: str = "", *, timeout: float | None = None) -> Health:
        """As `Client.health`."""
        return await self._calls.health(service, timeout)

    async def close(self) -> None:
        """Ends the connection; calls under way are cancelled."""
        await self._calls.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
