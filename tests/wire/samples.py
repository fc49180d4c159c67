"""Values of the domain with every field filled in."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from phaseline.app.ports import Detail
from phaseline.domain.execution import (
    Artifact,
    Attempt,
    Content,
    Execution,
    ExecutionSpec,
    Lease,
    Operation,
    Phase,
)
from phaseline.domain.failure import Cancellation, Failure, FailureKind
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus, PhaseStatus
from phaseline.domain.payload import Payload
from phaseline.domain.report import OperationReport, Progress
from phaseline.domain.usage import ModelUsage, Usage
from phaseline.domain.workflow import (
    ConcurrencyLimit,
    InputSpec,
    PhaseSpec,
    RetryPolicy,
    Workflow,
    WorkflowSpec,
)

T0 = datetime(2026, 3, 1, 8, 30, 0, 123_456, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return the moment *seconds* after the execution was created."""
    return T0 + timedelta(seconds=seconds)


COSTLY = ModelUsage("claude-large", 100, 200, 300, 400, 1_500_000_000)
UNPRICED = ModelUsage("house-model", 1, 2, 3, 4)
USAGE = Usage(101, 202, 303, 404, 1_500_000_000, 1, 2_500_000_000, 7)
BELOW = Usage(input_tokens=1, cost_nanos=1)
FAILURE = Failure(
    FailureKind.TIMEOUT,
    "PHASE_TIMEOUT",
    "it took too long",
    phase_id="review",
    retryable=False,
    details={"limit": "5m"},
)
CANCELLATION = Cancellation(at(50), "ada", "no longer wanted")
OUTPUT = Payload(data=b'{"ok":true}', media_type="application/json")

SPEC = WorkflowSpec(
    workflow_id="survey",
    phases=(
        PhaseSpec(
            "plan",
            "agent",
            name="Plan it",
            prompt="plan {{topic}}",
            config='{"depth":2}',
            model="claude-large",
            timeout=timedelta(minutes=5),
            retry_policy=RetryPolicy(5, timedelta(seconds=2), timedelta(seconds=30), 3.0, ("X",)),
        ),
        PhaseSpec("review", "agent", parallel=True),
        PhaseSpec("sum-up", "command", depends_on=("plan", "review")),
    ),
    name="Survey",
    description="looks around",
    inputs=(InputSpec("topic", "what to look at", True, "rivers"),),
    queue_name="slow",
    concurrency=ConcurrencyLimit(2, "{{topic}}"),
    run_timeout=timedelta(hours=1),
    max_budget_nanos=5_000_000_000,
    output_schema='{"type":"object"}',
    output_schema_name="summary",
    labels={"team": "blue"},
)
WORKFLOW = Workflow("acme", 3, SPEC, at(-1000), at(-500))

LEASE = Lease(
    epoch=2,
    worker_id="w-2",
    request_id="poll-1",
    request_digest="00",
    duration=timedelta(seconds=30),
    started_at=at(20),
    expires_at=at(50),
    usage_by_model=(COSTLY, UNPRICED),
    credits_nanos=2_500_000_000,
    tool_call_count=7,
)
ATTEMPT = Attempt(1, "w-1", at(5), at(10), USAGE, FAILURE)

RUNNING_PHASE = Phase(
    phase_id="plan",
    status=PhaseStatus.RUNNING,
    revision=21,
    attempt=2,
    epoch=2,
    worker_id="w-2",
    lease=LEASE,
    session_id="agent-7",
    progress=Progress(40, "halfway"),
    started_at=at(5),
    past_usage=USAGE,
    past_usage_by_model=(COSTLY,),
    operation_count=12,
    attempts=(ATTEMPT,),
)
WAITING_PHASE = Phase(
    phase_id="review",
    status=PhaseStatus.PENDING,
    revision=20,
    attempt=1,
    epoch=1,
    worker_id="w-1",
    next_attempt_at=at(60),
    started_at=at(5),
    failure=replace(FAILURE, phase_id=""),
    attempts=(ATTEMPT,),
)
COMPLETED_PHASE = Phase(
    phase_id="sum-up",
    status=PhaseStatus.COMPLETED,
    revision=19,
    attempt=1,
    epoch=1,
    worker_id="w-1",
    started_at=at(5),
    completed_at=at(10),
    past_usage=USAGE,
    past_usage_by_model=(COSTLY, UNPRICED),
    artifact_ids=("a-1", "a-2"),
    output_size=11,
)

