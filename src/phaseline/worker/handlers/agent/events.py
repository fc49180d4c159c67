"""Reads lines as JSON events, and their fields, without trusting that they are as expected."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

#: One JSON object that an agent has printed.
Event = Mapping[str, object]

_NOTHING: Event = {}

_decoder = msgspec.json.Decoder()
_lenient = json.JSONDecoder(strict=False)

#: Half of a pair, as an agent writes it that cuts texts by UTF-16 units.
_LONE_SURROGATE = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u(?:[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u)[dD][c-fC-F][0-9a-fA-F]{2})"
)


class Reading(msgspec.Struct, frozen=True):
    """What a line holds."""

    events: tuple[Event, ...]
    #: There is something else in it, or nothing that can be read.
    has_junk: bool = False


def read_line(line: bytes) -> Reading:
    """Return the events in *line*. One that other output runs into is found all the same."""
    line = line.strip()
    if not line:
        return Reading(())
    try:
        value = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _read_leniently(line)
    except RecursionError:
        return Reading((), has_junk=True)
    return _events_in(value)


def _events_in(value: object) -> Reading:
    if isinstance(value, dict):
        return Reading((value,))
    # All events of a run in one list, as some agents print them when they do not stream.
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return Reading(tuple(value))
    return Reading((), has_junk=True)


def _read_leniently(line: bytes) -> Reading:
    text = _without_lone_surrogates(line.decode(errors="replace"))
    begin = text.find('{"')
    if begin < 0:
        return Reading((), has_junk=True)
    events: list[Event] = []
    rest = text[begin:]
    while rest.startswith("{"):
        try:
            value, end = _lenient.raw_decode(rest)
        except (ValueError, RecursionError):
            break
        events.append(value)
        rest = rest[end:].lstrip()
    junk = text[:begin].strip("\ufeff\0 ") or rest
    return Reading(tuple(events), has_junk=bool(junk))


def _without_lone_surrogates(text: str) -> str:
    if "\\u" not in text and "\\U" not in text:
        return text
    return _LONE_SURROGATE.sub(r"\1�", text)


def text(event: Event, *names: str) -> str:
    """Return the first of the fields *names* that is text and not empty."""
    for name in names:
        value = event.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def fields(value: object) -> Event:
    """Return *value* if it is an object, else one without fields."""
    return value if isinstance(value, dict) else _NOTHING


def objects(value: object) -> list[Event]:
    """Return the objects in *value*, if it is a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def count(value: object) -> int | None:
    """Return *value* as a count; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 2**63 else None


def moment(value: object) -> datetime | None:
    """Return a time in text, which is UTC if it does not say, as an aware UTC one."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
