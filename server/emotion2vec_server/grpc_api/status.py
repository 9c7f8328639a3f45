"""Errors on the wire: a gRPC status, with google.rpc details."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from emotion2vec_runtime.errors import InvalidRequestError, RequestError
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

# Our handlers take and give serialized messages.
Context = grpc.aio.ServicerContext[bytes, bytes]

_LONGEST = 300
"""Characters: in trailers a message comes three times, twice of them escaped or in base64."""


async def abort(context: Context, error: RequestError) -> NoReturn:
    """Ends the call with the error's status and details."""
    code = grpc.StatusCode[error.status]
    message = _shortened(str(error))
    status = rpc_status.to_status(
        status_pb2.Status(code=code.value[0], message=message, details=_details(error, message))
    )
    await context.abort(code, message, status.trailing_metadata)
    raise AssertionError("abort returned")


def _shortened(text: str) -> str:
    """What a message quotes of a request may be long, and callers take no more than 8 KiB of
    trailers."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _details(error: RequestError, text: str) -> list[AnyMessage]:
    messages: list[Any] = []
    if isinstance(error, InvalidRequestError):
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=text)
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
