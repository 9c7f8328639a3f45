"""Messages as JSON: protobuf's own mapping, with the names of the .proto files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from emotion2vec_runtime.errors import InvalidRequestError
from google.protobuf import json_format
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


def to_json(message: Message) -> str:
    """One line of JSON. Fields that hold their default are there; those that are unset are not."""
    members = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def from_json(kind: type[M], text: str) -> M:
    """The message that JSON of either mapping of names says.

    Raises:
        InvalidRequestError: it is none.
    """
    try:
        return json_format.Parse(text, kind(), max_recursion_depth=20)
    except (json_format.ParseError, RecursionError) as error:
        raise InvalidRequestError("", f"this is no {kind.DESCRIPTOR.name}: {error}") from error


def schemas_of(*kinds: type[Message]) -> Mapping[str, dict[str, Any]]:
    """JSON schemas of the kinds, and of all messages and enums within them, by name."""
    found: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        _describe(kind.DESCRIPTOR, found)
    return found


def _describe(descriptor: Any, found: dict[str, dict[str, Any]]) -> None:
    if descriptor.name in found:
        return
    properties: dict[str, Any] = {}
    found[descriptor.name] = {"type": "object", "properties": properties}
    for field in descriptor.fields:
        one = _schema_of(field, found)
        properties[field.name] = {"type": "array", "items": one} if field.is_repeated else one
    required = [field.name for field in descriptor.fields if not field.has_presence]
    if required:
        found[descriptor.name]["required"] = required


def _schema_of(field: Any, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    kind = field.type
    if kind == field.TYPE_MESSAGE:
        if field.message_type.full_name == "google.protobuf.Duration":
            return {"type": "string", "pattern": r"^-?\d+(\.\d+)?s$"}
        _describe(field.message_type, found)
        return {"$ref": f"#/components/schemas/{field.message_type.name}"}
    if kind == field.TYPE_ENUM:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if kind == field.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    names = {
        field.TYPE_STRING: "string",
        # 64 bits are more than a number of JavaScript holds.
        field.TYPE_UINT64: "string",
        field.TYPE_UINT32: "integer",
        field.TYPE_FLOAT: "number",
        field.TYPE_BOOL: "boolean",
    }
    return {"type": names[kind]}
