"""The client's table of procedures is the contract's."""

import pytest

from phaseline.client import rpcs
from phaseline.v1 import artifact_service_pb2, execution_service_pb2, workflow_service_pb2

METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in (artifact_service_pb2, execution_service_pb2, workflow_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
OURS = {each.path: each for each in vars(rpcs).values() if isinstance(each, rpcs.Rpc)}


def test_every_procedure_for_callers_can_be_called() -> None:
    assert OURS.keys() - METHODS.keys() == {"/grpc.health.v1.Health/Check"}
    assert METHODS.keys() <= OURS.keys()


@pytest.mark.parametrize("path", METHODS)
def test_a_procedure_has_the_messages_of_the_contract(path: str) -> None:
    rpc, method = OURS[path], METHODS[path]
    assert rpc.request.DESCRIPTOR.full_name == method.input_type.full_name
    assert rpc.response.DESCRIPTOR.full_name == method.output_type.full_name
