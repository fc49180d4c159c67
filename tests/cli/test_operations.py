"""Operations are listed."""

import json

from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as service_pb2
from tests.cli.conftest import Program
from tests.support.fake_service import FakeService
from tests.support.messages import EXECUTION_ID, operation

PAGES = (
    service_pb2.ListOperationsResponse(operations=[operation("a", "Read")], next_page_token="t"),
    service_pb2.ListOperationsResponse(operations=[operation("b", "Bash")]),
)


def test_all_pages_are_one_table(program: Program, service: FakeService) -> None:
    service.answer("ListOperations", *PAGES)
    ended = program("operations", EXECUTION_ID, "--phase", "report")
    assert [line.split()[3] for line in ended.out.splitlines()] == ["Read", "Bash"]
    assert ended.err == "2 operations\n"
    assert service.requests("ListOperations")[0].phase_id == "report"


def test_as_json_they_are_one_object(program: Program, service: FakeService) -> None:
    service.answer("ListOperations", *PAGES)
    data = json.loads(program("operations", EXECUTION_ID, "-o", "json", "--full").out)
    assert [one["operation_id"] for one in data["operations"]] == ["a", "b"]
    views = {request.view for request in service.requests("ListOperations")}
    assert views == {execution_pb2.EXECUTION_VIEW_FULL}


def test_none_print_no_table(program: Program, service: FakeService) -> None:
    service.answer("ListOperations", service_pb2.ListOperationsResponse())
    assert program("operations", EXECUTION_ID) == (0, "", "0 operations\n")
