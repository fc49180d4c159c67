"""What users read of agents is what the program does."""

import re

from phaseline.worker.handlers.agent.adapters import ADAPTERS
from phaseline.worker.handlers.agent.config import AgentConfig, parse_config
from phaseline.worker.handlers.agent.lines import WHOLE_BYTES
from phaseline.worker.handlers.agent.reader import Success
from tests.support.agent import ROOT, Watched

TEXT = (ROOT / "src/phaseline/worker/handlers/agent/README.md").read_text()
SOURCES = "".join(
    path.read_text() for path in (ROOT / "src" / "phaseline" / "worker" / "handlers").rglob("*.py")
)


def test_every_setting_is_in_the_table() -> None:
    table = TEXT.partition("## Settings of the phase")[2].partition("##")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == sorted(
        AgentConfig.__struct_fields__, key=table.index
    )


def test_every_adapter_is_in_the_table() -> None:
    table = TEXT.partition("## Which agent")[2].partition("##")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", table, re.MULTILINE)
    assert dict(rows) == {
        name: "yes" if adapter.takes_max_turns else "no" for name, adapter in ADAPTERS.items()
    }


def test_every_code_is_one_that_is_used() -> None:
    table = TEXT.partition("## How it fails")[2].partition("Lines may")[0]
    codes = re.findall(r"`([A-Z_]+)`", table)
    assert codes
    assert [code for code in codes if f'"{code}"' not in SOURCES] == []


def test_the_settings_in_the_example_are_taken() -> None:
    config = TEXT.partition("config:\n")[2].partition("```")[0]
    given = dict(line.strip().split(": ") for line in config.strip().splitlines())
    assert parse_config({**given, "max_turns": float(given["max_turns"])}).max_turns == 40


def test_the_lines_of_the_neutral_format_are_understood() -> None:
    run = Watched("jsonl")
    run.stream.feed(TEXT.partition("```jsonl\n")[2].partition("```")[0].encode())

    assert run.ends() == Success("All tests pass.")
    assert not run.seen.of_type("custom")
    assert run.seen.tool_names == {"Bash": 1, "Task": 1, "Read": 1}
    assert run.seen.artifacts == {"report.md": "# Report"}


def test_the_length_of_a_line_is_told_right() -> None:
    assert f"beyond {WHOLE_BYTES // 1024 // 1024} MiB" in TEXT
