"""Turns what handlers hand over into payloads."""

from __future__ import annotations

import mimetypes

import msgspec

from phaseline.domain.payload import JSON_MEDIA_TYPE, Payload, json_payload, text_payload

BYTES_MEDIA_TYPE = "application/octet-stream"
TEXT_MEDIA_TYPE = "text/plain; charset=utf-8"

#: Of its own, so that it knows the same names on every machine.
_MEDIA_TYPES = mimetypes.MimeTypes()
_MEDIA_TYPES.add_type("text/markdown", ".md")


def payload_of(value: object) -> Payload:
    """
    Return *value* as a payload: text as plain text, bytes as they are, all else as JSON.

    Raises `TypeError` for what JSON cannot say.
    """
    match value:
        case Payload():
            return value
        case str():
            return text_payload(value)
        case bytes() | bytearray() | memoryview():
            return Payload(data=bytes(value), media_type=BYTES_MEDIA_TYPE)
        case _:
            return json_payload(msgspec.json.encode(value))


def plain(text: str, length: int) -> str:
    """Return at most *length* characters of *text*, those replaced that no server takes."""
    text = text[:length]
    if text.isascii() and "\0" not in text:
        return text
    # Lone surrogates, which stand for bytes of file names and program output that are no UTF-8.
    return text.encode(errors="replace").decode().replace("\0", "")


def media_type_of(data: bytes) -> str:
    """Return what *data* looks like: JSON, else text, else bytes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return BYTES_MEDIA_TYPE
    if "\0" in text:
        return BYTES_MEDIA_TYPE
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return TEXT_MEDIA_TYPE
    return JSON_MEDIA_TYPE


def media_type_of_file(name: str, data: bytes) -> str:
    """Return what the name of a file says that it is, else what it looks like."""
    return _MEDIA_TYPES.guess_type(name)[0] or media_type_of(data)


def shortened(payload: Payload, limit: int) -> Payload:
    """Return *payload* in at most *limit* bytes: the head of longer data, with a mark."""
    if payload.data is None or len(payload.data) <= limit:
        return payload
    head = cut_head(payload.data, limit)
    # Half a document is no document.
    keeps_type = not payload.is_json and media_type_of(head) != BYTES_MEDIA_TYPE
    return Payload(
        data=head,
        media_type=payload.media_type if keeps_type else media_type_of(head),
    )


def cut_head(data: bytes, limit: int, size: int | None = None) -> bytes:
    """
    Return the head of *data* and a mark that says how much there was, within *limit* bytes.

    *size* is how much there was, if *data* is a head itself. UTF-8 stays UTF-8.
    """
    mark = f"\n[cut: the first part of {len(data) if size is None else size} bytes]\n".encode()
    return _whole_characters(data[: max(0, limit - len(mark))]) + mark


def cut_middle(head: bytes, tail: bytes, limit: int, size: int) -> bytes:
    """Return the ends of *size* bytes with a mark between them, within *limit* bytes."""
    mark = f"\n[cut: the first and the last part of {size} bytes]\n".encode()
    half = max(0, (limit - len(mark)) // 2)
    end = tail[-half:] if half else b""
    begin = 0
    # A tail may begin inside a character, whose first byte is left out.
    while begin < min(3, len(end)) and end[begin] & 0xC0 == 0x80:
        begin += 1
    return _whole_characters(head[:half]) + mark + end[begin:]


def _whole_characters(data: bytes) -> bytes:
    """Return *data* without the character that a cut has left incomplete at its end."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        return data[:-back] if length > back else data
    return data
