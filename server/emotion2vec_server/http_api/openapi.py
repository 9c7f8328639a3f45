"""What the schema at /openapi.json says beyond the routes: parameters, bodies, replies."""

from __future__ import annotations

from typing import Any, Final

from emotion2vec.v1 import service_pb2
from fastapi import FastAPI
from google.protobuf.message import Message

from emotion2vec_server.http_api.body import FILE_FIELD
from emotion2vec_server.http_api.edge import TIMEOUT_HEADER
from emotion2vec_server.http_api.parameters import openapi_parameters
from emotion2vec_server.http_api.problem import MEDIA_TYPE
from emotion2vec_server.wire.json import schemas_of

DESCRIPTION: Final = (
    "Speech emotion recognition with emotion2vec models. Live streams go through a WebSocket at "
    "`/v1/stream`: see docs/http.md."
)
_REPLIES: Final = (
    service_pb2.RecognizeResponse,
    service_pb2.RecognizeRecordingResponse,
    service_pb2.ListModelsResponse,
)
_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "The status that gRPC would have."},
        "field": {"type": "string", "description": "What is wrong."},
        "retry_after_seconds": {"type": "number"},
    },
}
_PROBLEMS: Final = (400, 401, 404, 406, 413, 415, 429, 500, 503, 504)


def recognize() -> dict[str, Any]:
    """Of POST /v1/recognize."""
    audio = {"type": "string", "format": "binary"}
    timeout = {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 999_999_999},
        "description": "Seconds, after which no answer is wanted any more.",
    }
    line = {"schema": _reference(service_pb2.RecognizeRecordingResponse)}
    return {
        "parameters": [*openapi_parameters(), timeout],
        "requestBody": {
            "required": True,
            "description": "The recording: its bare bytes, or a form with them as its last field.",
            "content": {
                "application/octet-stream": {"schema": audio},
                "audio/*": {"schema": audio},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": [FILE_FIELD],
                        "properties": {FILE_FIELD: audio},
                    }
                },
            },
        },
        "responses": {
            "200": {
                "description": "The result.",
                "content": {
                    "application/json": {"schema": _reference(service_pb2.RecognizeResponse)},
                    "application/zip": {"schema": audio},
                    "application/x-ndjson": line,
                    "text/event-stream": {"schema": {"type": "string"}},
                    "application/json-seq": {"schema": {"type": "string"}},
                },
            },
            **_problems(),
        },
    }


def answering(kind: type[Message]) -> dict[str, Any]:
    """Of what answers with such a message."""
    content = {"application/json": {"schema": _reference(kind)}}
    return {"responses": {"200": {"description": "OK", "content": content}, **_problems()}}


def text(*statuses: int, problems: bool = False) -> dict[str, Any]:
    """Of what answers with plain text."""
    content = {"text/plain": {"schema": {"type": "string"}}}
    found: dict[str, Any] = {
        str(status): {"description": "Plain text.", "content": content}
        for status in (200, *statuses)
    }
    return {"responses": {**found, **(_problems() if problems else {})}}


def install(app: FastAPI) -> None:
    """Adds the schemas that the routes speak of to what FastAPI says."""
    schema = app.openapi()
    schema.setdefault("components", {})["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"}
    }
    # With and without: it depends on --token-file.
    schema["security"] = [{}, {"token": []}]
    components = schema["components"].setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    components |= {**schemas_of(*_REPLIES), "Problem": _PROBLEM}
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)


def _reference(kind: type[Message]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.DESCRIPTOR.name}"}


def _problems() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {"description": "A problem (RFC 9457).", "content": content}
        for status in _PROBLEMS
    }
