"""Each agent is started as its vendor wants it, with what a phase asks for."""

import pytest

from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.agent.adapter import Access, Order
from phaseline.worker.handlers.agent.adapters import ADAPTERS
from phaseline.worker.handlers.agent.config import (
    AgentConfig,
    chosen_adapter,
    command_line,
    model_in,
    parse_config,
)

FULL = Order(
    model="big",
    access=Access.FULL,
    max_turns=5,
    budget_usd="1.5",
    session_id="s-1",
    args=("--extra",),
)


@pytest.fixture(autouse=True)
def _no_agent_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PHASELINE_AGENT", "PHASELINE_AGENT_PROGRAM"):
        monkeypatch.delenv(name, raising=False)


class TestCommandLine:
    @pytest.mark.parametrize(
        ("adapter", "expected"),
        [
            (
                "claude",
                "claude -p --output-format stream-json --verbose "
                "--permission-mode bypassPermissions --model big --max-turns 5 "
                "--max-budget-usd 1.5 --resume s-1 --extra",
            ),
            (
                "codex",
                "codex exec --json --skip-git-repo-check --sandbox danger-full-access "
                "--model big --extra resume s-1 -",
            ),
            (
                "gemini",
                "gemini --output-format stream-json --approval-mode yolo --model big "
                "--resume s-1 --extra",
            ),
        ],
    )
    def test_all_that_can_be_asked_for(self, adapter: str, expected: str) -> None:
        assert command_line(AgentConfig(), ADAPTERS[adapter], FULL) == tuple(expected.split())

    @pytest.mark.parametrize(
        ("adapter", "expected"),
        [
            (
                "claude",
                "claude -p --output-format stream-json --verbose --permission-mode acceptEdits",
            ),
            ("codex", "codex exec --json --skip-git-repo-check --sandbox workspace-write -"),
            ("gemini", "gemini --output-format stream-json --approval-mode auto_edit"),
        ],
    )
    def test_nothing_asked_for(self, adapter: str, expected: str) -> None:
        assert command_line(AgentConfig(), ADAPTERS[adapter], Order()) == tuple(expected.split())

    def test_a_whole_command_line_stands_as_it_is(self) -> None:
        config = AgentConfig(argv=("my-agent", "--quiet"))
        assert command_line(config, ADAPTERS["claude"], FULL) == ("my-agent", "--quiet")

    def test_another_program_takes_the_same_arguments(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = AgentConfig(program=("npx", "codex"))
        assert command_line(config, ADAPTERS["codex"], Order())[:3] == ("npx", "codex", "exec")

        monkeypatch.setenv("PHASELINE_AGENT_PROGRAM", "npx -y 'my agent'")
        line = command_line(AgentConfig(), ADAPTERS["jsonl"], Order(args=("a",)))
        assert line == ("npx", "-y", "my agent", "a")

    def test_the_neutral_format_has_no_program_of_its_own(self) -> None:
        with pytest.raises(HandlerError, match=r"argv, program or .*_PROGRAM must") as caught:
            command_line(AgentConfig(), ADAPTERS["jsonl"], Order())
        assert caught.value.details == {"field": "config.argv"}

    def test_a_program_of_the_worker_that_is_no_command_line_is_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PHASELINE_AGENT_PROGRAM", "'my agent")
        with pytest.raises(HandlerError) as caught:
            command_line(AgentConfig(), ADAPTERS["claude"], Order())
        assert caught.value.message == (
            "PHASELINE_AGENT_PROGRAM: it is no command line: no closing quotation"
        )
        assert caught.value.retryable is False
        # A phase that names its own has no need of it.
        assert command_line(AgentConfig(program=("a",)), ADAPTERS["jsonl"], Order()) == ("a",)

    @pytest.mark.parametrize(
        ("argv", "model"),
        [
            (("codex", "--model", "big", "-"), "big"),
            (("codex", "-m", "big"), "big"),
            (("codex", "--model=big"), "big"),
            (("codex", "--model"), ""),
            (("codex",), ""),
        ],
    )
    def test_the_model_is_found_in_a_command_line(self, argv: tuple[str, ...], model: str) -> None:
        assert model_in(argv) == model


class TestChoice:
    def test_the_phase_comes_before_the_input_and_that_before_the_worker(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PHASELINE_AGENT", "codex")
        inputs = {"agent": "gemini"}

        assert chosen_adapter(AgentConfig(adapter="jsonl"), inputs).name == "jsonl"
        assert chosen_adapter(AgentConfig(), inputs).name == "gemini"
        assert chosen_adapter(AgentConfig(), {"agent": ""}).name == "codex"

    def test_claude_is_taken_if_nobody_chooses(self) -> None:
        assert chosen_adapter(AgentConfig(), {}).name == "claude"

    @pytest.mark.parametrize(
        ("config", "inputs", "field"),
        [
            (AgentConfig(adapter="clyde"), {"agent": "codex"}, "config.adapter"),
            (AgentConfig(), {"agent": "clyde"}, "inputs[agent]"),
            (AgentConfig(), {}, "PHASELINE_AGENT"),
        ],
    )
    def test_an_unknown_one_is_answered_with_the_known_and_who_named_it(
        self,
        monkeypatch: pytest.MonkeyPatch,
        config: AgentConfig,
        inputs: dict[str, str],
        field: str,
    ) -> None:
        monkeypatch.setenv("PHASELINE_AGENT", "clyde")
        with pytest.raises(HandlerError, match="only claude, codex, gemini, jsonl") as caught:
            chosen_adapter(config, inputs)
        assert caught.value.message.startswith(f"{field}: there is no adapter 'clyde'")
        assert caught.value.details == {"field": field}
        assert caught.value.retryable is False

    def test_a_limit_that_an_agent_does_not_know_is_refused(self) -> None:
        with pytest.raises(HandlerError, match=r"config\.max_turns: codex cannot be told"):
            chosen_adapter(AgentConfig(adapter="codex", max_turns=3), {})


def test_settings_come_as_the_wire_has_them() -> None:
    config = parse_config(
        {"adapter": "claude", "max_turns": 5.0, "access": "full", "resume": "retry",
         "env": {"A": "b"}, "pass_env": ["C"], "args": ["--x"], "grace_seconds": 3.0}
    )  # fmt: skip
    assert config.max_turns == 5
    assert config.access is Access.FULL
    assert config.variables == {"A": "b"}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"adaptor": "claude"}, "config.adaptor"),
        ({"access": "all"}, "config.access"),
        ({"max_turns": 0}, "config.max_turns"),
        ({"max_turns": 1.9}, "config.max_turns"),
        ({"argv": []}, "config.argv"),
        ({"argv": [""]}, "config.argv[0]"),
        ({"argv": ["a"], "args": ["b"]}, "config.argv"),
        ({"argv": ["a"], "program": ["b"]}, "config.argv"),
        ({"program": [""]}, "config.program[0]"),
        ({"args": ["a\0b"]}, "config.args"),
        ({"cwd": "here"}, "config.cwd"),
        ({"env": {"PHASELINE_X": "1"}}, "config.env.PHASELINE_X"),
        ({"pass_env": ["PHASELINE_TOKEN"]}, "config.pass_env[0]"),
        ({"pass_env": ["A*"]}, "config.pass_env[0]"),
    ],
)
def test_what_is_wrong_is_named(config: dict[str, object], field: str) -> None:
    with pytest.raises(HandlerError) as caught:
        parse_config(config)
    assert caught.value.details == {"field": field}
