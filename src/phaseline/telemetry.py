"""The log: one line for each thing that happened, as JSON or for the eye."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

#: Libraries that say at INFO what our own lines say already.
_QUIET = ("alembic", "grpc", "asyncio", "sqlalchemy")


def set_up_logging(
    level: str = "info", form: str = "auto", *, stream: TextIO | None = None
) -> None:
    """
    Send every log line of the process, the libraries' included, to *stream* in one form.

    *level* is "debug", "info", "warning" or "error"; *form* is "console", "json" or "auto", which
    is console on a terminal. The default stream is stderr: stdout belongs to what commands print.
    Calling it again replaces what was set up before.
    """
    target = sys.stderr if stream is None else stream
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_facts(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # A cached logger would go on with the form of an earlier set-up.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    on_terminal = target.isatty()
    if form == "console" or (form == "auto" and on_terminal):
        handler.setFormatter(_formatter(_console(colors=on_terminal)))
    else:
        handler.setFormatter(_formatter(*_json()))
    _attach(handler, level)


def _attach(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel("DEBUG" if level == "debug" else "WARNING")


def _facts() -> list[Processor]:
    """Return what is added to each line, whoever writes it."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.UnicodeDecoder(),
    ]


def _json() -> list[Processor]:
    # Without the locals of the frames: they hold prompts, tokens and credentials.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(tracebacks),
        structlog.processors.JSONRenderer(default=str),
    ]


def _console(*, colors: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(
        pad_event_to=28, colors=colors, exception_formatter=structlog.dev.plain_traceback
    )


def _formatter(*ending: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_facts(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )
