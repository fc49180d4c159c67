"""The enums of the domain and of the contract have the same members."""

from collections.abc import Mapping
from enum import StrEnum

import pytest
from google.protobuf.descriptor import EnumDescriptor

from phaseline.v1 import execution_pb2, execution_service_pb2, worker_service_pb2
from phaseline.wire import enums


@pytest.mark.parametrize(
    ("numbers", "descriptor"),
    [
        (enums.EXECUTION_STATUS, execution_pb2.ExecutionStatus.DESCRIPTOR),
        (enums.PHASE_STATUS, execution_pb2.PhaseStatus.DESCRIPTOR),
        (enums.FAILURE_KIND, execution_pb2.FailureKind.DESCRIPTOR),
        (enums.DIRECTIVE_ACTION, worker_service_pb2.DirectiveAction.DESCRIPTOR),
        (enums.ABANDON_REASON, worker_service_pb2.AbandonReason.DESCRIPTOR),
        (enums.RETRY_DECISION, worker_service_pb2.RetryDecision.DESCRIPTOR),
        (enums.ORDER, execution_service_pb2.ExecutionOrder.DESCRIPTOR),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_every_value_but_unspecified_has_its_member(
    numbers: Mapping[StrEnum, int], descriptor: EnumDescriptor
) -> None:
    named = {value.name: value.number for value in descriptor.values if value.number}
    assert [name.endswith(each.name) for each, name in zip(numbers, named, strict=True)]
    assert sorted(numbers.values()) == sorted(named.values())


@pytest.mark.parametrize(
    ("numbers", "members"),
    [
        (enums.EXECUTION_STATUS, enums.EXECUTION_STATUSES),
        (enums.FAILURE_KIND, enums.FAILURE_KINDS),
        (enums.ORDER, enums.ORDERS),
    ],
)
def test_a_member_comes_back(
    numbers: Mapping[StrEnum, int], members: Mapping[int, StrEnum]
) -> None:
    assert {each: members[number] for each, number in numbers.items()} == {
        each: each for each in numbers
    }
