"""The settings: command-line flag, else environment variable, else default; fixed once read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from emotion2vec_runtime.backends.providers import PROVIDER_NAMES
from emotion2vec_runtime.errors import ConfigError
from emotion2vec_runtime.recognition.long_audio import MAX_WINDOW_SECONDS, OVERLAP_SECONDS
from emotion2vec_runtime.recognition.runner import MAX_BATCH_ROWS, MAX_BATCH_SECONDS
from emotion2vec_runtime.recognition.warnings import LOW_CONFIDENCE
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

from emotion2vec_server.process.command_line import command_line

# Short on purpose: Kubernetes sets variables such as EMOTION2VEC_PORT for a service of that name.
ENVIRONMENT_PREFIX = "E2V_"

_MOST_BATCH_SECONDS = 600
"""Beyond 870 s, 32 bits can't number the values of the front end (docs/gpu.md)."""

Port = Annotated[int, Field(ge=0, le=65535)]
# A day bounds what can't be meant.
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Bytes = Annotated[int, Field(ge=1, le=2**40)]
AutoCount = Annotated[int, Field(ge=0, le=1024)]
_KUBERNETES_LINK = re.compile(r"E2V_(SERVICE_HOST|SERVICE_PORT.*|PORT(_\d+_.*)?)")
"""What Kubernetes sets in every pod for a service named e2v."""


def _known_provider(name: str) -> str:
    if name not in ("auto", *PROVIDER_NAMES):
        raise ValueError(f"choose of auto, {', '.join(PROVIDER_NAMES)}")
    return name


