"""Every RPC of the contract is known, and read with its own request."""

from __future__ import annotations

from typing import Any

import pytest

from phaseline.rpc.artifacts import ArtifactService
from phaseline.rpc.executions import ExecutionService
from phaseline.rpc.methods import METHODS, SERVICES, Method
from phaseline.rpc.workers import WorkerService
from phaseline.rpc.workflows import WorkflowService
from phaseline.v1 import execution_service_pb2 as pb

SERVICERS: dict[str, type[Any]] = {
    each.__name__: each
    for each in (ExecutionService, WorkflowService, WorkerService, ArtifactService)
}


def test_the_services_are_those_of_the_contract() -> None:
    assert {name.rpartition(".")[2] for name in SERVICES} == set(SERVICERS)


def test_only_watches_are_streams() -> None:
    assert {each.name for each in METHODS if each.is_stream} == {"Watch", "WatchActive"}


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.name)
def test_a_method_is_read_with_its_own_request(method: Method) -> None:
    assert method.read(b"").DESCRIPTOR.name == f"{method.name}Request"


def test_a_request_is_one_of_the_generated_classes() -> None:
    method = next(each for each in METHODS if each.name == "Get")
    assert type(method.read(b"")) is pb.GetRequest


def test_no_servicer_has_a_method_that_the_contract_lacks() -> None:
    """A misspelt one would leave its RPC unimplemented without a word."""
    known = {(each.service.rpartition(".")[2], each.name) for each in METHODS}
    served = {
        (name, method)
        for name, servicer in SERVICERS.items()
        for method in vars(servicer)
        if method[0].isupper()
    }
    assert served <= known
