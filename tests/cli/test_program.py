"""The command line as a whole: help, wrong usage, exit codes, quick start."""

import os
import subprocess
import sys

import pytest

from phaseline import __version__
from phaseline.cli import main
from phaseline.cli.failures import EXIT_CODES
from tests.cli.conftest import Program

COMMANDS = [
    *("dev", "serve", "worker", "apply", "execute", "status", "get", "list", "active", "watch"),
    *("cancel", "pause", "resume", "retry", "purge", "health", "operations"),
    *("workflows", "workflows list", "workflows get", "artifact", "artifact list", "artifact get"),
    *("db", "db upgrade", "db version", "examples", "examples show", "examples path"),
]


def words(text: str) -> str:
    return " ".join(text.split())


def test_help_names_every_command(program: Program) -> None:
    ended = program("--help")
    for command in COMMANDS:
        assert f"│ {command.split()[0]} " in ended.out
    assert ended.code == 0


def test_no_command_shows_help(program: Program) -> None:
    assert words(program().out) == words(program("--help").out)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_help_documents_the_exit_codes(program: Program, command: str) -> None:
    ended = program(*command.split(), "--help")
    assert ended.code == 0
    assert EXIT_CODES in words(ended.out)


@pytest.mark.parametrize("command", ["db", "artifact"])
def test_a_group_without_a_command_is_wrong_usage(program: Program, command: str) -> None:
    ended = program(command)
    assert ended.code == 2


def test_the_version_is_printed(program: Program) -> None:
    assert program("--version") == (0, f"phaseline {__version__}\n", "")


def test_an_unknown_command_is_wrong_usage(program: Program) -> None:
    assert program("excute") == (
        2,
        "",
        "error: no such command 'excute'; did you mean 'execute'?\n"
        "hint: `phaseline --help` shows how it is used\n",
    )


def test_an_unknown_option_is_wrong_usage(program: Program) -> None:
    ended = program("cancel", "--raeson", "x", "id")
    assert ended.code == 2
    assert ended.err.startswith("error: no such option: --raeson")
    assert ended.err.endswith("hint: `phaseline cancel --help` shows how it is used\n")


def test_a_defect_of_ours_has_its_own_code(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseline.examples.names", lambda: 1 / 0)
    ended = program("examples")
    assert ended.code == 7
    assert "ZeroDivisionError" in ended.err


def test_the_exit_code_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["phaseline", "nope"])
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code == 2


def test_an_interrupt_outside_of_a_watch_exits_with_130(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("phaseline.examples.names", interrupted)
    assert program("examples") == (130, "", "")


def test_an_interrupt_while_the_program_loads_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("phaseline.cli.program.run", interrupted)
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code == 130
    assert capsys.readouterr() == ("", "")


def test_an_interrupt_before_the_loop_begins_leaves_nothing_behind(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(coroutine: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("asyncio.run", interrupted)
    assert program("health") == (130, "", "")


def test_help_loads_nothing_heavy() -> None:
    heavy = {"grpc", "google.protobuf", "pydantic", "sqlalchemy", "structlog", "asyncio", "ruamel"}
    code = (
        "import sys\n"
        "from phaseline.cli import run\n"
        "run(['--help'])\n"
        f"sys.exit(' '.join({heavy!r} & set(sys.modules)) or 0)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.stderr == ""
    assert ended.returncode == 0


@pytest.mark.parametrize("command", ["examples show repo-survey", "list --help", "--version"])
def test_a_reader_that_goes_away_ends_it_quietly(command: str) -> None:
    """As SIGPIPE would end it: a help said that an execution had failed, an example a defect."""
    read, written = os.pipe()
    os.close(read)
    with os.fdopen(written, "w") as unread:
        ended = subprocess.run(
            [sys.executable, "-m", "phaseline", *command.split()],
            stdout=unread,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.stderr == ""
    assert ended.returncode == 141