EXECUTION = Execution(
    key=Key("acme", "x-1"),
    spec=ExecutionSpec(
        workspace_id="acme",
        execution_id="x-1",
        created_at=T0,
        parent_execution_id="x-0",
        root_execution_id="x-0",
        ancestor_execution_ids=("x-0",),
        step_key="step",
        batch_id="batch",
        session_id="session",
        user_id="user",
        responder_id="responder",
        chat_message_id="message",
        repos=("acme/site", "acme/api", "acme/docs"),
        labels={"env": "prod"},
        queue_name="slow",
        concurrency_key="rivers",
        priority=-5,
        deployment_id="v7",
        start_at=at(1),
        output_schema_name="summary",
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    ),
    workflow=WORKFLOW,
    status=ExecutionStatus.RUNNING,
    updated_at=at(25),
    phases=(RUNNING_PHASE, WAITING_PHASE, COMPLETED_PHASE),
    revision=21,
    started_at=at(5),
    run_started_at=at(5),
    run_timeout=timedelta(hours=1),
    max_budget_nanos=5_000_000_000,
    below=BELOW,
    current_phase="plan",
    running_phases=("plan",),
    completed_phases=1,
    usage=USAGE,
    retry_count=1,
    worker_id="w-2",
    model_call_count=4,
    tool_names=("Bash", "Read"),
    usage_by_model=(COSTLY, UNPRICED),
    artifact_ids=("a-1", "a-2"),
)
AGENTIC = replace(
    EXECUTION,
    workflow=replace(WORKFLOW, spec=replace(SPEC, is_agentic=True)),
    usage=replace(USAGE, unpriced_models=0),
)
FAILED = replace(
    EXECUTION,
    status=ExecutionStatus.FAILED,
    completed_at=at(125),
    failure=FAILURE,
    current_phase="",
)
CANCELLED = replace(
    EXECUTION, status=ExecutionStatus.CANCELLED, completed_at=at(60), cancellation=CANCELLATION
)
COMPLETED = replace(EXECUTION, status=ExecutionStatus.COMPLETED, completed_at=at(125))
PURGED = replace(COMPLETED, is_purged=True)

CONTENT = Content(
    inputs={"topic": "rivers"},
    task="look around",
    payload_data=b"[1]",
    payload_media_type="application/json",
    has_payload=True,
)
OPERATION = Operation(
    key=EXECUTION.key,
    phase_id="plan",
    position=0,
    epoch=2,
    attempt=2,
    ordinal=11,
    reported=OperationReport(
        operation_id="op-1",
        operation_type="tool",
        parent_operation_id="op-0",
        tool_name="Bash",
        tool_use_id="toolu_1",
        success=False,
        timestamp=at(21),
        completed_at=at(22),
        error_message="exit status 1",
        usage=COSTLY,
        input=Payload(data=b"ls"),
        output=Payload(uri="s3://bucket/log", media_type="text/plain"),
    ),
    revision=21,
)
ARTIFACT = Artifact(
    artifact_id="a-1",
    key=EXECUTION.key,
    phase_id="sum-up",
    position=2,
    name="summary.md",
    size_bytes=7,
    media_type="text/markdown",
    uri="",
    created_at=at(10),
)


def detail(execution: Execution = EXECUTION) -> Detail:
    """Return *execution* with all that Get shows."""
    return Detail(
        execution=execution,
        content=CONTENT,
        outputs={2: OUTPUT},
        operations=(OPERATION,),
        revision=30,
    )
