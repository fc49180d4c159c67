"""The server in the same process as the worker, as the worker sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from phaseline.app.assignments import Assigned
from phaseline.app.caller import Caller
from phaseline.app.work import Work
from phaseline.domain.payload import Payload
from phaseline.domain.report import Directive, LeaseRequest, Report
from phaseline.wire.reports import Sizes, read_reports
from phaseline.worker.assignment import Assignment
from phaseline.worker.translate import report_message


class LocalSource:
    """`Source` of a worker beside its server: the same checks, and no connection."""

    def __init__(self, work: Work, caller: Caller, sizes: Sizes) -> None:
        self._work, self._caller, self._sizes = work, caller, sizes

    async def lease(self, request: LeaseRequest) -> list[Assignment]:
        """Return phases, as soon as there is one, or none when the wait is over."""
        assigned = await self._work.lease(self._caller, _from_inside(request), request.wait)
        return [_assignment(each) for each in assigned]

    async def report(
        self, reports: Sequence[Report], next: LeaseRequest | None
    ) -> tuple[list[Directive], list[Assignment]]:
        """Store reports of different leases, and lease more phases without waiting for any."""
        # By way of messages, since those are what is checked.
        told = read_reports([report_message(report) for report in reports], self._sizes)
        more = None if next is None else _from_inside(next)
        reported = await self._work.report(self._caller, [each.report for each in told], more)
        directives = [
            msgspec.structs.replace(directive, rejections=(*each.rejections, *directive.rejections))
            if each.rejections
            else directive
            for directive, each in zip(reported.directives, told, strict=True)
        ]
        return directives, [_assignment(each) for each in reported.leased]


def _from_inside(request: LeaseRequest) -> LeaseRequest:
    return msgspec.structs.replace(request, is_embedded=True)


def _assignment(assigned: Assigned) -> Assignment:
    execution, content = assigned.execution, assigned.content
    spec, phase = execution.spec, assigned.phase
    return Assignment(
        lease_token=assigned.lease_token,
        execution_id=spec.execution_id,
        phase_id=phase.phase_id,
        handler=assigned.spec.handler,
        attempt=phase.attempt,
        fencing_token=assigned.fencing_token,
        time_to_live=assigned.time_to_live,
        heartbeat_interval=assigned.heartbeat_interval,
        workflow_id=execution.workflow.workflow_id,
        prompt=assigned.prompt,
        model=assigned.spec.model,
        config=_config(assigned.spec.config),
        task=content.task,
        inputs=content.inputs,
        payload=(
            Payload(content.payload_data, content.payload_uri, content.payload_media_type)
            if content.has_payload
            else None
        ),
        outputs=assigned.outputs,
        checkpoint=assigned.checkpoint,
        session_id=phase.session_id or spec.session_id,
        timeout=assigned.timeout,
        remaining_budget_nanos=assigned.remaining_budget_nanos,
        labels=spec.labels,
        repos=spec.repos,
        queue_name=spec.queue_name,
        workspace_id=spec.workspace_id,
        traceparent=spec.traceparent,
    )


@lru_cache(maxsize=1000)
def _config(text: str) -> Mapping[str, object]:
    # Numbers as floats, as they arrive over the wire.
    return _floats(msgspec.json.decode(text)) if text else {}


def _floats(value: object) -> dict[str, object]:
    assert isinstance(value, dict), "a config is an object"
    return {name: _float(each) for name, each in value.items()}


def _float(value: object) -> object:
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case list():
            return [_float(each) for each in value]
        case dict():
            return _floats(value)
        case _:
            return value
