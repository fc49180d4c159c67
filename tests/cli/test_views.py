"""One execution on the screen: header, phases, operations, descendants."""

from typing import Any

from phaseline.cli import execution_view, operation_view, phase_view
from phaseline.cli.follow import Followed
from phaseline.cli.frame import Frame
from phaseline.v1 import execution_pb2
from tests.cli.drawn import drawn, rows
from tests.support import messages
from tests.support.messages import EXECUTION_ID, change, execution, operation, phase

FRAME = Frame(0, 100)


def followed(*members: Any, **fields: Any) -> Followed:
    result = Followed(EXECUTION_ID)
    for member in (execution(**fields), *members):
        result.apply(change(member), 0)
    return result


def test_the_header_says_what_runs_how_far_and_at_what_cost() -> None:
    assert drawn(execution_view.header(followed(max_budget_usd="5"), FRAME)).splitlines() == [
        f"Repository survey v3 · {EXECUTION_ID}",
        "● running  1m 2s · 1 of 2 phases · 12.3k tokens · $0.42 of $5.00",
    ]


def test_the_header_has_a_line_for_what_was_given() -> None:
    header = execution_view.header(
        followed(
            task="Survey it\nall",
            repos=["a/b", "c/d"],
            labels={"team": "core", "env": "prod"},
            parent_execution_id="root",
        ),
        FRAME,
    )
    assert drawn(header).splitlines()[2:] == [
        "task    Survey it all",
        "repos   a/b c/d",
        "labels  env=prod team=core",
        "parent  root",
    ]


def test_the_header_says_why_it_failed() -> None:
    failure = execution_pb2.Failure(code="E_ODD", message="no luck", phase_id="report")
    header = execution_view.header(followed(status="FAILED", failure=failure), FRAME)
    assert drawn(header).splitlines()[-1] == "failure report: E_ODD: no luck"


def test_a_long_failure_is_cut_only_while_the_screen_is_redrawn() -> None:
    failed = followed(status="FAILED", failure=execution_pb2.Failure(message="long " * 50))
    live = drawn(execution_view.header(failed, Frame(0, 60, 20)), width=60).splitlines()
    whole = drawn(execution_view.header(failed, Frame(0, 60)), width=60)
    assert len(live[-1]) == 60
    assert live[-1].endswith("…")
    assert whole.count("long") == 50


def test_the_header_says_who_stopped_it() -> None:
    cancellation = execution_pb2.Cancellation(cancelled_by="ann", reason="wrong branch")
    header = execution_view.header(followed(status="CANCELLED", cancellation=cancellation), FRAME)
    assert drawn(header).splitlines()[-1] == "stopped by ann: wrong branch"


def test_the_header_says_how_to_go_on_after_a_pause() -> None:
    header = execution_view.header(followed(status="PAUSED"), FRAME)
    assert drawn(header).splitlines()[-1] == f"paused; go on with: phaseline resume {EXECUTION_ID}"


def test_the_header_says_when_it_will_begin() -> None:
    waiting = followed(status="PENDING", start_at=messages.timestamp())
    assert drawn(execution_view.header(waiting, FRAME)).splitlines()[-1].startswith("begins  2026-")


def test_the_cost_of_descendants_is_told_apart() -> None:
    header = execution_view.header(followed(tree_usage=messages.usage(50_000, "1.5")), FRAME)
    assert "$0.42 ($1.50 with descendants)" in drawn(header)


def test_tool_calls_and_credits_are_told_where_there_are_some() -> None:
    usage = messages.usage(10, "0", tool_calls=1)
    usage.credits_used = "2.5"
    header = drawn(execution_view.header(followed(usage=usage, tree_usage=usage), FRAME))
    assert "1 tool call · 2.5 credits" in header


def test_a_live_mark_turns() -> None:
    marks = {
        drawn(execution_view.header(followed(), Frame(now / 10, 100, live=True))).splitlines()[1][0]
        for now in range(10)
    }
    assert len(marks) == 10


def test_the_summary_says_in_one_line_how_it_ended() -> None:
    ended = execution("COMPLETED", completed_phases=2)
    assert drawn(execution_view.summary(ended)) == (
        "✔ completed in 1m 2s · 2 of 2 phases · 12.3k tokens · $0.42"
    )


