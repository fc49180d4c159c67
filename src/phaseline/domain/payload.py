"""Opaque data that callers and workers hand over, inline or by reference."""

from __future__ import annotations

import msgspec

JSON_MEDIA_TYPE = "application/json"


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """Bytes, or the place where they are; neither once left out of an answer or purged."""

    data: bytes | None = None
    uri: str = ""
    #: IANA media type; empty means "application/json".
    media_type: str = ""

    @property
    def size(self) -> int:
        """Bytes that it takes in a prompt: of the data, or of the uri in its place."""
        return len(self.uri.encode()) if self.data is None else len(self.data)

    @property
    def is_json(self) -> bool:
        return self.media_type in ("", JSON_MEDIA_TYPE) or self.media_type.endswith("+json")

    def text(self) -> str:
        """Return what a prompt shows of it; bytes that are no UTF-8 become replacement marks."""
        return self.uri if self.data is None else self.data.decode(errors="replace")


def json_payload(text: bytes) -> Payload:
    """Return *text*, which is JSON, as a payload."""
    return Payload(data=text, media_type=JSON_MEDIA_TYPE)


def text_payload(text: str) -> Payload:
    """Return *text* as a payload of plain text."""
    return Payload(data=text.encode(), media_type="text/plain; charset=utf-8")
