"""Lists as tables."""

from datetime import timedelta

from phaseline.cli import tables
from phaseline.cli.follow import Board
from phaseline.cli.frame import Frame
from phaseline.v1 import artifact_pb2, execution_pb2, workflow_pb2
from tests.cli.drawn import drawn, rows
from tests.support import messages
from tests.support.messages import EXECUTION_ID, NOON, change, execution

NOW = NOON + timedelta(minutes=3)


def test_an_execution_has_a_line() -> None:
    assert rows(tables.executions([execution()], Frame(0, 130), now=NOW), width=130) == [
        ["ID", "WORKFLOW", "STATUS", "PHASE", "DONE", "TOKENS", "COST", "TIME", "AGE"],
        [
            "●",
            EXECUTION_ID,
            "repo-survey",
            "running",
            "report",
            "1/2",
            "12.3k",
            "$0.42",
            "1m 2s",
            "3m",
        ],
    ]


def test_a_narrow_screen_gets_the_beginning_of_the_id() -> None:
    table = rows(tables.executions([execution()], Frame(0, 100), now=NOW))
    assert table[1][1] == "0192f3a1-c7b2"


def test_of_several_running_phases_the_first_is_named() -> None:
    parallel = execution(
        workflow_detail=execution_pb2.WorkflowDetail(running_phases=["survey", "lint", "test"])
    )
    assert rows(tables.executions([parallel], Frame(0, 100), now=NOW))[1][4] == "survey +2"


def test_of_a_failed_one_the_phase_that_failed_is_named() -> None:
    failed = execution("FAILED", failure=execution_pb2.Failure(phase_id="lint", code="E"))
    late = execution("FAILED", failure=execution_pb2.Failure(code="RUN_TIMEOUT"))
    table = rows(tables.executions([failed, late], Frame(0, 100), now=NOW))
    assert [row[4] for row in table[1:]] == ["lint", "RUN_TIMEOUT"]


def test_at_80_columns_all_figures_stay_whole() -> None:
    large = execution(
        "CANCELLING",
        workflow_id="a-workflow-with-a-long-name",
        usage=messages.usage(123_400_000, "999.99", complete=False),
        duration=messages.duration(86_340),
        completed_phases=99,
        total_phases=100,
    )
    table = rows(tables.executions([large], Frame(0, 80), now=NOW), width=80)
    assert table[0] == ["ID", "WORKFLOW", "STATUS", "DONE", "TOKENS", "COST", "TIME", "AGE"]
    cells = " ".join(table[1]).split()
    assert cells[:2] == ["◐", "0192f3a1-c7b2"]
    assert cells[2].endswith("…")
    assert cells[3:] == ["cancelling", "99/100", "123.4M", "≥$999.99", "23h", "59m", "3m"]


def board(count: int) -> Board:
    result = Board()
    for number in range(count):
        one = execution(execution_id=f"e-{number}", created_at=messages.timestamp(seconds=number))
        result.apply(change(one, "ADDED"), 0)
    return result


def test_the_board_counts_what_is_active_by_status() -> None:
    shown = board(2)
    shown.apply(change(execution("PAUSED", execution_id="p"), "ADDED"), 0)
    text = drawn(tables.board(shown, Frame(0, 100), now=NOW))
    assert text.splitlines()[0] == "3 active · 1 paused, 2 running"


def test_an_empty_board_says_so() -> None:
    assert drawn(tables.board(Board(), Frame(0, 100), now=NOW)) == "0 active"


def test_a_full_board_keeps_within_the_height() -> None:
    shown = board(100)
    shown.apply(change(execution("FAILED", execution_id="gone"), "REMOVED"), 0)
    text = drawn(tables.board(shown, Frame(0, 100, 24), now=NOW))
    assert len(text.splitlines()) <= 24
    assert "e-99" in text
    shown_ids = [word for word in text.split() if word.startswith("e-")]
    assert f"and {100 - len(shown_ids)} older ones" in text
    assert "gone" in text


def test_the_durations_on_the_board_go_on() -> None:
    text = drawn(tables.board(board(1), Frame(60, 100), now=NOW))
    assert "2m 2s" in text


def test_a_workflow_has_a_line() -> None:
    workflow = workflow_pb2.Workflow(
        workflow_id="repo-survey",
        name="Survey",
        description="Counts\nfiles",
        version=3,
        updated_at=messages.timestamp(),
    )
    assert rows(tables.workflows([workflow], Frame(0, 100), now=NOW))[1] == [
        "repo-survey",
        "Survey",
        "3",
        "3m",
        "Counts files",
    ]


def test_an_artifact_has_a_line() -> None:
    inline = artifact_pb2.Artifact(artifact_id="a-1", phase_id="report", name="r.md", size_bytes=10)
    kept = artifact_pb2.Artifact(artifact_id="a-2", phase_id="report", name="big.tar")
    kept.content.uri, kept.content.media_type = "s3://b/big", "application/x-tar"
    assert rows(tables.artifacts([inline, kept]))[1:] == [
        ["a-1", "report", "r.md", "application/json", "10 B"],
        ["a-2", "report", "big.tar", "application/x-tar", "s3://b/big"],
    ]
