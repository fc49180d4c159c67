"""The README tells the truth: what it shows runs, and what is generated in it is up to date."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from phaseline.cli.manifest import load as load_workflows
from phaseline.cli.program import build
from phaseline.client import Client
from phaseline.serve import running
from phaseline.settings import Settings, load, table
from phaseline.v1.workflow_pb2 import Workflow
from phaseline.worker import GrpcSource, Registry
from phaseline.worker.embedded import embedded
from phaseline.worker.handlers.command import CommandHandler

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def as_function(code: str) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return *code*, which awaits, as an async function without arguments."""
    scope: dict[str, Any] = {}
    exec(f"async def example():\n{textwrap.indent(code, '    ')}", scope)
    example: Callable[[], Coroutine[Any, Any, None]] = scope["example"]
    return example


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(listen="127.0.0.1:0", db=str(tmp_path / "phaseline.db"))


@pytest.fixture
def registry() -> Registry:
    """Return what the worker of the README registers, and the handlers that ship."""
    scope: dict[str, Any] = {"__name__": "readme"}
    exec(blocks("python")[0], scope)
    registry = Registry()
    registry.add("think", scope["think"])
    registry.add("command", CommandHandler())
    return registry


@pytest.fixture
def workflow() -> Workflow:
    (workflow,) = load_workflows(blocks("yaml")[0])
    return workflow


async def test_the_worker_and_the_caller_of_the_readme_work(
    settings: Settings, registry: Registry, workflow: Workflow
) -> None:
    async with running(settings) as server:
        address = f"127.0.0.1:{server.port}"
        async with Client(address) as client, GrpcSource.connect(address) as source:
            await client.apply_workflow(workflow)
            async with embedded(source, registry):
                await as_function(blocks("python")[1].replace("127.0.0.1:7171", address))()
                (execution,) = (await client.list()).executions
    assert (execution.workflow_id, execution.completed_phases) == ("greet", 2)


def test_the_settings_of_the_readme_are_those_there_are() -> None:
    assert f"<!-- settings -->\n{table()}<!-- /settings -->" in README


def test_every_command_has_a_summary() -> None:
    commands = get_command(build()).commands  # type: ignore[attr-defined]
    shown = {name: command for name, command in commands.items() if not command.hidden}
    assert [name for name, command in shown.items() if not command.get_short_help_str()] == []
