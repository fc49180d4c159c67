"""The page about programs as phases tells the truth."""

import re
from pathlib import Path

import msgspec
from ruamel.yaml import YAML

import phaseline.worker.handlers
from phaseline.worker.context import Context
from phaseline.worker.handlers.command_config import CommandConfig, parse_config
from phaseline.worker.handlers.report_file import ReportFile
from phaseline.worker.handlers.workdir import PASSED_ON, WorkDir
from phaseline.worker.outbox import Outbox
from tests.support.clock import ManualClock
from tests.support.source import assignment

PAGE = (Path(phaseline.worker.handlers.__file__).parent / "README.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


async def test_every_line_that_it_shows_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    path.write_text(block("json"))
    outbox = Outbox(lambda: None)
    file = ReportFile(path, Context(assignment(), outbox, ManualClock()), "process")
    file.open()
    await file.read_rest()
    file.close()
    assert file.malformed == 0, file.first_malformed
    news = outbox.take()
    assert [each.operation_id for each in news.operations] == ["a", "b"]
    assert all(each.success for each in news.operations)
    assert news.session_id == "s-1"


def test_it_names_every_variable_and_no_other(tmp_path: Path) -> None:
    given = assignment(inputs={"name": "a"}, task="t")
    context = Context(given, Outbox(lambda: None), ManualClock())
    variables = set(WorkDir(tmp_path).variables(context))
    named = {name.replace("<", "") for name in re.findall(r"`(PHASELINE_\w+<?)", PAGE)}
    assert {name.replace("INPUT_NAME", "INPUT_") for name in variables} == named
    assert set(PASSED_ON) <= set(re.findall(r"`(\w+)`", PAGE))


def test_it_names_every_setting_and_its_workflow_is_one() -> None:
    (table,) = re.findall(r"## Settings of the phase\n(.*?)\n## ", PAGE, re.DOTALL)
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == [
        field.name for field in msgspec.structs.fields(CommandConfig)
    ]
    (phase,) = YAML(typ="safe").load(block("yaml"))["phases"]
    assert phase["handler"] == "command"
    parse_config(phase["config"])
