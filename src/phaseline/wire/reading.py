"""Reading the fields of a request: what is wrong with them is noted, and told all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from phaseline.domain.duration import format_duration
from phaseline.domain.errors import FieldViolation, InvalidArgument, Reason
from phaseline.domain.ids import ID_LENGTH
from phaseline.domain.money import parse_amount

T = TypeVar("T")

NOTHING = timedelta()
NO_NUL = "must not contain the character U+0000"
# So that no sum of a moment and a span leaves the calendar.
LONGEST_SPAN = timedelta(days=36_500)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799
_NANOS = 1_000_000_000


class Checks:
    """
    Reads fields, and notes what is wrong instead of raising.

    What a method returns for a wrong value only stands in for it, until `conclude` raises or
    somebody else has looked at `found`.
    """

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[FieldViolation] = []

    def note(self, field: str, description: str, reason: str = Reason.INVALID_FIELD) -> None:
        """Note that *field* is wrong; *description* goes on from its name: "must be ..."."""
        self.found.append(FieldViolation(field, description, reason))

    def conclude(self) -> None:
        """Raise `InvalidArgument` if anything was wrong."""
        if self.found:
            raise InvalidArgument.all_of(self.found)

    def within(self, known: int, field: str, at: int | None = None) -> None:
        """
        Place what was noted after the first *known* notes in *field*, or in its item *at*.

        Without a *field* it stays where it is.
        """
        if field and len(self.found) > known:
            prefix = field if at is None else f"{field}[{at}]"
            self.found[known:] = [each.under(prefix) for each in self.found[known:]]

    def text(self, field: str, value: str, longest: int, *, required: bool = False) -> str:
        """Read a text of at most *longest* characters that every database takes."""
        if len(value) > longest:
            self.note(field, f"must have at most {longest} characters, has {len(value)}")
        elif required and not value:
            self.note(field, "is required")
        elif "\0" in value:
            self.note(field, NO_NUL)
        return value

    def id(self, field: str, value: str) -> str:
        """Read the id of something that must be named."""
        return self.text(field, value, ID_LENGTH, required=True)

    def texts(
        self, field: str, values: Sequence[str], *, most: int, longest: int = ID_LENGTH
    ) -> tuple[str, ...]:
        """Read a list of at most *most* texts, none of them empty."""
        if len(values) > most:
            self.note(field, f"must be at most {most}, there are {len(values)}")
            return ()
        for at, value in enumerate(values):
            if not value or len(value) > longest or "\0" in value:
                self.text(f"{field}[{at}]", value, longest, required=True)
        return tuple(values)

    def number(self, field: str, value: int, *, least: int, most: int, default: int = 0) -> int:
        """Read a number from *least* to *most*, where 0 may stand for a default."""
        if value == 0 and default:
            return default
        if not least <= value <= most:
            self.note(field, f"must be {least} to {most}, is {value}")
        return value

    def choice(self, field: str, value: int, table: Mapping[int, T], default: T | None = None) -> T:
        """Read an enum value; 0 stands for the default, if there is one."""
        known = table.get(value, default if value == 0 else None)
        if known is None:
            self.note(field, f"has the unknown value {value}")
            return next(iter(table.values()))
        return known

    def span(
        self,
        field: str,
        value: Duration,
        *,
        least: timedelta = NOTHING,
        most: timedelta = LONGEST_SPAN,
    ) -> timedelta:
        """Read a duration from *least* to *most*, to the microsecond."""
        seconds, nanos = value.seconds, value.nanos
        if not -_NANOS < nanos < _NANOS or seconds * nanos < 0 or abs(seconds) > _LAST_SECOND:
            self.note(field, "must be a valid duration")
            return least
        span = timedelta(seconds=seconds, microseconds=nanos // 1000)
        if not least <= span <= most:
            self.note(field, f"must be {_written(least)} to {_written(most)}, is {_written(span)}")
            return least
        return span

    def moment(self, field: str, value: Timestamp) -> datetime:
        """Read a timestamp, to the microsecond."""
        seconds, nanos = value.seconds, value.nanos
        if not _FIRST_SECOND <= seconds <= _LAST_SECOND or not 0 <= nanos < _NANOS:
            self.note(field, "must be a valid timestamp")
            return _EPOCH
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)

    def amount(self, field: str, value: str) -> int:
        """Read an amount of money, as nanos."""
        try:
            return parse_amount(value)
        except ValueError as error:
            self.note(field, f"{error}, is {value[:64]!r}")
            return 0


def _written(span: timedelta) -> str:
    return f"-{format_duration(-span)}" if span < NOTHING else format_duration(span)
