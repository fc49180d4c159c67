"""Workflows as messages and back."""

from __future__ import annotations

import msgspec

from phaseline.domain.errors import Reason
from phaseline.domain.ids import ID_LENGTH
from phaseline.domain.money import format_amount
from phaseline.domain.workflow import (
    DEFAULT_QUEUE,
    DEFAULT_RETRY_POLICY,
    ConcurrencyLimit,
    InputSpec,
    PhaseSpec,
    RetryPolicy,
    Workflow,
    WorkflowSpec,
)
from phaseline.v1 import workflow_pb2, workflow_service_pb2
from phaseline.wire.reading import Checks
from phaseline.wire.scalars import duration, optional_duration, timestamp
from phaseline.wire.structs import object_message, read_object

_LARGEST = 3 * 1024 * 1024
_LAST_VERSION = 2**31 - 1


def workflow_message(workflow: Workflow) -> workflow_pb2.Workflow:
    """Return *workflow* as a message, with the names and the queue that are in effect."""
    message = head_message(workflow)
    spec = workflow.spec
    message.phases.extend(_phase_message(phase) for phase in spec.phases)
    if spec.output_schema:
        message.output_schema.CopyFrom(object_message(spec.output_schema))
    return message


def head_message(workflow: Workflow) -> workflow_pb2.Workflow:
    """Return *workflow* as a list shows it: without its phases and its output schema."""
    spec, limit = workflow.spec, workflow.spec.concurrency
    return workflow_pb2.Workflow(
        workflow_id=spec.workflow_id,
        name=workflow.name,
        description=spec.description,
        version=workflow.version,
        inputs=[_input_message(given) for given in spec.inputs],
        queue_name=workflow.queue_name,
        concurrency=(
            None
            if limit is None
            else workflow_pb2.ConcurrencyLimit(key=limit.key, max_running=limit.max_running)
        ),
        run_timeout=optional_duration(spec.run_timeout),
        max_budget_usd=(
            "" if spec.max_budget_nanos is None else format_amount(spec.max_budget_nanos)
        ),
        is_agentic=spec.is_agentic,
        output_schema_name=spec.output_schema_name,
        labels=spec.labels,
        created_at=timestamp(workflow.created_at),
        updated_at=timestamp(workflow.updated_at),
    )


class AskedWorkflow(msgspec.Struct, frozen=True):
    """A version of a workflow; 0 means the latest."""

    workflow_id: str
    version: int


def read_get_workflow(message: workflow_service_pb2.GetWorkflowRequest) -> AskedWorkflow:
    """Read a GetWorkflowRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedWorkflow(
        checks.id("workflow_id", message.workflow_id),
        checks.number("version", message.version, least=0, most=_LAST_VERSION),
    )
    checks.conclude()
    return asked


def read_apply(message: workflow_service_pb2.ApplyWorkflowRequest) -> WorkflowSpec:
    """Read the workflow of an ApplyWorkflowRequest; raise `InvalidArgument`."""
    checks = Checks()
    spec = read_workflow(message.workflow, checks)
    checks.within(0, "workflow")
    checks.text("request_id", message.request_id, ID_LENGTH)
    checks.conclude()
    return spec


def read_workflow(message: workflow_pb2.Workflow, checks: Checks) -> WorkflowSpec:
    """
    Read what a caller says of a workflow; what makes no sense as a whole is for others to find.

    A name or a queue that is the default is as good as none, so that what was read back and
    applied again is no new version.
    """
    if message.ByteSize() > _LARGEST:
        checks.note("", f"must have at most {_LARGEST} bytes", Reason.PAYLOAD_TOO_LARGE)
    return WorkflowSpec(
        workflow_id=message.workflow_id,
        phases=tuple(_read_phase(at, phase, checks) for at, phase in enumerate(message.phases)),
        name=_unless(message.name, message.workflow_id),
        description=message.description,
        inputs=tuple(_read_input(given) for given in message.inputs),
        queue_name=_unless(message.queue_name, DEFAULT_QUEUE),
        concurrency=(
            ConcurrencyLimit(message.concurrency.max_running, message.concurrency.key)
            if message.HasField("concurrency")
            else None
        ),
        run_timeout=(
            checks.span("run_timeout", message.run_timeout)
            if message.HasField("run_timeout")
            else None
        ),
        max_budget_nanos=(
            checks.amount("max_budget_usd", message.max_budget_usd)
            if message.max_budget_usd
            else None
        ),
        is_agentic=message.is_agentic,
        output_schema=(
            read_object("output_schema", message.output_schema, checks)
            if message.HasField("output_schema")
            else ""
        ),
        output_schema_name=message.output_schema_name,
        labels=dict(message.labels),
    )


def _phase_message(spec: PhaseSpec) -> workflow_pb2.PhaseSpec:
    return workflow_pb2.PhaseSpec(
        phase_id=spec.phase_id,
        name=spec.name or spec.phase_id,
        handler=spec.handler,
        prompt=spec.prompt,
        config=object_message(spec.config) if spec.config else None,
        model=spec.model,
        timeout=optional_duration(spec.timeout),
        retry_policy=None if spec.retry_policy is None else _policy_message(spec.retry_policy),
        depends_on=spec.depends_on,
        parallel=spec.parallel,
    )


def _read_phase(at: int, message: workflow_pb2.PhaseSpec, checks: Checks) -> PhaseSpec:
    known = len(checks.found)
    spec = PhaseSpec(
        phase_id=message.phase_id,
        handler=message.handler,
        name=_unless(message.name, message.phase_id),
        prompt=message.prompt,
        config=(
            read_object("config", message.config, checks) if message.HasField("config") else ""
        ),
        model=message.model,
        timeout=(checks.span("timeout", message.timeout) if message.HasField("timeout") else None),
        retry_policy=(
            _read_policy(message.retry_policy, checks) if message.HasField("retry_policy") else None
        ),
        depends_on=tuple(message.depends_on),
        parallel=message.parallel,
    )
    checks.within(known, "phases", at)
    return spec


def _policy_message(policy: RetryPolicy) -> workflow_pb2.RetryPolicy:
    return workflow_pb2.RetryPolicy(
        max_attempts=policy.max_attempts,
        initial_delay=duration(policy.initial_delay),
        max_delay=duration(policy.max_delay),
        multiplier=policy.multiplier,
        non_retryable_codes=policy.non_retryable_codes,
    )


def _read_policy(message: workflow_pb2.RetryPolicy, checks: Checks) -> RetryPolicy:
    default = DEFAULT_RETRY_POLICY
    return RetryPolicy(
        max_attempts=message.max_attempts or default.max_attempts,
        initial_delay=(
            checks.span("retry_policy.initial_delay", message.initial_delay)
            if message.HasField("initial_delay")
            else default.initial_delay
        ),
        max_delay=(
            checks.span("retry_policy.max_delay", message.max_delay)
            if message.HasField("max_delay")
            else default.max_delay
        ),
        multiplier=message.multiplier or default.multiplier,
        non_retryable_codes=tuple(message.non_retryable_codes),
    )


def _input_message(given: InputSpec) -> workflow_pb2.InputSpec:
    return workflow_pb2.InputSpec(
        name=given.name,
        description=given.description,
        required=given.required,
        default_value=given.default_value,
    )


def _read_input(message: workflow_pb2.InputSpec) -> InputSpec:
    return InputSpec(
        name=message.name,
        description=message.description,
        required=message.required,
        default_value=message.default_value,
    )


def _unless(text: str, default: str) -> str:
    return "" if text == default else text