def test_a_phase_has_a_line_with_all_its_figures() -> None:
    running = phase(
        "survey", attempt=2, progress=execution_pb2.Progress(percent=50, message="reading src")
    )
    assert rows(phase_view.table(followed(running), Frame(3, 120)), width=120) == [
        ["PHASE", "STATUS", "TRY", "WORKER", "TOKENS", "COST", "TIME", "PROGRESS"],
        [
            "●",
            "survey",
            "running",
            "2",
            "worker-1",
            "345",
            "$0.02",
            "8s",
            "━" * 12,
            "50% reading src",
        ],
    ]


def test_a_phase_that_has_not_begun_has_no_figures() -> None:
    waiting = phase("report", "PENDING", attempt=0, assigned_to_worker="")
    assert rows(phase_view.table(followed(waiting), FRAME))[1] == ["○", "report", "pending"]


def test_a_narrow_terminal_keeps_the_figures_and_drops_the_worker() -> None:
    running = phase(progress=execution_pb2.Progress(percent=7, message="reading " * 20))
    table = rows(phase_view.table(followed(running), Frame(0, 60)), width=60)
    assert table[0] == ["PHASE", "STATUS", "TRY", "TOKENS", "COST", "TIME", "PROGRESS"]
    assert table[1][:7] == ["●", "report", "running", "1", "345", "$0.02", "5s"]
    assert table[1][-1].endswith("…")


def progress_of(status: str, *, of: str = "RUNNING", **fields: Any) -> str:
    return phase_view.progress(execution(of), phase(status=status, **fields)).plain


def test_a_ready_phase_says_whom_it_waits_for() -> None:
    assert progress_of("READY") == "waits for a worker with handler agent"
    assert progress_of("READY", of="PAUSED") == ""


def test_a_phase_that_will_be_tried_again_says_when_and_why() -> None:
    failure = execution_pb2.Failure(code="RATE_LIMITED", message="slow down")
    text = progress_of("PENDING", failure=failure, next_attempt_at=messages.timestamp())
    assert text.startswith("next attempt ")
    assert text.endswith(":00 after RATE_LIMITED: slow down")


def test_a_failed_phase_says_why() -> None:
    assert progress_of("FAILED", failure=execution_pb2.Failure(message="odd")) == "odd"


def test_a_completed_phase_says_what_it_left_behind() -> None:
    assert progress_of("COMPLETED", artifact_ids=["a"]) == "1 artifact"
    assert progress_of("COMPLETED") == ""


def test_progress_beyond_its_range_draws_a_bar_all_the_same() -> None:
    wild = execution_pb2.Progress(percent=900)
    assert progress_of("RUNNING", progress=wild).split()[0] == "━" * 12


def many(count: int, *, done: int) -> Followed:
    members = [phase(f"p{n}", "COMPLETED" if n < done else "PENDING") for n in range(count)]
    return followed(*members)


def test_phases_that_do_not_fit_are_counted() -> None:
    table = rows(phase_view.table(many(50, done=20), Frame(0, 100, height=12)))
    assert len(table) == 1 + 12
    assert table[1] == ["19 more before"]
    assert table[2][1] == "p19"
    assert table[3][1] == "p20"
    assert table[-1] == ["21 more after"]


def test_when_nothing_is_done_the_first_phases_are_shown() -> None:
    table = rows(phase_view.table(many(50, done=0), Frame(0, 100, height=12)))
    assert table[1][1] == "p0"
    assert table[-1] == ["40 more after"]


def test_when_all_is_done_the_last_phases_are_shown() -> None:
    table = rows(phase_view.table(many(50, done=50), Frame(0, 100, height=12)))
    assert table[1] == ["40 more before"]
    assert table[-1][1] == "p49"


def test_phases_that_fit_are_all_shown() -> None:
    assert len(rows(phase_view.table(many(12, done=3), Frame(0, 100, height=12)))) == 1 + 12


