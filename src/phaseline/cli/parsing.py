"""What people write after an option, as values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from phaseline.cli.failures import Refused
from phaseline.domain.duration import parse_duration


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Return "key=value" texts as a dict; raise `Refused` for one that is none, or is repeated."""
    result: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not key or not separator:
            raise Refused(f"{option} must be KEY=VALUE, is {text!r}")
        if key in result:
            raise Refused(f"{option} {key} is given twice")
        result[key] = value
    return result


def files(texts: Iterable[str], option: str) -> dict[str, str]:
    """Return what the files of "key=path" texts hold, which is UTF-8."""
    return {key: _content(Path(path), option) for key, path in pairs(texts, option).items()}


def duration(text: str, option: str) -> timedelta | None:
    """Return the duration that *text* says; None for an empty one."""
    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise Refused(f"{option} {error}, is {text!r}") from None


def past(text: str, now: datetime, option: str) -> datetime | None:
    """Return the moment that *text* says: RFC 3339, or a duration before *now*."""
    return _moment(text, now, option, sign=-1)


def future(text: str, now: datetime, option: str) -> datetime | None:
    """Return the moment that *text* says: RFC 3339, or a duration after *now*."""
    return _moment(text.removeprefix("+"), now, option, sign=1)


def _moment(text: str, now: datetime, option: str, *, sign: int) -> datetime | None:
    if not text:
        return None
    try:
        return now + sign * parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(
            f"{option} must be a time such as 2026-01-31T12:00:00Z or a duration such as 2h, "
            f"is {text!r}"
        ) from None
    return (moment if moment.tzinfo else moment.astimezone()).astimezone(UTC)


def _content(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Refused(f"{option} cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"{option} must be a text file in UTF-8, {path} is not") from None
