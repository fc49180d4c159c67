"""What the server does not take of a report is neither forgotten nor told for ever."""

from phaseline.domain.report import (
    Completed,
    Directive,
    Failed,
    Rejection,
)
from phaseline.worker.context import Context
from tests.support.clock import turns
from tests.support.source import ACCEPTED, GO_ON, assignment
from tests.support.worker import Rig, waits


async def test_a_rejected_outcome_is_reported_again_as_a_failure(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> str:
        return "far too much"

    rejection = Rejection("completed.output", "PAYLOAD_TOO_LARGE", "has 2 MiB and can have 1 MiB")
    async with rig.running():
        given = assignment()
        rig.source.directives[given.lease_token] = lambda report: (
            _go_on_without(rejection) if isinstance(report.outcome, Completed) else ACCEPTED
        )
        rig.source.offer(given)
        await turns()

    _, second = rig.source.outcomes
    assert isinstance(second, Failed)
    assert second.failure.code == "PAYLOAD_TOO_LARGE"
    assert second.failure.message == "completed.output: has 2 MiB and can have 1 MiB"
    assert second.failure.retryable is False


async def test_an_outcome_that_is_rejected_once_more_is_left_to_the_server(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> str:
        return "odd"

    async with rig.running():
        given = assignment()
        rig.source.directives[given.lease_token] = lambda report: _go_on_without(
            Rejection("failed" if isinstance(report.outcome, Failed) else "completed", "ODD", "odd")
        )
        rig.source.offer(given)
        await rig.passes(60)

        assert len(rig.source.outcomes) == 2
        rig.runner.stop()
        await rig.passes(0.3)
        assert rig.ended.done()


async def test_an_outcome_that_is_not_taken_is_told_again(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None: ...

    async with rig.running():
        given = assignment()
        rig.source.directives[given.lease_token] = lambda report: (
            GO_ON if report.sequence < 3 else ACCEPTED
        )
        rig.source.offer(given)
        await rig.passes(1)

    assert [each.sequence for each in rig.source.reports_of(given)] == [1, 2, 3]


async def test_a_rejected_operation_does_not_end_the_attempt(rig: Rig) -> None:
    rig.handles()(waits)

    async with rig.running():
        given = assignment()
        rig.source.say(given, _go_on_without(Rejection("operations[0]", "INVALID_FIELD", "odd")))
        rig.source.offer(given)
        await rig.passes(5)

        assert rig.runner.running == 1
        assert rig.source.outcomes == []


def _go_on_without(*rejections: Rejection) -> Directive:
    return Directive(GO_ON.action, time_to_live=GO_ON.time_to_live, rejections=rejections)
