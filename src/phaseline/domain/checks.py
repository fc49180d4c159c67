"""Finding what is wrong with a workflow before it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from phaseline.domain import prompt
from phaseline.domain.errors import FieldViolation, Reason
from phaseline.domain.ids import PHASE_ID, WORKFLOW_ID
from phaseline.domain.workflow import InputSpec, PhaseSpec, RetryPolicy, WorkflowSpec, dependencies

_KIB = 1024
_MAX_INPUTS = 64
_MAX_CODES = 32
_MAX_ATTEMPTS = 100
_MAX_MULTIPLIER = 10


def check_workflow(spec: WorkflowSpec, *, max_phases: int) -> tuple[FieldViolation, ...]:
    """Return everything that is wrong with *spec*, each with the path of its field."""
    found = [*_check_head(spec), *_check_inputs(spec.inputs)]
    if not 1 <= len(spec.phases) <= max_phases:
        found.append(
            FieldViolation("phases", f"must be 1 to {max_phases}, there are {len(spec.phases)}")
        )
    for at, phase in enumerate(spec.phases):
        path = f"phases[{at}]"
        found.extend(violation.under(path) for violation in _check_phase(phase))
    found.extend(_check_names(spec))
    return tuple(found)


def text(
    field: str, value: str, longest: int, *, required: bool = False
) -> Iterator[FieldViolation]:
    """Yield what is wrong with a text of at most *longest* characters."""
    if required and not value:
        yield FieldViolation(field, "is required")
    if len(value) > longest:
        yield FieldViolation(field, f"must have at most {longest} characters, has {len(value)}")


def labels(field: str, given: Mapping[str, str]) -> Iterator[FieldViolation]:
    """Yield what is wrong with labels: 32 of 64 and 256 characters."""
    if len(given) > 32:
        yield FieldViolation(field, f"must be at most 32, there are {len(given)}")
    for key, value in given.items():
        if not 1 <= len(key) <= 64:
            yield FieldViolation(f"{field}[{key[:64]}]", "must have a key of 1 to 64 characters")
        yield from text(f"{field}[{key[:64]}]", value, 256)


def positive(field: str, value: timedelta | None) -> Iterator[FieldViolation]:
    """Yield a violation unless *value* is unset or more than nothing."""
    if value is not None and value <= timedelta():
        yield FieldViolation(field, "must be more than 0s")


def _check_head(spec: WorkflowSpec) -> Iterator[FieldViolation]:
    if not WORKFLOW_ID.fullmatch(spec.workflow_id):
        yield FieldViolation("workflow_id", 'must be 1 to 128 letters, digits, "_", "-" and "."')
    yield from text("name", spec.name, 128)
    yield from text("description", spec.description, 4096)
    yield from text("queue_name", spec.queue_name, 128)
    yield from text("output_schema_name", spec.output_schema_name, 128)
    yield from labels("labels", spec.labels)
    yield from positive("run_timeout", spec.run_timeout)
    if len(spec.output_schema.encode()) > 64 * _KIB:
        yield FieldViolation("output_schema", "must have at most 64 KiB", Reason.PAYLOAD_TOO_LARGE)
    if spec.concurrency is not None:
        if spec.concurrency.max_running < 1:
            yield FieldViolation("concurrency.max_running", "must be at least 1")
        yield from text("concurrency.key", spec.concurrency.key, 256)


def _check_inputs(inputs: tuple[InputSpec, ...]) -> Iterator[FieldViolation]:
    if len(inputs) > _MAX_INPUTS:
        yield FieldViolation("inputs", f"must be at most {_MAX_INPUTS}, there are {len(inputs)}")
    for at, given in enumerate(inputs):
        if not PHASE_ID.fullmatch(given.name):
            yield FieldViolation(
                f"inputs[{at}].name", 'must be 1 to 64 letters, digits, "_" and "-"'
            )
        yield from text(f"inputs[{at}].description", given.description, 1024)


def _check_phase(phase: PhaseSpec) -> Iterator[FieldViolation]:
    if not PHASE_ID.fullmatch(phase.phase_id):
        yield FieldViolation("phase_id", 'must be 1 to 64 letters, digits, "_" and "-"')
    yield from text("name", phase.name, 128)
    yield from text("handler", phase.handler, 128, required=True)
    yield from text("model", phase.model, 128)
    yield from positive("timeout", phase.timeout)
    if len(phase.prompt.encode()) > 256 * _KIB:
        yield FieldViolation("prompt", "must have at most 256 KiB", Reason.PAYLOAD_TOO_LARGE)
    if len(phase.config.encode()) > 64 * _KIB:
        yield FieldViolation("config", "must have at most 64 KiB", Reason.PAYLOAD_TOO_LARGE)
    if phase.parallel and phase.depends_on:
        yield FieldViolation("parallel", "must not be set together with depends_on")
    if phase.retry_policy is not None:
        for violation in _check_policy(phase.retry_policy):
            yield violation.under("retry_policy")


def _check_policy(policy: RetryPolicy) -> Iterator[FieldViolation]:
    if not 1 <= policy.max_attempts <= _MAX_ATTEMPTS:
        yield FieldViolation("max_attempts", f"must be 1 to {_MAX_ATTEMPTS}, or 0 for the default")
    if not 1 <= policy.multiplier <= _MAX_MULTIPLIER:
        yield FieldViolation("multiplier", f"must be 1 to {_MAX_MULTIPLIER}, or 0 for the default")
    for name in ("initial_delay", "max_delay"):
        if getattr(policy, name) < timedelta():
            yield FieldViolation(name, "must not be negative")
    if len(policy.non_retryable_codes) > _MAX_CODES:
        yield FieldViolation("non_retryable_codes", f"must be at most {_MAX_CODES}")
    for at, code in enumerate(policy.non_retryable_codes):
        yield from text(f"non_retryable_codes[{at}]", code, 64)


def _check_names(spec: WorkflowSpec) -> Iterator[FieldViolation]:
    """Yield every id that is taken, and every name that leads nowhere."""
    yield from _check_unique(spec)
    earlier: set[str] = set()
    sound = True
    for at, phase in enumerate(spec.phases):
        for index, name in enumerate(phase.depends_on):
            if name not in earlier:
                sound = False
                yield FieldViolation(
                    f"phases[{at}].depends_on[{index}]",
                    f"must be a phase earlier in the list, is {name!r}",
                    Reason.UNKNOWN_DEPENDENCY,
                )
        earlier.add(phase.phase_id)
    if sound:
        yield from _check_placeholders(spec)


def _check_unique(spec: WorkflowSpec) -> Iterator[FieldViolation]:
    taken = dict.fromkeys(prompt.BUILT_INS, "a built-in name")
    for at, given in enumerate(spec.inputs):
        if given.name in taken:
            yield _duplicate(f"inputs[{at}].name", given.name, taken[given.name])
        taken[given.name] = "an input"
    for at, phase in enumerate(spec.phases):
        if phase.phase_id in taken:
            yield _duplicate(f"phases[{at}].phase_id", phase.phase_id, taken[phase.phase_id])
        taken[phase.phase_id] = "a phase"


def _duplicate(field: str, name: str, holder: str) -> FieldViolation:
    return FieldViolation(
        field, f"must be unique, {name!r} is {holder} already", Reason.DUPLICATE_ID
    )


def _check_placeholders(spec: WorkflowSpec) -> Iterator[FieldViolation]:
    waits = dependencies(spec.phases)
    inputs = {given.name for given in spec.inputs} | prompt.BUILT_INS
    completed: list[set[str]] = []
    for at, phase in enumerate(spec.phases):
        before = {spec.phases[other].phase_id for other in waits[at]}
        completed.append(before.union(*(completed[other] for other in waits[at])))
        known = inputs | completed[at]
        for name in prompt.names(phase.prompt):
            if name not in known:
                yield _unknown_placeholder(f"phases[{at}].prompt", name, known)
    if spec.concurrency is not None:
        for name in prompt.names(spec.concurrency.key):
            if name not in inputs:
                yield _unknown_placeholder("concurrency.key", name, inputs)


def _unknown_placeholder(field: str, name: str, known: set[str] | frozenset[str]) -> FieldViolation:
    choices = ", ".join(sorted(known))
    return FieldViolation(
        field,
        f"has the unknown placeholder {{{{{name}}}}}; known are {choices}",
        Reason.UNKNOWN_PLACEHOLDER,
    )