class Settings(BaseSettings):
    """Serve emotion2vec models over gRPC and HTTP.

    Each flag can also be given in the environment: E2V_PORT for --port, and so on (E2V_MODEL
    takes a JSON list).
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENVIRONMENT_PREFIX,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    model: tuple[Path, ...] = Field(
        (),
        description="A bundle directory, or a hub's id such as iic/emotion2vec_plus_base, which "
        "is exported into the user's cache once; may be given several times, the first is the "
        "default.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(50051, description="Port to listen on; 0 picks a free one.")
    http: bool = Field(True, description="Serve HTTP, WebSockets and the page too.")
    http_port: Port = Field(8080, description="Port of HTTP; 0 picks a free one.")
    cors_origin: tuple[str, ...] = Field(
        (),
        description="A web site whose pages may call over HTTP, such as https://example.org; may "
        "be given several times.",
    )
    precision: Literal["auto", "fp32", "int8", "fp16"] = Field(
        "auto", description="Which of the bundle's artefacts to run."
    )
    provider: Annotated[str, AfterValidator(_known_provider)] = Field(
        "auto",
        description=f"Where to run the model: auto, {', '.join(PROVIDER_NAMES)}; see docs/gpu.md.",
    )

    metrics: bool = Field(True, description="Serve Prometheus metrics.")
    metrics_port: Port = Field(9464, description="Port of the metrics; 0 picks a free one.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug logs one line a request."
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of a log line.")

    tls_certificate: Path | None = Field(None, description="PEM certificate chain; turns TLS on.")
    tls_key: Path | None = Field(None, description="PEM private key of the certificate.")
    tls_client_ca: Path | None = Field(
        None, description="PEM authorities; clients must then show a certificate of theirs."
    )
    token_file: Path | None = Field(
        None, description="File of accepted bearer tokens, one a line; calls without one fail."
    )

    threads: AutoCount = Field(0, description="Threads of one model instance; 0: by core count.")
    instances: AutoCount = Field(
        0,
        description="Batches at once, over all GPUs; 0: 2 on each GPU (1 with TensorRT), by core "
        "count on a CPU.",
    )
    decode_threads: AutoCount = Field(0, description="Audio decoding threads; 0: two a core.")

    max_batch_seconds: Annotated[float, Field(gt=0, le=_MOST_BATCH_SECONDS)] = Field(
        MAX_BATCH_SECONDS,
        description="Most audio in one batch, padding included.",
    )
    max_batch_size: Count = Field(MAX_BATCH_ROWS, description="Most clips in one batch.")
    max_queue_seconds: Seconds = Field(3600.0, description="Most audio waiting for the model.")
    max_queue_size: Count = Field(2048, description="Most clips waiting for the model.")

    max_message_bytes: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        64 * 2**20,
        description="Largest gRPC message, 300 s of 48 kHz stereo in 16 bits by default; what is "
        "larger is sent in pieces, by RecognizeRecording.",
    )
    max_uploads: Count = Field(
        1024, description="Most requests that wait, arrive or are decoded at once."
    )
    max_upload_bytes: Bytes = Field(
        2 * 2**30,
        description="Most bytes of them in memory; one that arrives counts as the largest, over "
        "HTTP as its Content-Length.",
    )
    max_upload_seconds: Seconds = Field(60.0, description="Longest time for a request to arrive.")
    max_audio_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        300.0, description="Longest audio of one Recognize call, or utterance of a stream."
    )
    max_recording_seconds: Annotated[float, Field(ge=1, le=604_800)] = Field(
        43_200.0, description="Longest audio of one RecognizeRecording call."
    )
    max_recordings: Count = Field(64, description="Most RecognizeRecording calls at once.")
    max_window_seconds: Annotated[float, Field(ge=2, le=120)] = Field(
        MAX_WINDOW_SECONDS,
        description="Longer audio is recognised in overlapping windows of this length.",
    )
    window_overlap_seconds: Annotated[float, Field(ge=0)] = Field(
        OVERLAP_SECONDS, description="What two such windows share."
    )
    low_confidence: Annotated[float, Field(ge=0, le=1)] = Field(
        LOW_CONFIDENCE, description="Warn of a confidence below this."
    )

    max_connection_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        600.0, description="Age at which a client is asked to connect anew, to a new replica maybe."
    )

    max_streams: Count = Field(256, description="Most live streams at once.")
    max_stream_bytes: Bytes = Field(
        8 * 2**30,
        description="Most bytes that they keep of what they have heard: 19 MB for an utterance of "
        "300 s, and by the window they ask for, 15 MB for 3 s of emotion2vec+ large.",
    )
    voice_detector: Literal["energy", "silero"] = Field(
        "energy",
        description="What hears speech in live streams: energy costs nothing; silero (extra "
        "[silero]) is better in noise, for some 20 streams a process.",
    )
    max_stream_seconds: Seconds = Field(3600.0, description="Longest life of a stream.")
    stream_idle_seconds: Seconds = Field(30.0, description="Longest silence of a stream's caller.")

    drain_seconds: Annotated[float, Field(ge=0)] = Field(
        30.0, description="Time that accepted work has to finish after SIGTERM."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: give both or neither")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        if self.window_overlap_seconds > self.max_window_seconds / 2:
            raise ValueError("window_overlap_seconds may be at most half of max_window_seconds")
        if self.max_batch_seconds < self.max_window_seconds:
            raise ValueError("max_batch_seconds must be at least max_window_seconds")
        if self.max_queue_seconds < self.max_window_seconds:
            raise ValueError("max_queue_seconds must be at least max_window_seconds")
        return self


def read_settings(arguments: list[str]) -> Settings:
    """The settings that `arguments` and the environment ask for.

    Raises:
        ConfigError: a value is out of range or malformed, or an environment variable with our
            prefix names no setting.
        SystemExit: `--help`, `--version`, or a flag that does not exist (argparse's own message
            and status 2).
    """
    _refuse_unknown_variables()
    try:
        return CliApp.run(Settings, cli_args=arguments, cli_settings_source=command_line(Settings))
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error
    except SettingsError as error:
        # Of all settings it alone is more than one value.
        raise ConfigError(
            f'{ENVIRONMENT_PREFIX}MODEL takes a JSON list, such as ["/models"]'
        ) from error


def _refuse_unknown_variables() -> None:
    known = {ENVIRONMENT_PREFIX + name.upper() for name in Settings.model_fields}
    for name, value in os.environ.items():
        if _KUBERNETES_LINK.fullmatch(name) and ("://" in value or name not in known):
            raise ConfigError(
                f"{name}={value} is what Kubernetes sets for a service named e2v: give the service "
                "another name, or the pod enableServiceLinks: false"
            )
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            raise ConfigError(f"environment variable {name} names no setting; see --help")


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    problem = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return problem
    flag = str(first["loc"][0]).replace("_", "-")
    return f"--{flag}: {problem} (given: {first['input']!r})"
