"""With credentials, each caller sees its own workspace and nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from phaseline.domain.errors import Unauthenticated
from phaseline.settings import Settings
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1.worker_service_pb2 import LeasePhasesRequest
from phaseline.v1.workflow_service_pb2 import ApplyWorkflowRequest
from tests.rpc.callers import start
from tests.rpc.conftest import SURVEY
from tests.support.rpc import Api, refusal
from tests.support.whole import phaseline, settings_in


def by(name: str) -> dict[str, Any]:
    """Return what makes a call one of *name*."""
    return {"metadata": (("authorization", f"Bearer token of {name}"),)}


@pytest.fixture
def settings(tmp_path: Path, new_database: Path) -> Settings:
    credentials = [
        {
            "token_sha256": hashlib.sha256(f"token of {subject}".encode()).hexdigest(),
            "workspace_id": workspace_id,
            "subject": subject,
        }
        for workspace_id, subject in [("acme", "ada"), ("acme", "bob"), ("other", "eve")]
    ]
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"credentials": credentials}))
    shutil.copy(new_database, tmp_path)
    return settings_in(tmp_path, credentials_file=path)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """Return a server that ada has taught the workflow "survey"."""
    async with phaseline(settings) as served:
        await served.workflows.ApplyWorkflow(ApplyWorkflowRequest(workflow=SURVEY), **by("ada"))
        yield served


async def started(api: Api) -> str:
    return str((await api.executions.Execute(start(), **by("ada"))).execution_id)


async def test_those_of_a_workspace_share_what_is_in_it(api: Api) -> None:
    request = pb.GetRequest(execution_id=await started(api))
    assert (await api.executions.Get(request, **by("bob"))).execution.workspace_id == "acme"


async def test_what_belongs_to_another_workspace_is_not_found(api: Api) -> None:
    execution_id = await started(api)
    for call in (
        api.executions.Get(pb.GetRequest(execution_id=execution_id), **by("eve")),
        api.executions.Cancel(pb.CancelRequest(execution_id=execution_id), **by("eve")),
        api.executions.Watch(pb.WatchRequest(execution_id=execution_id), **by("eve")),
        api.executions.Execute(start(), **by("eve")),
    ):
        error = await refusal(call if not hasattr(call, "read") else _all_of(call))
        assert error.reason in ("EXECUTION_NOT_FOUND", "WORKFLOW_NOT_FOUND")


async def test_no_worker_gets_the_phases_of_another_workspace(api: Api) -> None:
    await started(api)
    poll = LeasePhasesRequest(worker_id="w", request_id="r", wait=Duration())
    assert not (await api.workers.LeasePhases(poll, **by("eve"))).leases
    assert len((await api.workers.LeasePhases(poll, **by("bob"))).leases) == 1


async def test_who_cancelled_is_known(api: Api) -> None:
    request = pb.CancelRequest(execution_id=await started(api))
    answer = await api.executions.Cancel(request, **by("bob"))
    assert answer.execution.cancellation.cancelled_by == "bob"


async def test_a_token_of_a_watch_is_of_one_workspace(api: Api) -> None:
    listed = await api.executions.List(pb.ListRequest(), **by("ada"))
    request = pb.WatchActiveRequest(resume_token=listed.resume_token)
    error = await refusal(_all_of(api.executions.WatchActive(request, **by("eve"))))
    assert error.reason == "RESUME_TOKEN_INVALID"


async def test_a_stranger_is_let_in_nowhere(api: Api) -> None:
    for call in (
        api.executions.List(pb.ListRequest()),
        api.executions.List(pb.ListRequest(), **by("nobody")),
        _all_of(api.executions.WatchActive(pb.WatchActiveRequest(), **by("nobody"))),
    ):
        assert isinstance(await refusal(call), Unauthenticated)


async def test_health_is_told_to_everybody(api: Api) -> None:
    stub: Any = HealthStub(api.channel)
    answer = await stub.Check(HealthCheckRequest())
    assert answer.status == HealthCheckResponse.SERVING


async def _all_of(frames: Any) -> None:
    while await frames.read():
        pass
