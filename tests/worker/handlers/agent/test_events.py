"""A line is read for what is in it, in whatever state it is."""

from datetime import UTC, datetime

import pytest

from phaseline.worker.handlers.agent.events import count, moment, read_line


@pytest.mark.parametrize(
    ("line", "events", "has_junk"),
    [
        (b'{"a": 1}', [{"a": 1}], False),
        (b'  {"a": 1}\r', [{"a": 1}], False),
        (b"", [], False),
        (b'\xef\xbb\xbf{"a": 1}', [{"a": 1}], False),
        (b'[{"a": 1}, {"b": 2}]', [{"a": 1}, {"b": 2}], False),
        (b'{"a": 1}{"b": 2}', [{"a": 1}, {"b": 2}], False),
        (b'{"a": 1} trailing', [{"a": 1}], True),
        (b'Warning: {"a": 1}', [{"a": 1}], True),
        (b"Warning: no input", [], True),
        (b'{"a": {"b": 1}', [], True),
        (b'{"a": "\\ud83d"}', [{"a": "\ufffd"}], False),
        (b'{"a": "\\ud83d\\ude00"}', [{"a": "\U0001f600"}], False),
        (b'{"a": "x\\ude00"}', [{"a": "x\ufffd"}], False),
        (b'{"a": "\\ud83d", "b": "\\\\ud83d"}', [{"a": "\ufffd", "b": "\\ud83d"}], False),
        (b'{"a": "\xff"}', [{"a": "\ufffd"}], False),
        (b'{"a": "tab\there"}', [{"a": "tab\there"}], False),
        (b"123", [], True),
        (b"null", [], True),
        (b"[1, 2]", [], True),
        (b"[" * 100_000, [], True),
        (b'{"a":' * 100_000, [], True),
    ],
)
def test_lines(line: bytes, events: list[object], has_junk: bool) -> None:
    reading = read_line(line)
    assert list(reading.events) == events
    assert reading.has_junk == has_junk


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), (5.0, 5), (-1, None), ("5", None), (None, None), (True, None), (1e300, None)],
)
def test_counts(value: object, expected: int | None) -> None:
    assert count(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T02:00:00+02:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00.000", datetime(2026, 1, 1, tzinfo=UTC)),
        ("yesterday", None),
        (1786821648906, None),
        ("0001-01-01T00:00:00+23:00", None),
    ],
)
def test_moments(value: object, expected: datetime | None) -> None:
    assert moment(value) == expected
