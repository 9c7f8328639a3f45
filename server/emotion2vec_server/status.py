"""Errors on the wire: gRPC status, google.rpc details, and the retry push-back of gRFC A6."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from emotion2vec_server.errors import InvalidRequestError, RequestError
from emotion2vec_server.metrics import Metrics

# Our handlers take and give serialized messages.
Context = grpc.aio.ServicerContext[bytes, bytes]
_log = logging.getLogger(__name__)


async def abort(context: Context, error: RequestError) -> NoReturn:
    """Ends the call with the error's status and details."""
    code = grpc.StatusCode[error.status]
    status = rpc_status.to_status(
        status_pb2.Status(code=code.value[0], message=str(error), details=_details(error))
    )
    await context.abort(code, str(error), (*status.trailing_metadata, *_push_back(error)))
    raise AssertionError("abort returned")


@asynccontextmanager
async def errors_become_status(
    context: Context, method: str, metrics: Metrics
) -> AsyncIterator[None]:
    """Runs a handler's body: whatever it raises becomes a status, and the call is counted.

    An error that nobody foresaw becomes INTERNAL with a plain sentence; its traceback goes to the
    log and never onto the wire.
    """
    with metrics.call(method) as ended:
        try:
            yield
        except RequestError as error:
            ended(error.status)
            _log.debug("refused", extra={"status": error.status, "reason": str(error)})
            await abort(context, error)
        except asyncio.CancelledError:
            ended("CANCELLED")
            raise
        except Exception:  # noqa: BLE001 (the edge: nothing passes it but a status)
            ended("INTERNAL")
            _log.exception("unforeseen error in a request")
            await context.abort(
                grpc.StatusCode.INTERNAL, "internal error; the server's log has more"
            )
        else:
            ended("OK")


def _details(error: RequestError) -> list[AnyMessage]:
    messages: list[Any] = []
    if isinstance(error, InvalidRequestError):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=str(error)
        )
        messages.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        messages.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for message in messages:
        detail = AnyMessage()
        detail.Pack(message)
        packed.append(detail)
    return packed


def _push_back(error: RequestError) -> tuple[tuple[str, str], ...]:
    """Tells gRPC's own retry when to try again, or (-1) not to."""
    milliseconds = -1 if error.retry_after is None else round(error.retry_after * 1000)
    return (("grpc-retry-pushback-ms", str(milliseconds)),)