def test_an_operation_says_what_it_was_how_long_it_took_and_whether_it_worked() -> None:
    failed = operation("o-2", "Bash", success=False, error_message="exit status 1")
    model = operation("o-3", "", operation_type="model", parent_operation_id="o-1")
    model.usage.model, model.usage.total_tokens, model.usage.cost_usd = "sonnet", 1234, "0.02"
    running = operation("o-4", "Grep")
    running.ClearField("success")
    running.ClearField("completed_at")
    table = rows(operation_view.table([operation(), failed, model, running], FRAME))
    assert [row[1:] for row in table] == [
        ["report", "✔ Read tool", "1.5s"],
        ["report", "✘ Bash tool", "1.5s", "exit status 1"],
        ["report", "✔ sonnet model", "1.5s", "1.2k tokens · $0.02"],
        ["report", "● Grep tool"],
    ]


def test_an_operation_named_by_its_type_does_not_say_it_twice() -> None:
    table = rows(operation_view.table([operation("o", "", operation_type="message")], FRAME))
    assert table[0][2] == "✔ message"


def test_a_worker_whose_clock_went_back_took_no_time() -> None:
    odd = operation(completed_at=messages.timestamp(seconds=-5))
    assert operation_view.took(odd) == "<1s"


def test_the_whole_view_has_header_phases_and_operations() -> None:
    text = drawn(execution_view.render(followed(phase(), operation()), FRAME))
    order = [text.index(part) for part in (EXECUTION_ID, "PHASE", "report", "Read")]
    assert order == sorted(order)


def test_descendants_have_a_line_each() -> None:
    text = drawn(execution_view.render(followed(execution(execution_id="child")), FRAME))
    assert "DESCENDANT" in text
    assert "● child repo-survey running" in " ".join(text.split())


def test_the_view_keeps_within_the_height() -> None:
    full = many(30, done=10)
    for number in range(50):
        full.apply(change(operation(f"o-{number}")), 0)
    for height in (12, 24, 50):
        text = drawn(execution_view.render(full, Frame(0, 100, height)))
        assert len(text.splitlines()) <= height
        assert ("Read" in text) == (height == 50)


def test_the_view_uses_the_height_it_has() -> None:
    few = many(5, done=2)
    for number in range(50):
        few.apply(change(operation(f"o-{number}")), 0)
    for height in (12, 15, 18):
        text = drawn(execution_view.render(few, Frame(0, 100, height)))
        assert len(text.splitlines()) == height


def test_of_many_descendants_those_that_go_on_are_shown() -> None:
    full = many(30, done=10)
    for number in range(40):
        status = "RUNNING" if number == 5 else "COMPLETED"
        full.apply(change(execution(status, execution_id=f"child-{number}")), 0)
    text = drawn(execution_view.render(full, Frame(0, 100, 30)))
    assert len(text.splitlines()) <= 30
    words = text.split()
    assert [word for word in words if word.startswith("child-")] == [
        "child-5",
        *(f"child-{number}" for number in range(39, 32, -1)),
    ]
    assert "and 32 more" in text


def test_without_a_height_all_descendants_are_shown_in_their_order() -> None:
    full = followed(*(execution(execution_id=f"child-{number}") for number in range(40)))
    words = drawn(execution_view.render(full, FRAME)).split()
    assert [word for word in words if word.startswith("child-")] == [
        f"child-{number}" for number in range(40)
    ]


def test_without_a_height_everything_is_shown() -> None:
    text = drawn(execution_view.render(many(50, done=20), FRAME))
    assert "p0" in text
    assert "p49" in text
    assert "more" not in text


def test_where_there_is_no_terminal_nothing_is_cut() -> None:
    long = phase("x" * 20, "FAILED", failure=execution_pb2.Failure(message="y" * 900))
    text = drawn(execution_view.render(followed(long), Frame(0)), width=4096)
    assert "y" * 900 in text
    assert "…" not in text


def test_operations_that_are_left_out_are_counted_with_the_way_to_them() -> None:
    full = followed(phase(operation_count=50))
    for number in range(50):
        full.apply(change(operation(f"o-{number}")), 0)
    text = drawn(execution_view.render(full, FRAME))
    assert f"40 more operations: phaseline operations {EXECUTION_ID}" in text
    assert text.count("Read") == 10


def test_operations_that_are_all_shown_are_not_counted() -> None:
    text = drawn(execution_view.render(followed(phase(operation_count=1), operation()), FRAME))
    assert "phaseline operations" not in text
