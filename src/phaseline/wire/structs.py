"""JSON objects: google.protobuf.Struct on the wire, canonical text inside."""

from __future__ import annotations

import json
from functools import lru_cache

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from phaseline.wire.reading import Checks


def read_object(field: str, message: Struct, checks: Checks) -> str:
    """Read an object as JSON text, the same for equal objects; its numbers are doubles."""
    try:
        value = json_format.MessageToDict(message)
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
        )
    except ValueError:
        checks.note(field, "must be a JSON object, which has no Infinity and no NaN")
        return ""


# Every lease carries the settings of its phase, and they change with the workflow only.
@lru_cache(maxsize=128)
def object_message(text: str) -> Struct:
    """Return the object that *text* holds, not to be changed."""
    return json_format.Parse(text, Struct())
