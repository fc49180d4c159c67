"""What OpenTelemetry sees of a process, if somebody set it up there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from phaseline import tracing
from phaseline.settings import Settings
from phaseline.v1.execution_service_pb2 import ExecuteRequest, GetRequest
from phaseline.v1.worker_service_pb2 import LeasePhasesRequest
from phaseline.v1.workflow_pb2 import PhaseSpec, Workflow
from phaseline.v1.workflow_service_pb2 import ApplyWorkflowRequest
from phaseline.worker.context import Context
from tests.support.rpc import refusal
from tests.support.whole import phaseline, settings_in
from tests.support.worker import Rig

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class Seen:
    """A span, as it began."""

    def __init__(self, name: str, kind: trace.SpanKind, parent: trace.SpanContext) -> None:
        self.name, self.kind, self.parent = name, kind, parent
        self.attributes: Mapping[str, Any] = {}
        self.failed = False


class Tracer(trace.NoOpTracer):
    """Keeps the spans that it makes."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self._numbers = count(1)

    @contextmanager
    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: TraceContext | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Iterator[trace.Span]:
        parent = trace.get_current_span(context).get_span_context()
        seen = Seen(name, kind, parent)
        seen.attributes = attributes or {}
        self.spans.append(seen)
        made = trace.SpanContext(
            parent.trace_id or 7, next(self._numbers), False, trace.TraceFlags(1)
        )
        try:
            with trace.use_span(trace.NonRecordingSpan(made)) as span:
                yield span
        except Exception:
            seen.failed = True
            raise

    def named(self, name: str) -> Seen:
        (found,) = [each for each in self.spans if each.name == name]
        return found


class Provider(trace.NoOpTracerProvider):
    """Gives everybody the same tracer."""

    def __init__(self) -> None:
        self.tracer = Tracer()

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return self.tracer


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Tracer:
    provider = Provider()
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    return provider.tracer


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def test_without_a_provider_there_is_nothing_to_trace() -> None:
    assert not tracing.is_on()
    with tracing.span("anything"):
        assert tracing.current_traceparent() == ""


async def test_a_call_goes_on_with_the_trace_of_its_caller_and_hands_it_to_the_worker(
    settings: Settings, tracer: Tracer
) -> None:
    async with phaseline(settings) as api:
        flow = Workflow(workflow_id="w", phases=[PhaseSpec(phase_id="p", handler="h")])
        await api.workflows.ApplyWorkflow(ApplyWorkflowRequest(workflow=flow))
        tracer.spans.clear()
        metadata = (("traceparent", PARENT),)
        await api.executions.Execute(ExecuteRequest(workflow_id="w"), metadata=metadata)
        poll = LeasePhasesRequest(worker_id="w", request_id="1")
        (lease,) = (await api.workers.LeasePhases(poll)).leases
    execute = tracer.named("phaseline.v1.ExecutionService/Execute")
    assert execute.kind is trace.SpanKind.SERVER
    assert format(execute.parent.trace_id, "032x") == TRACE
    carrier = {"traceparent": lease.traceparent}
    given = trace.get_current_span(
        TraceContextTextMapPropagator().extract(carrier)
    ).get_span_context()
    assert format(given.trace_id, "032x") == TRACE
    assert lease.traceparent != PARENT, "the call is in between"
    assert {each.name for each in tracer.spans} >= {"commit"}


async def test_a_refused_call_is_a_span_that_failed(settings: Settings, tracer: Tracer) -> None:
    async with phaseline(settings) as api:
        await refusal(api.executions.Get(GetRequest(execution_id="nobody")))
    assert tracer.named("phaseline.v1.ExecutionService/Get").failed


async def test_an_attempt_is_a_span_of_the_trace_that_started_it(tracer: Tracer) -> None:
    rig = Rig()

    @rig.handles()
    async def work(context: Context) -> None:
        context.progress(1)

    async with rig.running():
        given = await rig.runs(traceparent=PARENT)
    phase = tracer.named("phase work")
    assert format(phase.parent.trace_id, "032x") == TRACE
    assert phase.attributes["phaseline.execution_id"] == given.execution_id
