"""Telling whether a repeated request_id comes with the same request."""

from __future__ import annotations

import hashlib
from typing import Any

_SIZE = 16


def request_digest(request: Any) -> bytes:
    """
    Return a digest of all that *request* says but its request_id.

    Empty without a request_id: then nothing is remembered that it could be compared with.
    """
    if not request.request_id:
        return b""
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("request_id")
    body = bare.SerializeToString(deterministic=True)
    return hashlib.blake2b(body, digest_size=_SIZE).digest()
