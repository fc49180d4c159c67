"""A phase as a message tells all that is known of it."""

from msgspec.structs import replace

from phaseline.domain.execution import KEPT_ATTEMPTS, Execution, Phase
from phaseline.domain.usage import ModelUsage
from phaseline.v1 import execution_pb2
from phaseline.wire.phases import add_attempts, phase_message
from tests.wire.samples import ATTEMPT, EXECUTION, RUNNING_PHASE, T0, at


def shown(position: int, execution: Execution = EXECUTION) -> execution_pb2.Phase:
    return phase_message(execution, position, at(35))


def attempts(phase: Phase) -> list[execution_pb2.PhaseAttempt]:
    message = execution_pb2.Phase()
    add_attempts(message, phase)
    return list(message.attempts)


def with_phase(phase: Phase, position: int = 0) -> Execution:
    return EXECUTION.with_phase(position, phase)


def test_a_phase_says_what_it_is() -> None:
    phase = shown(0)
    assert (phase.phase_id, phase.name, phase.handler) == ("plan", "Plan it", "agent")
    assert (phase.execution_id, phase.revision) == ("x-1", 21)
    assert phase.status == execution_pb2.PHASE_STATUS_RUNNING


def test_a_phase_without_a_name_is_called_by_its_id() -> None:
    assert shown(1).name == "review"


def test_a_running_phase_has_run_until_now() -> None:
    assert shown(0).duration.ToTimedelta() == at(35) - at(5)


def test_a_completed_phase_has_run_until_its_end() -> None:
    assert shown(2).duration.ToTimedelta() == at(10) - at(5)


def test_the_usage_of_a_phase_is_that_of_all_its_attempts() -> None:
    usage = shown(0).usage
    assert usage.input_tokens == 202
    assert usage.tool_call_count == 14
    assert usage.credits_used == "5"


def test_usage_and_cost_are_told_by_model() -> None:
    phase = shown(0)
    assert [each.model for each in phase.usage_by_model] == ["claude-large", "house-model"]
    assert dict(phase.cost_by_model) == {"claude-large": "3"}


def test_the_model_is_the_one_with_the_most_tokens() -> None:
    small, large = ModelUsage("small", 1, cost_nanos=9), ModelUsage("large", 5, cost_nanos=1)
    phase = replace(RUNNING_PHASE, lease=None, past_usage_by_model=(small, large))
    assert shown(0, with_phase(phase)).model == "large"


def test_before_any_tokens_the_model_is_the_one_asked_for() -> None:
    assert shown(0, with_phase(Phase("plan"))).model == "claude-large"


def test_the_session_is_that_of_the_execution_until_a_worker_tells_its_own() -> None:
    assert shown(0).session_id == "agent-7"
    assert shown(1).session_id == "session"


def test_a_failure_shows_while_the_next_attempt_waits() -> None:
    phase = shown(1)
    assert (phase.failure.code, phase.failure.phase_id) == ("PHASE_TIMEOUT", "review")
    assert phase.next_attempt_at.ToDatetime(at(0).tzinfo) == at(60)


def test_what_has_not_happened_is_unset() -> None:
    phase = shown(0, with_phase(Phase("plan")))
    for field in ("started_at", "completed_at", "duration", "progress", "next_attempt_at"):
        assert not phase.HasField(field)
    assert phase.WhichOneof("outcome") is None


def test_the_attempts_of_a_running_phase_end_with_the_one_that_runs() -> None:
    ended, running = attempts(RUNNING_PHASE)
    assert (ended.attempt, ended.failure.phase_id) == (1, "review")
    assert (running.attempt, running.assigned_to_worker) == (2, "w-2")
    assert ended.HasField("completed_at")
    assert not running.HasField("completed_at")
    assert running.usage.credits_used == "2.5"


def test_an_attempt_tells_when_it_was_made_and_what_it_spent() -> None:
    ended, running = attempts(RUNNING_PHASE)
    assert ended.started_at.ToDatetime(T0.tzinfo) == at(5)
    assert ended.completed_at.ToDatetime(T0.tzinfo) == at(10)
    assert ended.usage.input_tokens == 101
    assert running.started_at.ToDatetime(T0.tzinfo) == at(20)


def test_an_attempt_that_succeeded_has_no_failure() -> None:
    fine = replace(ATTEMPT, failure=None)
    (attempt,) = attempts(replace(RUNNING_PHASE, lease=None, attempts=(fine,)))
    assert not attempt.HasField("failure")


def test_the_last_attempts_are_kept() -> None:
    past = tuple(replace(ATTEMPT, attempt=n) for n in range(1, KEPT_ATTEMPTS + 1))
    phase = replace(RUNNING_PHASE, attempt=KEPT_ATTEMPTS + 1, attempts=past)
    assert [each.attempt for each in attempts(phase)] == list(range(2, KEPT_ATTEMPTS + 2))


def test_a_phase_that_does_not_run_shows_all_attempts_that_are_kept() -> None:
    past = tuple(replace(ATTEMPT, attempt=n) for n in range(1, KEPT_ATTEMPTS + 1))
    phase = replace(RUNNING_PHASE, lease=None, attempts=past)
    assert [each.attempt for each in attempts(phase)] == list(range(1, KEPT_ATTEMPTS + 1))
