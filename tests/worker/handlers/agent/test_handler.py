"""The `agent` handler runs real programs that play agents, and leaves nothing of them behind."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from phaseline.app.prices import Price, PriceList
from phaseline.domain.failure import FailureKind
from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.usage import ModelUsage
from phaseline.worker.context import Context, StopReason
from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.agent import AgentHandler
from phaseline.worker.outbox import News, Outbox
from tests.support.agent import STAND_IN, lines
from tests.support.clock import ManualClock
from tests.support.process import is_alive, until_gone, until_there
from tests.support.source import assignment

TEXT = "text/plain; charset=utf-8"
CENT = 10_000_000

DONE: dict[str, Any] = {"result": {"output": "done"}}


def claude(**fields: object) -> dict[str, Any]:
    """Return a result of Claude Code."""
    return {
        "type": "result", "subtype": "success", "is_error": False, "result": "done",
        "session_id": "s-1", "total_cost_usd": 0.25,
        "modelUsage": {"claude-opus-4-7": {"inputTokens": 10, "outputTokens": 5, "costUSD": 0.25}},
        **fields,
    }  # fmt: skip


class Agent:
    """An agent that plays a script, what it was given and what became of it."""

    def __init__(
        self,
        directory: Path,
        events: tuple[dict[str, Any], ...],
        *,
        script: Mapping[str, object],
        config: Mapping[str, object],
        prices: Mapping[str, Price] | None = None,
        **fields: object,
    ) -> None:
        self.told = asyncio.Event()
        self.outbox = Outbox(self.told.set)
        self.report = directory / "report.json"
        stream, path = directory / "stream.jsonl", directory / "script.json"
        stream.write_bytes(lines(events))
        path.write_text(json.dumps({"stream": str(stream), "report": str(self.report), **script}))
        self.program = [sys.executable, str(STAND_IN), str(path)]
        if "argv" not in config:
            config = {"program": self.program, **config}
        given = assignment("agent", config={"adapter": "jsonl", **config}, **fields)
        self.context = Context(given, self.outbox, ManualClock())
        self.handler = AgentHandler(
            pass_environment=["ALLOWED"],
            work_root=directory / "work",
            directory=directory / "attempts",
            prices=PriceList(prices or {}),
        )

    async def run(self) -> Payload:
        return await self.handler(self.context)

    async def fails(self) -> HandlerError:
        with pytest.raises(HandlerError) as caught:
            await self.run()
        return caught.value

    @property
    def news(self) -> News:
        return self.outbox.take()

    @property
    def given(self) -> dict[str, Any]:
        """What the agent says that it was given."""
        given: dict[str, Any] = json.loads(self.report.read_text())
        return given


Make = Callable[..., Agent]


@pytest.fixture
def agent(tmp_path: Path) -> Make:
    (tmp_path / "attempts").mkdir()

    def make(
        *events: dict[str, Any],
        script: Mapping[str, object] | None = None,
        config: Mapping[str, object] | None = None,
        **fields: Any,
    ) -> Agent:
        return Agent(tmp_path, events, script=script or {}, config=config or {}, **fields)

    return make


class TestRun:
    async def test_what_the_agent_says_last_is_the_output(self, agent: Make) -> None:
        output = await agent({"message": "thinking"}, DONE).run()
        assert output == Payload(data=b"done", media_type=TEXT)

    async def test_an_output_may_be_json(self, agent: Make) -> None:
        output = await agent({"result": {"output": {"answer": 42}}}).run()
        assert output == Payload(data=b'{"answer":42}', media_type="application/json")

    async def test_an_output_that_is_too_long_is_cut(self, agent: Make) -> None:
        output = await agent({"result": {"output": "x" * 3_000_000}}).run()
        assert output.size <= 1024 * 1024
        assert output.text().endswith("[cut: the first part of 3000000 bytes]\n")

    async def test_operations_usage_and_session_are_reported(self, agent: Make) -> None:
        ran = agent(
            {"session_id": "s-1"},
            {"operation": {"operation_id": "1", "tool_name": "Bash"}},
            {"operation": {"operation_id": "1", "success": True}},
            {"usage": {"model": "m", "input_tokens": 5, "cost_usd": "0.01"}},
            DONE,
        )
        await ran.run()
        news = ran.news

        assert [(each.tool_name, each.success) for each in news.operations] == [("Bash", True)]
        assert news.usage_by_model == (ModelUsage("m", 5, cost_nanos=CENT),)
        assert news.session_id == "s-1"

    async def test_the_prompt_comes_on_standard_input(self, agent: Make) -> None:
        ran = agent(DONE, prompt="Räume auf!\n" * 50_000, task="not this")
        await ran.run()
        assert ran.given["prompt"] == "Räume auf!\n" * 50_000

    async def test_without_a_prompt_the_task_is_the_prompt(self, agent: Make) -> None:
        ran = agent(DONE, task="tidy up")
        await ran.run()
        assert ran.given["prompt"] == "tidy up"

    async def test_artifacts_are_kept(self, agent: Make) -> None:
        script = 'cat > /dev/null; echo plan > "$PHASELINE_ARTIFACTS_DIR/plan.md"'
        ran = agent(config={"argv": ["sh", "-c", script]})
        await ran.run()
        assert [each.name for each in ran.context.artifacts] == ["plan.md"]

    async def test_a_stream_at_the_pace_of_its_recording(self, agent: Make) -> None:
        ran = agent(
            {"operation": {"operation_id": "1"}, "timestamp": "2026-01-01T00:00:00Z"},
            {"operation": {"operation_id": "1", "success": True},
             "timestamp": "2026-01-01T00:00:30Z"},
            DONE,
            script={"speed": 100},
        )  # fmt: skip
        running = asyncio.create_task(ran.run())
        await ran.told.wait()
        assert [each.success for each in ran.news.operations] == [None]
        await running
        assert [each.success for each in ran.news.operations] == [True]

    async def test_nothing_is_left_of_an_attempt(self, agent: Make, tmp_path: Path) -> None:
        await agent(DONE).run()
        assert list((tmp_path / "attempts").iterdir()) == []


class TestFailure:
    async def test_a_failed_run_keeps_what_it_has_cost(self, agent: Make) -> None:
        ran = agent(
            claude(is_error=True, subtype="error_max_turns", errors=["too many turns"]),
            script={"exit_code": 1, "stderr": "and this on stderr"},
            config={"adapter": "claude"},
        )
        error = await ran.fails()

        assert error.code == "MAX_TURNS"
        assert error.retryable is False
        assert error.message == "done\n\nstderr: and this on stderr"
        assert error.details == {"adapter": "claude", "exit_code": "1", "session_id": "s-1"}
        assert ran.news.usage_by_model == (
            ModelUsage("claude-opus-4-7", 10, 5, cost_nanos=25 * CENT),
        )

    async def test_only_the_tail_of_stderr_is_told(self, agent: Make) -> None:
        ran = agent(script={"exit_code": 3, "stderr": "a" * 100_000 + "the end"})
        error = await ran.fails()
        assert error.message.endswith("the end")
        assert len(error.message) <= 4096
        assert error.code == "EXIT_CODE"

    async def test_lines_that_make_no_sense_are_counted(self, agent: Make) -> None:
        script = "cat > /dev/null; echo oh no; echo '{\"new\": 1}'; exit 1"
        error = await agent(config={"argv": ["sh", "-c", script]}).fails()
        assert error.details["unreadable_lines"] == "1"
        assert error.details["unknown_events"] == "1"

    async def test_a_program_that_is_not_there_is_told(self, agent: Make) -> None:
        error = await agent(config={"argv": ["no-such-agent"]}).fails()
        assert error.code == "PROGRAM_NOT_FOUND"

    async def test_a_wrong_setting_is_told_by_its_name(self, agent: Make) -> None:
        error = await agent(config={"adaptor": "claude"}).fails()
        assert (error.code, error.details) == ("INVALID_CONFIG", {"field": "config.adaptor"})


class TestEnvironment:
    async def test_only_what_is_allowed_is_seen(
        self, agent: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("ALLOWED", "ALSO", "SECRET", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
            monkeypatch.setenv(name, "x")
        ran = agent(
            claude(), config={"adapter": "claude", "env": {"MINE": "y"}, "pass_env": ["ALSO"]}
        )
        await ran.run()
        seen = ran.given["environment"]

        assert {"ALLOWED", "ALSO", "ANTHROPIC_API_KEY", "PATH"} <= seen.keys()
        assert seen["MINE"] == "y"
        assert "SECRET" not in seen
        assert "OPENAI_API_KEY" not in seen

    async def test_the_phase_is_told(self, agent: Make) -> None:
        ran = agent(
            DONE,
            inputs={"depth": "3"},
            outputs={"plan": text_payload("the plan")},
            traceparent="00-a-b-01",
        )
        await ran.run()
        seen = ran.given["environment"]

        assert seen["PHASELINE_EXECUTION_ID"] == ran.context.execution_id
        assert seen["PHASELINE_INPUT_DEPTH"] == "3"
        assert seen["TRACEPARENT"] == "00-a-b-01"
        assert seen["PHASELINE_WORK_DIR"] == ran.given["directory"]
        assert "PHASELINE_OUTPUT_FILE" not in seen

    async def test_phases_of_one_execution_share_a_directory(
        self, agent: Make, tmp_path: Path
    ) -> None:
        script = "cat > /dev/null; touch made-by-$PHASELINE_PHASE_ID"
        await agent(
            config={"argv": ["sh", "-c", script]}, execution_id="e-1", phase_id="build"
        ).run()
        second = agent(DONE, execution_id="e-1", phase_id="review")
        await second.run()
        assert second.given["files"] == ["made-by-build"]
        assert second.given["directory"] == str(tmp_path / "work" / "default" / "e-1")

        other = agent(DONE, execution_id="e-2")
        await other.run()
        assert other.given["files"] == []

    @pytest.mark.parametrize("is_own", [True, False])
    async def test_only_a_directory_of_ours_is_trusted_by_itself(
        self, agent: Make, tmp_path: Path, is_own: bool
    ) -> None:
        config = {"adapter": "gemini"} if is_own else {"adapter": "gemini", "cwd": str(tmp_path)}
        ran = agent({"type": "result", "status": "success"}, config=config)
        await ran.run()
        trusts = "GEMINI_CLI_TRUST_WORKSPACE" in ran.given["environment"]
        assert trusts == is_own

    async def test_a_directory_may_be_configured(self, agent: Make, tmp_path: Path) -> None:
        ran = agent(DONE, config={"cwd": str(tmp_path)})
        await ran.run()
        assert ran.given["directory"] == str(tmp_path)

    async def test_a_configured_directory_must_be_there(self, agent: Make) -> None:
        error = await agent(DONE, config={"cwd": "/no/such/place"}).fails()
        assert error.code == "CWD_NOT_FOUND"

    async def test_the_worker_may_name_the_program(
        self, agent: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran = agent(claude(), config={"adapter": "claude"})
        monkeypatch.setenv("PHASELINE_AGENT_PROGRAM", shlex.join(ran.program))
        ran = agent(claude(), config={"adapter": "claude", "program": None})
        await ran.run()
        assert ran.given["argv"][0] == "-p"


class TestStop:
    async def test_cancelled_in_a_call_it_ends_with_all_that_it_has_started(
        self, agent: Make, tmp_path: Path
    ) -> None:
        pid_file = tmp_path / "child.pid"
        ran = agent(
            {"usage": {"model": "m", "input_tokens": 5, "cost_usd": "0.01"}},
            {"operation": {"operation_id": "1", "tool_name": "Bash"}},
            script={
                "stop_after": 2,
                "child": ["sleep", "600"],
                "child_pid_file": str(pid_file),
            },
        )
        running = asyncio.create_task(ran.run())
        pid = int(await until_there(pid_file))
        ran.context.tell_to_stop(StopReason.CANCELLED)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        await until_gone(pid)
        news = ran.news
        assert news.usage_by_model == (ModelUsage("m", 5, cost_nanos=CENT),)
        assert [each.success for each in news.operations] == [False]

    async def test_what_it_has_left_in_the_background_ends_with_it(
        self, agent: Make, tmp_path: Path
    ) -> None:
        tool = f"echo $$ > {tmp_path}/pid; echo > begun; exec sleep 600 > /dev/null 2>&1"
        script = f"mkfifo begun; setsid sh -c '{tool}' & read _ < begun"
        await agent(config={"argv": ["sh", "-c", script]}).run()
        await until_gone(int((tmp_path / "pid").read_text()))

    async def test_its_last_words_still_count(self, agent: Make) -> None:
        ran = agent(
            {"operation": {"operation_id": "1", "tool_name": "Bash"}},
            script={"stop_after": 1, "last_words": json.dumps(claude(total_cost_usd=0.25))},
            config={"adapter": "claude"},
        )
        running = asyncio.create_task(ran.run())
        await ran.told.wait()
        ran.context.tell_to_stop(StopReason.CANCELLED)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert ran.news.usage_by_model == (
            ModelUsage("claude-opus-4-7", 10, 5, cost_nanos=25 * CENT),
        )

    async def test_one_that_ignores_sigterm_is_killed_after_the_grace(
        self, agent: Make, tmp_path: Path
    ) -> None:
        script = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done"
        ran = agent(config={"argv": ["sh", "-c", script], "grace_seconds": 0.2})
        running = asyncio.create_task(ran.run())
        pid = int(await until_there(tmp_path / "pid"))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not is_alive(pid)


class TestBudget:
    async def test_a_run_that_costs_too_much_is_ended(self, agent: Make) -> None:
        ran = agent(
            {"usage": {"model": "m", "input_tokens": 5, "cost_usd": "0.02"}},
            script={"stop_after": 1},
            remaining_budget_nanos=CENT,
        )
        error = await ran.fails()

        assert (error.code, error.kind) == ("BUDGET_EXCEEDED", FailureKind.BUDGET_EXCEEDED)
        assert error.retryable is False
        assert "0.01 US dollars" in error.message
        assert ran.news.usage_by_model == (ModelUsage("m", 5, cost_nanos=2 * CENT),)

    async def test_tokens_are_priced_for_it(self, agent: Make) -> None:
        ran = agent(
            {"usage": {"model": "own", "input_tokens": 1_000_000}},
            script={"stop_after": 1},
            remaining_budget_nanos=CENT,
            prices={"own": Price(Decimal(1), Decimal(1))},
        )
        assert (await ran.fails()).code == "BUDGET_EXCEEDED"

    async def test_what_nobody_can_price_ends_nothing_here(self, agent: Make) -> None:
        ran = agent(
            {"usage": {"model": "nobody-knows", "input_tokens": 10**9}},
            DONE,
            remaining_budget_nanos=CENT,
        )
        assert (await ran.run()).data == b"done"

    async def test_a_run_that_is_through_is_not_ended_for_its_last_words(self, agent: Make) -> None:
        ran = agent(claude(), config={"adapter": "claude"}, remaining_budget_nanos=CENT)
        assert (await ran.run()).data == b"done"

    async def test_an_agent_that_can_is_told_its_budget(self, agent: Make) -> None:
        ran = agent(claude(), config={"adapter": "claude"}, remaining_budget_nanos=150 * CENT)
        await ran.run()
        assert ran.given["argv"][-2:] == ["--max-budget-usd", "1.5"]


class TestSession:
    async def test_a_second_attempt_takes_up_the_session_of_the_first(self, agent: Make) -> None:
        config = {"adapter": "claude", "resume": "retry"}
        first = agent(claude(is_error=True), config=config)
        await first.fails()
        assert "--resume" not in first.given["argv"]

        second = agent(claude(), config=config, attempt=2, checkpoint=first.news.checkpoint)
        await second.run()
        assert second.given["argv"][-2:] == ["--resume", "s-1"]
        # Counted from the beginning of the session, these are only what was known.
        assert second.news.usage_by_model == (ModelUsage("claude-opus-4-7", 0, 0, cost_nanos=0),)

    async def test_the_session_is_kept_while_the_agent_still_works(self, agent: Make) -> None:
        ran = agent(
            {"session_id": "s-9"},
            {"usage": {"model": "m", "input_tokens": 5}},
            script={"stop_after": 2},
            config={"resume": "retry"},
        )
        running = asyncio.create_task(ran.run())
        kept = b""
        # What a killed worker has reported is all that the next one gets.
        while b'["m",5,' not in kept:
            await ran.told.wait()
            ran.told.clear()
            checkpoint = ran.news.checkpoint
            kept = (checkpoint and checkpoint.data) or kept
        assert b'"agent_session_id":"s-9"' in kept

        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert ran.news.checkpoint is None

    async def test_the_session_of_the_execution_is_taken_up_if_that_is_wanted(
        self, agent: Make
    ) -> None:
        config = {"adapter": "claude", "resume": "always"}
        ran = agent(claude(), config=config, session_id="s-0")
        await ran.run()
        assert ran.given["argv"][-2:] == ["--resume", "s-0"]

    async def test_a_first_attempt_takes_up_no_session_unless_that_is_wanted(
        self, agent: Make
    ) -> None:
        config = {"adapter": "claude", "resume": "retry"}
        ran = agent(claude(), config=config, session_id="s-0")
        await ran.run()
        assert "--resume" not in ran.given["argv"]

    async def test_otherwise_each_attempt_begins_a_session(self, agent: Make) -> None:
        ran = agent(claude(), config={"adapter": "claude"}, session_id="s-0")
        await ran.run()
        assert "--resume" not in ran.given["argv"]
        assert ran.news.checkpoint is None

    async def test_a_checkpoint_of_something_else_is_ignored(self, agent: Make) -> None:
        ran = agent(
            claude(),
            config={"adapter": "claude", "resume": "retry"},
            checkpoint=text_payload("page 7"),
        )
        await ran.run()
        assert "--resume" not in ran.given["argv"]
