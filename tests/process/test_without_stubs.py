"""A client that has nothing of ours, and learns the contract from the server itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.support.program import ServerProgram


class Reflected:
    """Calls whatever the server says it has."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self.database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self.database)

    def call(self, service: str, method: str, **fields: Any) -> Any:
        """Return the answer of a unary RPC to a request with *fields*."""
        found = self._pool.FindServiceByName(service).methods_by_name[method]
        call: Any = self._channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(found.output_type).FromString,
        )
        return call(GetMessageClass(found.input_type)(**fields))


def test_reflection_alone_is_enough_to_run_a_workflow(tmp_path: Path) -> None:
    with ServerProgram(tmp_path / "phaseline.db") as server, server.channel() as channel:
        client = Reflected(channel)
        assert {
            "phaseline.v1.ExecutionService",
            "phaseline.v1.WorkflowService",
            "phaseline.v1.WorkerService",
            "phaseline.v1.ArtifactService",
            "grpc.health.v1.Health",
        } <= set(client.database.get_services())
        client.call(
            "phaseline.v1.WorkflowService",
            "ApplyWorkflow",
            workflow={"workflow_id": "w", "phases": [{"phase_id": "p", "handler": "h"}]},
        )
        executions = "phaseline.v1.ExecutionService"
        started = client.call(executions, "Execute", workflow_id="w")
        status = client.call(executions, "GetStatus", execution_id=started.execution_id)
        listed = client.call(executions, "List")
        assert (status.current_phase, listed.total_size) == ("p", 1)
