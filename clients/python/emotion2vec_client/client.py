"""The client for threads and scripts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Self

from emotion2vec_client.audio import AudioSource, Encoding, body_of, stream_format
from emotion2vec_client.calls import Calls
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
        self._calls = Calls(connection)

    def recognize(
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
        """Recognises one whole recording, of any length.

        One of more than 1 MiB is sent in pieces, and so never is in memory here as a whole.

        Args:
            audio: a path, bytes, a file open in binary mode, or an array [n] or [n, channels] of
                int16 or float32 samples.
            frames: return the scores of every 20 ms frame too.
            embedding: return the embedding of the utterance.
            frame_embeddings: return one embedding a frame; they are large.
            processed_audio: return what the model heard, 16 kHz mono.
            per_channel: recognise each channel by itself: see `Recognition.channels`.
            speech_only: pool the result over the frames with speech, where there are any.
            model: name of the model; the server's default if empty.
            allowed_labels: score these labels only; all of them if empty.
            encoding: of raw bytes; the server detects containers such as WAV or MP3 itself.
            sample_rate: Hz; needed by arrays and raw bytes.
            channels: of interleaved raw bytes; 1 if None.
            request_id: comes back in the result.
            timeout: seconds, instead of the client's and what a long recording is allowed beside.
            progress: called with each part of a recording that is sent in pieces, when it is ready;
                from the beginning again where the call has to be tried again.

        Raises:
            RecognitionError: the call failed; its subclasses say how.
            OSError: the file can't be read.
            TypeError, ValueError: the arguments don't fit each other.
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
        return self._calls.recognize(requests, timeout, progress)

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
    ) -> Generator[RecordingPart | Recognition, None, None]:
        """Recognises a recording of any length, and yields its parts as they are ready.

        Memory follows the parts, here and in the server, not the recording. The call is tried again
        as long as nothing has come of it.

        Args:
            As of `recognize`.

        Yields:
            The parts, and the result last: without what the parts hold (frames, frame embeddings,
            segments, processed audio).

        Raises:
            As `recognize`.
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
        chunks: Iterable[Chunk],
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
    ) -> Generator[StreamEvent, None, None]:
        """Recognises live audio while it comes.

        The chunks are taken in another thread, as fast as the server takes them; an iterator that
        waits for a microphone may block. Stop iterating, or close the result, to end the stream.

        Args:
            chunks: raw samples as bytes or arrays, or the bytes of a file of any format that the
                server knows, in pieces of any length; and END_UTTERANCE.
            sample_rate: Hz, of raw samples; without one, the chunks are of a file.
            encoding: of raw samples, "linear16" if None; or the container.
            channels: interleaved channels of raw samples; 1 if None.
            window: seconds of audio that the model sees at once; the server's default if None.
            hop: seconds between two runs of the model; the server's default if None.
            lookahead: seconds heard after a frame before it is final; the server's default if None.
            interim: yield running results, and frames before they are final.
            voice_activity_detection: report speech and keep silence out of the running results; the
                server's default if None.
            mode: "incremental" or "windowed"; the server's default if None.
            final: "whole", or "streamed": final results cost no run of the model then, are as near
                to `recognize` as the frames, and have no embeddings; "whole" if None.
            end_of_utterance: has the server end utterances too; only END_UTTERANCE and the longest
                that it takes do if None.
            alerts: has the server tell when some labels last.
            embedding: final results carry the embedding of the utterance.
            frame_embeddings: final results carry one embedding a frame.
            processed_audio: final results carry what the model heard.
            speech_only: final results are pooled over the frames with speech.
            model: name of the model; the server's default if empty.
            allowed_labels: score these labels only; all of them if empty.
            request_id: comes back in the first event.
            timeout: seconds that the whole stream may take; no limit if None.
            reconnect: go on after a server that restarts or drains, a lost connection, or the
                server's limit on the length of streams, as if there had been one stream: the audio
                of the utterance under way (5.5 minutes at the most) is sent again, and what is lost
                beyond that is said in a `StreamWarning`. Of raw samples only. How often it is
                tried: see `RetryPolicy`, for each break.

        Raises:
            RecognitionError: the stream failed, and was not or could not be gone on with.
            ValueError: the arguments don't fit each other.
            Exception: whatever `chunks` raises.
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

    def list_models(self, *, timeout: float | None = None) -> tuple[Model, ...]:
        """The served models."""
        return self._calls.list_models(timeout)

    def get_model(self, name: str = "", *, timeout: float | None = None) -> Model:
        """One model, the default one if `name` is empty.

        Raises:
            NotFoundError: the server has no such model.
        """
        return self._calls.get_model(name, timeout)

    def health(self, service: str = "", *, timeout: float | None = None) -> Health:
        """The server's own word on its health, as it is now: asked once, without another try.

        Raises:
            UnavailableError: the server can't be reached.
            NotFoundError: it has no such service.
        """
        return self._calls.health(service, timeout)

    def close(self) -> None:
        """Ends the connection; calls under way are cancelled."""
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
