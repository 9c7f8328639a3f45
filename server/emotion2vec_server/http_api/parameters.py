"""Query parameters and form fields: the fields of the config messages, flat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from emotion2vec.v1 import audio_pb2, recognition_pb2, service_pb2
from emotion2vec_runtime.errors import InvalidRequestError

_CONFIG: Final = recognition_pb2.RecognitionConfig.DESCRIPTOR.fields_by_name
_AUDIO: Final = audio_pb2.AudioConfig.DESCRIPTOR.fields_by_name
_REQUEST_ID = "request_id"
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_MOST = 2**32 - 1
_DESCRIPTIONS: Final = {
    "model": "Name of the model; without it the server's default.",
    "granularity": "FRAME: also the scores of every frame, one each 20 ms.",
    "return_embedding": "Also the embedding of the whole: the mean of the frames'.",
    "return_frame_embeddings": "Also one embedding a frame.",
    "return_processed_audio": "Also what the model heard: 16 kHz, mono, 16 bits.",
    "allowed_labels": "Score only these; probabilities are renormalised over them.",
    "channels": "MIX averages the channels into one, SEPARATE recognises each by itself.",
    "speech_only": "Pool the result and the embedding over the frames with speech.",
    "encoding": "Raw samples need it; a container is found out from its first bytes.",
    "sample_rate_hertz": "Raw samples only, and needed there: 8000 to 192000.",
    "channel_count": "Raw samples only: 1 to 8, 1 if not given.",
    _REQUEST_ID: "Comes back with the answer, and stands in the log.",
}


def recording_config(fields: Iterable[tuple[str, str]]) -> service_pb2.RecordingConfig:
    """The config that names and values say. A list is given by its name several times, or with
    commas; enums by their values' last words, as in `granularity=FRAME`.

    Raises:
        InvalidRequestError: a name that does not exist, or a value that is none of its kind.
    """
    message = service_pb2.RecordingConfig()
    for name, value in fields:
        if name == _REQUEST_ID:
            message.request_id = value
        elif name in _CONFIG:
            _set(message.config, _CONFIG[name], value)
        elif name in _AUDIO:
            _set(message.audio_config, _AUDIO[name], value)
        else:
            known = ", ".join((*_CONFIG, *_AUDIO, _REQUEST_ID))
            raise InvalidRequestError(name, f"there is no parameter {name!r}; there are {known}")
    return message


def openapi_parameters() -> list[dict[str, Any]]:
    """All of them, as OpenAPI describes parameters of a query."""
    found = [_openapi(field) for field in (*_CONFIG.values(), *_AUDIO.values())]
    return [*found, _parameter(_REQUEST_ID, {"type": "string"})]


def _openapi(field: Any) -> dict[str, Any]:
    one: dict[str, Any]
    if field.type == field.TYPE_ENUM:
        one = {"type": "string", "enum": list(_enum_words(field))}
    elif field.type == field.TYPE_BOOL:
        one = {"type": "boolean"}
    elif field.type == field.TYPE_UINT32:
        one = {"type": "integer", "minimum": 0, "maximum": _MOST}
    else:
        one = {"type": "string"}
    if field.is_repeated:
        one = {"type": "array", "items": one}
    return _parameter(field.name, one)


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": _DESCRIPTIONS[name]}


def _set(message: Any, field: Any, value: str) -> None:
    if field.is_repeated:
        names = (part.strip() for part in value.split(","))
        getattr(message, field.name).extend(part for part in names if part)
    elif field.type == field.TYPE_ENUM:
        setattr(message, field.name, _enum(field, value))
    elif field.type == field.TYPE_BOOL:
        if value.lower() not in _BOOLEANS:
            raise InvalidRequestError(field.name, f"{value!r} is neither true nor false")
        setattr(message, field.name, _BOOLEANS[value.lower()])
    elif field.type == field.TYPE_UINT32:
        if not (value.isascii() and value.isdigit() and int(value[:11]) <= _MOST):
            raise InvalidRequestError(field.name, f"{value!r} is no whole number")
        setattr(message, field.name, int(value))
    else:
        setattr(message, field.name, value)


def _enum_words(field: Any) -> dict[str, int]:
    """The numbers of an enum's values by their words: "FRAME" of "GRANULARITY_FRAME"."""
    names = [value.name for value in field.enum_type.values]
    prefix = names[0].removesuffix("UNSPECIFIED")
    numbers = [value.number for value in field.enum_type.values]
    return dict(zip((name.removeprefix(prefix) for name in names), numbers, strict=True))


def _enum(field: Any, value: str) -> int:
    words = _enum_words(field)
    full = {item.name: item.number for item in field.enum_type.values}
    number = {**full, **words}.get(value.upper())
    if number is None:
        raise InvalidRequestError(
            field.name, f"unknown value {value!r}; there are {', '.join(words)}"
        )
    return int(number)
