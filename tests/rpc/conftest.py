"""A whole server for the tests of the services, with one workflow to run."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from phaseline.settings import Settings
from phaseline.v1 import workflow_pb2
from phaseline.v1.workflow_service_pb2 import ApplyWorkflowRequest
from tests.support.databases import POSTGRESQL, places
from tests.support.rpc import Api
from tests.support.whole import phaseline, settings_in

SURVEY = workflow_pb2.Workflow(
    workflow_id="survey",
    inputs=[workflow_pb2.InputSpec(name="topic", required=True)],
    phases=[
        workflow_pb2.PhaseSpec(phase_id="plan", handler="agent", prompt="$ARGUMENTS: {{topic}}"),
        workflow_pb2.PhaseSpec(phase_id="write", handler="agent", prompt="as {{plan}} says"),
    ],
)


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new database to copy: to make one takes longer than most tests do."""
    directory = tmp_path_factory.mktemp("new")
    asyncio.run(_opened(settings_in(directory)))
    return directory / "phaseline.db"


@pytest.fixture
def settings(database_kind: str, tmp_path: Path, new_database: Path) -> Settings:
    """Return the settings of a server of the test's own."""
    if database_kind == POSTGRESQL:
        return settings_in(tmp_path, db=places().take(tmp_path))
    shutil.copy(new_database, tmp_path)
    return settings_in(tmp_path)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """Return a server that knows the workflow "survey"."""
    async with phaseline(settings) as served:
        await served.workflows.ApplyWorkflow(ApplyWorkflowRequest(workflow=SURVEY))
        yield served


async def _opened(settings: Settings) -> None:
    async with phaseline(settings):
        pass
