"""What the caller of a stream asks for, and what of it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emotion2vec_runtime.audio import AudioSpec, StreamDecoder
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_runtime.recognition.result import Options

from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.config import Granularity, RecognitionConfig
from emotion2vec_server.serving.served_model import ServedModel
from emotion2vec_server.streaming.alerts import SMOOTHING_SECONDS, AlertRule
from emotion2vec_server.streaming.ends import ends_of
from emotion2vec_server.streaming.utterance import StreamOptions
from emotion2vec_server.streaming.windows import framing_of

ALERT_LABELS = ("angry", "disgusted")
ALERT_PROBABILITY = 0.5
ALERT_SECONDS = 2.0
"""As the client reads recordings (`emotion2vec_client.readings`)."""


@dataclass(frozen=True, slots=True)
class EndOfUtterance:
    """Has the server end utterances; seconds, None for the defaults."""

    silence: float | None = None
    longest: float | None = None


@dataclass(frozen=True, slots=True)
class AlertConfig:
    """Has the server tell when some labels last; None and empty for the defaults."""

    labels: tuple[str, ...] = ()
    probability: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """The first message of a stream; the names are the wire's. Times are in seconds, None for the
    server's default."""

    request_id: str
    config: RecognitionConfig
    audio: AudioSpec
    window: float | None = None
    hop: float | None = None
    lookahead: float | None = None
    interim_results: bool = False
    voice_activity_detection: bool = True
    incremental: bool | None = None
    streamed_final: bool = False
    end_of_utterance: EndOfUtterance | None = None
    alerts: AlertConfig | None = None


@dataclass(frozen=True, slots=True)
class OpenStream:
    """What the config of a stream settles."""

    request_id: str
    model: ServedModel
    options: Options
    audio: AudioSpec
    stream_options: StreamOptions
    longest: int
    """Samples of an utterance."""

    @property
    def state_bytes(self) -> int:
        """What the stream keeps of what it has heard, at the most: the utterance under way, whose
        end is a window too, and keys and values."""
        framing = self.stream_options.framing
        state = 0
        if framing.incremental:
            state = self.model.state_bytes(framing.window, framing.hop + framing.lookahead)
        return 4 * self.longest + state


def settle(asked: StreamConfig, catalog: Catalog, longest_utterance: float) -> OpenStream:
    """The stream that is asked for; utterances have `longest_utterance` seconds at the most.

    Raises:
        RequestError: the model is not there, or does not do this.
    """
    with _within("config"):
        model = catalog.get(asked.config.model)
        StreamDecoder(asked.audio)
        options = asked.config.options(model, Granularity.FRAME)
    framing = framing_of(
        model.manifest,
        model.max_window,
        window=asked.window,
        hop=asked.hop,
        lookahead=asked.lookahead,
        incremental=_is_incremental(asked.incremental, model),
    )
    _check(asked, model)
    rate, alerts, ends = model.manifest.sample_rate, asked.alerts, None
    if (own := asked.end_of_utterance) is not None:
        ends = ends_of(rate, longest_utterance, own.silence, own.longest)
    stream_options = StreamOptions(
        framing,
        frames=options.frames,
        interim_results=asked.interim_results,
        voice_activity=asked.voice_activity_detection,
        frame_embeddings=options.frame_embeddings,
        streamed_final=asked.streamed_final,
        speech_only=options.speech_only,
        ends=ends,
        alerts=_alert_rule(alerts, options.classes, model.manifest) if alerts else None,
    )
    longest = ends.longest if ends else round(longest_utterance * rate)
    return OpenStream(asked.request_id, model, options, asked.audio, stream_options, longest)


def _check(asked: StreamConfig, model: ServedModel) -> None:
    if asked.streamed_final:
        _check_streamed_final(asked, model)
    if asked.end_of_utterance is not None and not asked.voice_activity_detection:
        raise InvalidRequestError(
            "config.end_of_utterance", "it needs voice activity detection: leave that on"
        )


def _alert_rule(asked: AlertConfig, classes: Classes, manifest: Manifest) -> AlertRule:
    labels = asked.labels or tuple(label for label in ALERT_LABELS if label in classes.names)
    unknown = [label for label in labels if label not in classes.names]
    if unknown or not labels:
        raise InvalidRequestError(
            "config.alerts.labels",
            f"this stream does not score {', '.join(unknown or ALERT_LABELS)}; it does "
            f"{', '.join(classes.names) or 'nothing, as the model has no classifier'}",
        )
    probability = ALERT_PROBABILITY if asked.probability is None else asked.probability
    if not 0.0 < probability <= 1.0:
        raise InvalidRequestError(
            "config.alerts.probability", f"must be above 0, and 1 at most, not {probability:g}"
        )
    seconds = ALERT_SECONDS if asked.seconds is None else asked.seconds
    hop = manifest.frame_hop / manifest.sample_rate
    if not hop <= seconds:
        raise InvalidRequestError(
            "config.alerts.duration", f"it must be a frame, {hop:g} s, at the least"
        )
    return AlertRule(
        classes,
        columns=tuple(classes.names.index(label) for label in dict.fromkeys(labels)),
        probability=probability,
        least=round(seconds / hop),
        smoothing=round(SMOOTHING_SECONDS / hop),
    )


def _check_streamed_final(config: StreamConfig, model: ServedModel) -> None:
    asked = config.config
    if not model.manifest.labels:
        reason = f"{model.manifest.name} has no classifier, and so no frame scores to take it from"
    elif asked.return_embedding or asked.return_frame_embeddings:
        reason = "a streamed final result has no embeddings"
    elif asked.speech_only and not config.voice_activity_detection:
        reason = "speech_only needs voice activity detection: leave that on"
    else:
        return
    raise InvalidRequestError("config.final", f"{reason}; or leave this unset")


def _is_incremental(wished: bool | None, model: ServedModel) -> bool:
    if wished and not model.is_incremental:
        raise InvalidRequestError(
            "config.mode",
            f"{model.manifest.name} has no steps for live streams: leave the mode unset, or export "
            "the model again",
        )
    return model.streams_in_steps if wished is None else wished


@contextmanager
def _within(field: str) -> Iterator[None]:
    """Puts the name of the enclosing field before that of an invalid one."""
    try:
        yield
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{field}.{error.field}", str(error)) from error
