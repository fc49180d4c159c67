"""JSON objects: google.protobuf.Struct on the wire, canonical text inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import assert_never

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct, Value

from phaseline.wire.reading import Checks

_WHOLE_BELOW = 2**53


def read_object(field: str, message: Struct, checks: Checks) -> str:
    """Read an object as JSON text, the same for equal objects whatever made them."""
    try:
        return json.dumps(
            _plain_fields(message.fields),
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            sort_keys=True,
        )
    except ValueError:
        checks.note(field, "must be a JSON object, which has no Infinity and no NaN")
        return ""


# Every lease carries the settings of its phase, and they change with the workflow only.
@lru_cache(maxsize=128)
def object_message(text: str) -> Struct:
    """Return the object that *text* holds, not to be changed."""
    return json_format.Parse(text, Struct())


def _plain_fields(fields: Mapping[str, Value]) -> dict[str, object]:
    return {name: _plain(value) for name, value in fields.items()}


# Not json_format.MessageToDict: whether it makes 2 or 2.0 of a number depends on its version, and
# the text of an unchanged workflow must not.
def _plain(value: Value) -> object:
    kind = value.WhichOneof("kind")
    match kind:
        case None | "null_value":
            return None
        case "bool_value":
            return value.bool_value
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if abs(number) < _WHOLE_BELOW and number.is_integer() else number
        case "list_value":
            return [_plain(item) for item in value.list_value.values]
        case "struct_value":
            return _plain_fields(value.struct_value.fields)
        case _:
            assert_never(kind)
