"""An agent does not get further ahead of its reports than memory allows."""

from phaseline.domain.report import OperationReport
from phaseline.worker.context import Context, StopReason
from phaseline.worker.handlers.agent.pace import Pace
from phaseline.worker.outbox import Outbox
from phaseline.worker.values import payload_of
from tests.support.clock import ManualClock
from tests.support.source import assignment


class Held:
    """A program that can be held up."""

    def __init__(self) -> None:
        self.is_held = False

    def hold_stdout(self) -> None:
        self.is_held = True

    def go_on_with_stdout(self) -> None:
        self.is_held = False


def _context() -> tuple[Context, Outbox]:
    outbox = Outbox(lambda: None)
    return Context(assignment(), outbox, ManualClock()), outbox


def _tell_much(context: Context) -> None:
    for number in range(200):
        context.record(OperationReport(f"op-{number}", "tool", output=payload_of("x" * 60_000)))


async def test_it_waits_until_most_is_reported() -> None:
    context, outbox = _context()
    process = Held()
    pace = Pace(process, context)
    pace.look()
    assert not process.is_held

    _tell_much(context)
    pace.look()
    assert process.is_held
    pace._look_again()
    assert process.is_held

    while outbox.has_news:
        outbox.take()
    pace._look_again()
    assert not process.is_held
    pace.close()


async def test_one_that_is_to_stop_is_not_held_up() -> None:
    context, _ = _context()
    process = Held()
    pace = Pace(process, context)
    _tell_much(context)
    pace.look()
    context.tell_to_stop(StopReason.CANCELLED)
    pace._look_again()
    assert not process.is_held
    pace.look()
    assert not process.is_held
