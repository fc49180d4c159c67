"""A program tells of itself by lines in a file, and nonsense among them does no harm."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.report import OperationReport, Progress
from phaseline.domain.usage import ModelUsage
from phaseline.worker.context import Context
from phaseline.worker.handlers.report_file import ReportFile
from phaseline.worker.outbox import News, Outbox
from tests.support.clock import START, ManualClock
from tests.support.source import assignment


class Rig:
    """A report file, and what is told of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        self.outbox = Outbox(lambda: None)
        context = Context(assignment(), self.outbox, self.clock)
        path.touch()
        self.file = ReportFile(path, context, "process")
        self.file.open()

    def append(self, *lines: str) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    async def told(self, *lines: str) -> News:
        self.append(*lines)
        await self.file.read_rest()
        return self.outbox.take()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "report.jsonl")
    yield rig
    rig.file.close()


async def test_progress_is_told(rig: Rig) -> None:
    news = await rig.told('{"progress": {"percent": 40.7, "message": "half"}}')
    assert news.progress == Progress(40, "half")


async def test_a_session_and_credits_are_told(rig: Rig) -> None:
    news = await rig.told('{"session_id": "s-1", "credits_used": 0.1}')

    assert news.session_id == "s-1"
    assert news.credits_nanos == 100_000_000


async def test_usage_is_the_running_total_of_a_model(rig: Rig) -> None:
    news = await rig.told(
        '{"usage": {"model": "large", "input_tokens": 10, "cost_usd": "0.5"}}',
        '{"usage": {"model": "large", "input_tokens": 30, "cost_usd": 0.7}}',
    )
    assert news.usage_by_model == (ModelUsage("large", 30, cost_nanos=700_000_000),)


async def test_an_operation_is_told_inside_that_of_the_program(rig: Rig) -> None:
    news = await rig.told(
        '{"operation": {"operation_id": "a", "operation_type": "tool", "tool_name": "git",'
        ' "success": false, "timestamp": "2026-01-02T03:04:05Z",'
        ' "completed_at": "2026-01-02T03:04:06", "input": ["clone"], "output": "text",'
        ' "error_message": "no luck"}}'
    )
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert news.operations == (
        OperationReport(
            operation_id="a",
            operation_type="tool",
            parent_operation_id="process",
            tool_name="git",
            success=False,
            timestamp=began,
            completed_at=began + timedelta(seconds=1),
            error_message="no luck",
            input=Payload(data=b'["clone"]', media_type="application/json"),
            output=text_payload("text"),
        ),
    )


async def test_a_later_line_adds_to_what_an_earlier_one_said_of_an_operation(rig: Rig) -> None:
    await rig.told('{"operation": {"operation_id": "a", "tool_name": "git", "input": "x"}}')
    await rig.clock.advance(timedelta(seconds=5))
    news = await rig.told('{"operation": {"operation_id": "a", "success": true}}')

    (operation,) = news.operations
    assert operation.tool_name == "git"
    assert operation.input == text_payload("x")
    assert operation.timestamp == START
    assert operation.success is True


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"progres": {"percent": 1}}',
        '{"progress": {"percent": 101}}',
        '{"progress": {"percent": "all"}}',
        '{"operation": {"operation_type": "tool"}}',
        '{"usage": {"model": "large", "input_tokens": -1}}',
        '{"usage": {"model": "", "input_tokens": 1}}',
        '{"credits_used": -1}',
        '{"session_id": "' + "x" * 129 + '"}',
    ],
)
async def test_a_line_that_makes_no_sense_is_counted_and_passed_over(rig: Rig, line: str) -> None:
    news = await rig.told(line, '{"session_id": "s-1"}')

    assert news.session_id == "s-1"
    assert rig.file.malformed == 1
    assert rig.file.first_malformed == line[:200]


async def test_bytes_that_are_no_text_are_counted(rig: Rig) -> None:
    rig.path.write_bytes(b'\xff\xfe\n{"session_id": "s-1"}\n\n   \n')
    await rig.file.read_rest()

    assert rig.file.malformed == 1
    assert rig.outbox.take().session_id == "s-1"


async def test_half_a_line_waits_for_the_other_half(rig: Rig) -> None:
    with rig.path.open("a") as file:
        file.write('{"session_id":')
        file.flush()
        with rig.file.followed():
            rig.file._look()
        file.write(' "s-1"}\n')

    assert (await rig.told()).session_id == "s-1"
    assert rig.file.malformed == 0


async def test_the_last_line_may_lack_its_end(rig: Rig) -> None:
    rig.path.write_text('{"session_id": "s-1"}')

    assert (await rig.told()).session_id == "s-1"


async def test_a_line_without_end_is_not_kept_in_memory(rig: Rig) -> None:
    with rig.path.open("a") as file:
        file.write("x" * 3_000_000 + "\n")
    news = await rig.told('{"session_id": "s-1"}')

    assert news.session_id == "s-1"
    assert rig.file.malformed == 1


async def test_a_file_that_was_never_opened_can_be_closed(tmp_path: Path) -> None:
    context = Context(assignment(), Outbox(lambda: None), ManualClock())
    ReportFile(tmp_path / "none", context, "process").close()
