"""The application: which address does what, and what OpenAPI says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from emotion2vec.v1 import service_pb2
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from emotion2vec_server.http_api import openapi
from emotion2vec_server.http_api.edge import TIMEOUT_HEADER, Edge
from emotion2vec_server.http_api.headers import SecurityHeaders
from emotion2vec_server.http_api.problem import HttpError, problem_response
from emotion2vec_server.http_api.recognition import Recognition
from emotion2vec_server.http_api.stream import LiveStreams
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.gate import Call, Gate
from emotion2vec_server.serving.long_recordings import LongRecordings
from emotion2vec_server.serving.recordings import Recordings
from emotion2vec_server.serving.streams import Streams
from emotion2vec_server.wire.json import to_json
from emotion2vec_server.wire.replies import model_message

_PAGE = Path(__file__).parent / "page"
_DOCS = Path(__file__).parent / "docs"


@dataclass(frozen=True, slots=True)
class Services:
    """What the application serves.

    `is_serving`: whether the server should get calls. `metrics`: Prometheus's text, and its type.
    """

    gate: Gate
    catalog: Catalog
    recordings: Recordings
    long_recordings: LongRecordings
    streams: Streams
    is_serving: Callable[[], bool]
    metrics: Callable[[], tuple[bytes, str]] | None
    max_audio_seconds: float
    max_recording_seconds: float
    max_body_bytes: int


def make_app(services: Services, cors_origins: Sequence[str] = ()) -> FastAPI:
    """Puts it together; `cors_origins` are the web sites whose pages may call it."""
    app = FastAPI(
        title="emotion2vec-server",
        version=version("emotion2vec-server"),
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    edge = Edge(services.gate)
    recognition = Recognition(
        services.recordings,
        services.long_recordings,
        edge,
        max_body_bytes=services.max_body_bytes,
    )
    streams = LiveStreams(services.streams, edge, cors_origins)
    models = _Models(services, edge)
    route = app.add_api_route
    route(
        "/v1/recognize",
        recognition.recognize,
        methods=["POST"],
        operation_id="recognize",
        summary="Recognise the emotions of a recording",
        response_class=Response,
        openapi_extra=openapi.recognize(),
    )
    route(
        "/v1/models",
        models.list,
        operation_id="list_models",
        summary="The served models",
        response_class=Response,
        openapi_extra=openapi.answering(service_pb2.ListModelsResponse),
    )
    app.add_api_websocket_route("/v1/stream", streams.serve)
    _add_health(route, services, edge)
    _add_docs(app)
    _add_page(app)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_middleware(SecurityHeaders)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", TIMEOUT_HEADER],
            expose_headers=["retry-after"],
        )
    openapi.install(app)
    return app


class _Models:
    def __init__(self, services: Services, edge: Edge) -> None:
        self._services = services
        self._edge = edge

    async def list(self, request: Request) -> Response:
        """All of them, the default first."""

        async def work(_: Call) -> Response:
            catalog = self._services.catalog
            default = catalog.get("")
            models = [
                model_message(
                    model,
                    is_default=model is default,
                    max_audio_seconds=self._services.max_audio_seconds,
                    max_recording_seconds=self._services.max_recording_seconds,
                )
                for model in catalog.models()
            ]
            reply = service_pb2.ListModelsResponse(models=models)
            return Response(to_json(reply), media_type="application/json")

        return await self._edge.respond(request, "ListModels", work)


def _add_health(route: Callable[..., None], services: Services, edge: Edge) -> None:
    async def alive(_: Request) -> Response:
        """The process answers: for what would restart one that hangs."""
        return Response("ok\n", media_type="text/plain")

    async def ready(_: Request) -> Response:
        """200 when the server should get calls; 503 while it loads, fails or drains."""
        is_serving = services.is_serving()
        return Response(
            "ok\n" if is_serving else "not now\n",
            status_code=200 if is_serving else 503,
            media_type="text/plain",
        )

    async def metrics(request: Request) -> Response:
        """Prometheus metrics."""

        async def work(_: Call) -> Response:
            if services.metrics is None:
                raise HttpError(404, "metrics are off (--no-metrics)")
            content, kind = services.metrics()
            return Response(content, media_type=kind)

        return await edge.respond(request, "Metrics", work)

    text = openapi.text()
    route("/healthz", alive, operation_id="alive", response_class=Response, openapi_extra=text)
    route(
        "/readyz",
        ready,
        operation_id="ready",
        response_class=Response,
        openapi_extra=openapi.text(503),
    )
    route(
        "/metrics",
        metrics,
        operation_id="metrics",
        response_class=Response,
        openapi_extra=openapi.text(problems=True),
    )


def _add_docs(app: FastAPI) -> None:
    """Swagger's page, from the package that brings its files: nothing comes from elsewhere."""

    async def docs(_: Request) -> Response:
        return FileResponse(_DOCS / "index.html")

    app.add_route("/docs", docs, include_in_schema=False)
    assets = StaticFiles(packages=[("fastapi_swagger", "resources")])
    app.mount("/docs/assets", assets, "assets")
    app.mount("/docs", StaticFiles(directory=_DOCS), "docs")


def _add_page(app: FastAPI) -> None:
    """The page's files, at all addresses that are nobody else's."""
    files = StaticFiles(directory=_PAGE, html=True)
    nothing = app.router.default

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        is_read = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        await (files if is_read else nothing)(scope, receive, send)

    app.router.default = page


async def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    status = error.status_code if error.status_code in (404, 405) else 400
    response = problem_response(HttpError(status, f"{error.detail}: see /docs for what there is"))
    response.headers.update(error.headers or {})
    return response
