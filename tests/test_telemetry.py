"""Every log line is one fact, in the form asked for."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from phaseline.telemetry import set_up_logging


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """Give the log back as it was."""
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_where_there_is_no_terminal(stream: io.StringIO) -> None:
    set_up_logging(stream=stream)
    structlog.get_logger("phaseline.test").info("phase leased", execution_id="e-1", attempt=2)
    [line] = lines(stream)
    assert line.pop("timestamp")
    assert line == {
        "event": "phase leased",
        "level": "info",
        "logger": "phaseline.test",
        "execution_id": "e-1",
        "attempt": 2,
    }


def test_lines_of_libraries_have_the_same_form(stream: io.StringIO) -> None:
    set_up_logging(stream=stream)
    logging.getLogger("library").warning("hello %s", "you", extra={"attempt": 2})
    [line] = lines(stream)
    assert (line["event"], line["level"], line["attempt"]) == ("hello you", "warning", 2)


def test_lines_below_the_level_are_left_out(stream: io.StringIO) -> None:
    set_up_logging("warning", stream=stream)
    structlog.get_logger("phaseline.test").info("too much")
    logging.getLogger("library").info("too much")
    assert stream.getvalue() == ""


def test_what_is_bound_to_the_context_is_in_every_line(stream: io.StringIO) -> None:
    set_up_logging(stream=stream)
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger("phaseline.test").info("rpc done")
        logging.getLogger("library").warning("slow")
    assert [line["request_id"] for line in lines(stream)] == ["r-1", "r-1"]


def test_a_traceback_keeps_the_values_of_variables_to_itself(stream: io.StringIO) -> None:
    set_up_logging(stream=stream)
    secret = "sesame"
    try:
        raise ValueError("no luck") if secret else AssertionError
    except ValueError:
        structlog.get_logger("phaseline.test").exception("rpc failed")
    assert "no luck" in stream.getvalue()
    assert "sesame" not in stream.getvalue()


def test_the_console_form_is_for_the_eye(stream: io.StringIO) -> None:
    set_up_logging(form="console", stream=stream)
    structlog.get_logger("phaseline.test").info("phase leased", attempt=2)
    assert "phase leased" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("attempt=2")


def test_setting_up_again_replaces_the_first(stream: io.StringIO) -> None:
    set_up_logging(stream=io.StringIO())
    set_up_logging(stream=stream)
    structlog.get_logger("phaseline.test").info("once")
    assert len(lines(stream)) == 1
