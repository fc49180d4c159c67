"""An outbox holds the latest of everything once, whoever brings it."""

import threading

import pytest

from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.report import OperationReport, Progress
from phaseline.domain.usage import ModelUsage
from phaseline.worker.limits import CALL_BYTES
from phaseline.worker.outbox import NO_NEWS, Outbox
from tests.support.clock import START


@pytest.fixture
def calls() -> list[bool]:
    return []


@pytest.fixture
def outbox(calls: list[bool]) -> Outbox:
    return Outbox(lambda: calls.append(True))


def test_an_empty_outbox_has_no_news(outbox: Outbox) -> None:
    assert not outbox.has_news
    assert outbox.take() is NO_NEWS


def test_news_is_announced_once_until_it_is_taken(outbox: Outbox, calls: list[bool]) -> None:
    outbox.progress(Progress(1))
    outbox.progress(Progress(2))
    assert len(calls) == 1

    assert outbox.take().progress == Progress(2)
    outbox.progress(Progress(3))
    assert len(calls) == 2


def test_what_was_taken_is_not_told_again(outbox: Outbox) -> None:
    outbox.checkpoint(text_payload("step 1"))
    outbox.session("session-1")
    outbox.credits(5)
    outbox.take()

    assert outbox.take() is NO_NEWS


def test_an_operation_that_ended_before_it_was_told_is_told_once(outbox: Outbox) -> None:
    outbox.operation(OperationReport("a", "tool"))
    outbox.operation(OperationReport("b", "tool"))
    outbox.operation(OperationReport("a", "tool", success=True))

    assert outbox.take().operations == (
        OperationReport("a", "tool", success=True),
        OperationReport("b", "tool"),
    )


def test_usage_is_replaced_as_a_whole(outbox: Outbox) -> None:
    outbox.usage(ModelUsage("a", 1))
    outbox.replace_usage([ModelUsage("b", 2)])
    assert outbox.take().usage_by_model == (ModelUsage("b", 2),)

    outbox.replace_usage([])
    assert outbox.take().usage_by_model == (ModelUsage("b", cost_nanos=0),)


def test_the_backlog_is_what_waits_to_be_reported(outbox: Outbox) -> None:
    assert outbox.backlog == 0
    outbox.operation(OperationReport("a", "tool", output=text_payload("x" * 1000)))
    assert outbox.backlog >= 1000
    outbox.take()
    assert outbox.backlog == 0


def test_usage_is_told_as_a_running_total(outbox: Outbox) -> None:
    outbox.usage(ModelUsage("small", 10))
    outbox.usage(ModelUsage("large", 1))
    assert outbox.take().usage_by_model == (ModelUsage("small", 10), ModelUsage("large", 1))

    outbox.usage(ModelUsage("small", 25))
    assert outbox.take().usage_by_model == (ModelUsage("small", 25), ModelUsage("large", 1))
    outbox.progress(Progress(1))
    assert outbox.take().usage_by_model is None


def test_usage_can_be_added(outbox: Outbox) -> None:
    outbox.usage(ModelUsage("small", 10, 1, cost_nanos=5), adding=True)
    outbox.usage(ModelUsage("small", 20, 2, cost_nanos=6), adding=True)

    assert outbox.take().usage_by_model == (ModelUsage("small", 30, 3, cost_nanos=11),)


def test_operations_come_in_lots_that_a_report_can_hold(outbox: Outbox) -> None:
    for number in range(1500):
        outbox.operation(OperationReport(str(number), "tool"))

    assert len(outbox.take().operations) == 1000
    assert outbox.has_news
    assert len(outbox.take().operations) == 500
    assert not outbox.has_news


def test_operations_come_in_lots_that_a_call_can_hold(outbox: Outbox) -> None:
    output = Payload(data=bytes(64 * 1024))
    for number in range(100):
        outbox.operation(OperationReport(str(number), "tool", output=output))
    assert outbox.size <= CALL_BYTES + 1000

    lots = []
    while outbox.has_news:
        lots.append(len(outbox.take().operations))

    assert lots == [63, 37]


def test_operations_that_go_on_can_be_ended(outbox: Outbox) -> None:
    outbox.operation(OperationReport("over", "tool", success=True))
    outbox.operation(OperationReport("going on", "tool"))
    outbox.take()

    outbox.end_operations("the attempt ended", START)

    (ended,) = outbox.take().operations
    assert (ended.operation_id, ended.success) == ("going on", False)
    assert (ended.error_message, ended.completed_at) == ("the attempt ended", START)


def test_a_closed_outbox_takes_nothing_and_gives_what_it_has(outbox: Outbox) -> None:
    outbox.progress(Progress(1))
    outbox.close()
    outbox.progress(Progress(2))
    outbox.operation(OperationReport("late", "tool"))

    news = outbox.take()
    assert news.progress == Progress(1)
    assert news.operations == ()


def test_nothing_is_lost_between_threads(outbox: Outbox) -> None:
    """A value set between the reading and the clearing of the one before it was lost."""
    taken: list[OperationReport] = []

    def bring(name: str) -> None:
        for number in range(500):
            outbox.operation(OperationReport(f"{name}-{number}", "tool"))

    threads = [threading.Thread(target=bring, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken.extend(outbox.take().operations)
    while outbox.has_news:
        taken.extend(outbox.take().operations)

    assert len({each.operation_id for each in taken}) == 2000
