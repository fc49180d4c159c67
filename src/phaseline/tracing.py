"""
Spans of calls, commits and attempts, for whatever OpenTelemetry provider the process has.

Without one, nothing of OpenTelemetry is even imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

_NOTHING: AbstractContextManager[None] = nullcontext()
_NAME = "phaseline"


def is_on() -> bool:
    """Whether somebody has set up a provider of spans, such as `opentelemetry-instrument`."""
    if "opentelemetry.trace" not in sys.modules:
        return False
    from opentelemetry import trace

    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def span(
    name: str, *, traceparent: str = "", is_call: bool = False, **attributes: str | int
) -> AbstractContextManager[None]:
    """
    Return a span around a block; of the trace that *traceparent* tells, if that is not empty.

    *is_call* is for what a client of this process waits for.
    """
    return _span(name, traceparent, is_call, attributes) if is_on() else _NOTHING


def current_traceparent() -> str:
    """Return the W3C trace context of the span that goes on; empty without one."""
    if not is_on():
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def _span(
    name: str, traceparent: str, is_call: bool, attributes: dict[str, str | int]
) -> Iterator[None]:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = None
    if traceparent:
        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    kind = trace.SpanKind.SERVER if is_call else trace.SpanKind.INTERNAL
    tracer = trace.get_tracer(_NAME, tracer_provider=trace.get_tracer_provider())
    named = {f"{_NAME}.{key}": value for key, value in attributes.items()}
    with tracer.start_as_current_span(name, context=parent, kind=kind, attributes=named):
        yield
