"""Executions are read, listed and shown."""

import json

import pytest

from phaseline.domain.errors import InvalidArgument, NotFound
from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as service_pb2
from tests.cli.conftest import Program
from tests.support import messages
from tests.support.fake_service import FakeService
from tests.support.messages import EXECUTION_ID, execution, phase


def test_status_says_how_far_it_is(program: Program, service: FakeService) -> None:
    service.answer(
        "GetStatus",
        service_pb2.GetStatusResponse(
            execution_id=EXECUTION_ID,
            status=execution_pb2.EXECUTION_STATUS_RUNNING,
            completed_phases=1,
            total_phases=2,
            current_phase="report",
        ),
    )
    ended = program("status", EXECUTION_ID)
    assert ended.out == f"● running  1 of 2 phases · at report  {EXECUTION_ID}\n"
    assert (ended.code, ended.err) == (0, "")


def test_status_says_why_it_failed(program: Program, service: FakeService) -> None:
    service.answer(
        "GetStatus",
        service_pb2.GetStatusResponse(
            status=execution_pb2.EXECUTION_STATUS_FAILED, error_message="no luck"
        ),
    )
    ended = program("status", EXECUTION_ID)
    assert ended.out.startswith("✘ failed  0 of 0 phases · no luck")
    assert ended.code == 0


def test_an_execution_that_is_not_there_is_told_with_a_hint(
    program: Program, service: FakeService
) -> None:
    service.answer("GetStatus", NotFound("execution", EXECUTION_ID))
    ended = program("status", EXECUTION_ID)
    assert ended.code == 3
    assert ended.out == ""
    assert ended.err.splitlines() == [
        f"error: there is no execution '{EXECUTION_ID}'",
        "hint: `phaseline list` shows the executions there are",
    ]


def test_get_shows_all_of_it(program: Program, service: FakeService) -> None:
    found = execution(phases=[phase("survey", "COMPLETED"), phase()], inputs={"repo": "/src"})
    service.answer("Get", service_pb2.GetResponse(execution=found))
    ended = program("get", EXECUTION_ID)
    assert ended.code == 0
    for part in (EXECUTION_ID, "1m 2s", "survey", "worker-1", "repo  /src"):
        assert part in ended.out


def test_get_can_be_of_some_phases(program: Program, service: FakeService) -> None:
    service.answer("Get", service_pb2.GetResponse(execution=execution()))
    program("get", EXECUTION_ID, "--phase", "a", "--phase-id", "b")
    assert list(service.requests("Get")[0].phase_ids) == ["a", "b"]


def test_get_as_json_is_the_execution(program: Program, service: FakeService) -> None:
    service.answer("Get", service_pb2.GetResponse(execution=execution()))
    ended = program("get", EXECUTION_ID, "-o", "json")
    assert json.loads(ended.out)["execution_id"] == EXECUTION_ID


def test_get_as_yaml_is_the_execution(program: Program, service: FakeService) -> None:
    service.answer("Get", service_pb2.GetResponse(execution=execution()))
    assert program("get", EXECUTION_ID, "-o", "yaml").out.startswith("execution_id: ")


def test_the_form_can_be_set_for_good(
    program: Program, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASELINE_OUTPUT", "json")
    service.answer("Get", service_pb2.GetResponse(execution=execution()))
    assert program("get", EXECUTION_ID).out.startswith("{")


def test_get_can_show_the_whole_tree(program: Program, service: FakeService) -> None:
    child = service_pb2.ExecutionNode(execution=execution(execution_id="child"))
    top = service_pb2.ExecutionNode(execution=execution(), children=[child])
    service.answer("GetNesting", service_pb2.GetNestingResponse(nesting=top, truncated=True))
    ended = program("get", EXECUTION_ID, "--tree")
    assert "└── ● repo-survey child running" in ended.out
    assert ended.err == "there are more: the deepest and newest are left out\n"


def test_list_shows_a_page_and_how_many_there_are(program: Program, service: FakeService) -> None:
    service.answer(
        "List",
        service_pb2.ListResponse(
            executions=[execution()], total_size=1234, page=1, page_size=50, next_page_token="t"
        ),
    )
    ended = program("list")
    assert EXECUTION_ID in ended.out
    assert ended.err == "1 of 1,234; more: --page 2\n"


def test_after_a_page_token_the_next_page_has_another(
    program: Program, service: FakeService
) -> None:
    service.answer(
        "List",
        service_pb2.ListResponse(total_size=10_000, total_size_capped=True, next_page_token="t2"),
    )
    ended = program("list", "--page-token", "t1")
    assert service.requests("List")[0].page_token == "t1"
    assert ended.err == "0 of 10,000+; more: --page-token t2\n"


def test_every_filter_reaches_the_server(program: Program, service: FakeService) -> None:
    service.answer("List", service_pb2.ListResponse())
    ended = program(
        *("list", "--active", "--status", "running", "--status", "paused", "--workflow", "w"),
        *("--responder-id", "r", "--session-id", "s", "--user-id", "u", "--chat-message-id", "c"),
        *("--batch-id", "b", "--parent", "p", "--root", "t", "--queue", "q", "--repo", "a/b"),
        *("--label", "k=v", "--created-after", "2h", "--created-before", "1h"),
        *("--id-prefix", "0", "--order-by", "cost_usd_desc", "--page-size", "7", "--page", "3"),
    )
    assert ended.code == 0
    [request] = service.requests("List")
    fields = {field.name for field, _ in request.filter.ListFields()}
    assert fields == {field.name for field in request.filter.DESCRIPTOR.fields}
    assert request.order_by == service_pb2.EXECUTION_ORDER_COST_USD_DESC
    assert (request.page_size, request.page) == (7, 3)


def test_list_as_json_is_the_answer(program: Program, service: FakeService) -> None:
    service.answer("List", service_pb2.ListResponse(executions=[execution()], total_size=1))
    data = json.loads(program("list", "-o", "json").out)
    assert data["total_size"] == "1"
    assert data["executions"][0]["execution_id"] == EXECUTION_ID


def test_all_pages_as_json_are_one_object(program: Program, service: FakeService) -> None:
    service.answer(
        "List",
        service_pb2.ListResponse(executions=[execution(execution_id="a")], next_page_token="t"),
        service_pb2.ListResponse(executions=[execution(execution_id="b")]),
    )
    listed = json.loads(program("list", "--all", "-o", "json").out)["executions"]
    assert [one["execution_id"] for one in listed] == ["a", "b"]


def test_all_pages_are_one_table(program: Program, service: FakeService) -> None:
    service.answer(
        "List",
        service_pb2.ListResponse(executions=[execution(execution_id="aa")], next_page_token="t"),
        service_pb2.ListResponse(executions=[execution(execution_id="bb")]),
    )
    assert [line.split()[1] for line in program("list", "--all").out.splitlines()[1:]] == [
        "aa",
        "bb",
    ]


@pytest.mark.parametrize("one", ["--page=2", "--page-token=t"])
def test_all_pages_are_not_one_page(program: Program, service: FakeService, one: str) -> None:
    """What was asked for besides was passed over without a word."""
    ended = program("list", "--all", one)
    assert ended.code == 2
    assert ended.err.startswith("error: --all lists all pages")
    assert service.requests("List") == []


def test_an_unknown_status_is_wrong_usage(program: Program) -> None:
    ended = program("list", "--status", "done")
    assert ended.code == 2
    assert ": 'done' is not one of 'pending', 'running'" in ended.err


def test_wrong_fields_are_named(program: Program, service: FakeService) -> None:
    service.answer("List", InvalidArgument.of("filter.labels", "must have at most 64 characters"))
    ended = program("list", "--label", "k=v")
    assert (ended.code, ended.err) == (2, "error: filter.labels must have at most 64 characters\n")


def test_active_lists_those_not_terminal(program: Program, service: FakeService) -> None:
    service.answer(
        "ListActive", service_pb2.ListActiveResponse(executions=[execution()], total_size=21)
    )
    ended = program("active", "--limit", "1", "--workflow", "w")
    assert EXECUTION_ID in ended.out
    assert ended.err == "1 of 21 active\n"
    [request] = service.requests("ListActive")
    assert (request.limit, list(request.filter.workflow_ids)) == (1, ["w"])


def test_nothing_active_prints_no_table(program: Program, service: FakeService) -> None:
    service.answer("ListActive", service_pb2.ListActiveResponse())
    assert program("active") == (0, "", "0 of 0 active\n")


def found(*ids: str, more: bool = False) -> service_pb2.ListResponse:
    executions = [execution(execution_id=one) for one in ids]
    return service_pb2.ListResponse(executions=executions, next_page_token="t" if more else "")


def status_of(execution_id: str) -> service_pb2.GetStatusResponse:
    return service_pb2.GetStatusResponse(execution_id=execution_id)


def test_the_beginning_of_an_id_is_enough(program: Program, service: FakeService) -> None:
    service.answer("List", found("nightly-7"))
    service.answer("GetStatus", status_of("nightly-7"))
    assert program("status", "nigh").code == 0
    assert service.requests("List")[0].filter.id_prefix == "nigh"
    assert service.requests("GetStatus")[0].execution_id == "nightly-7"


def test_a_whole_generated_id_is_not_looked_up(program: Program, service: FakeService) -> None:
    service.answer("GetStatus", status_of(EXECUTION_ID))
    program("status", EXECUTION_ID)
    assert service.requests("List") == []


def test_an_id_that_is_the_beginning_of_others_is_itself(
    program: Program, service: FakeService
) -> None:
    service.answer("List", found("nightly-10", "nightly-1"))
    service.answer("GetStatus", status_of("nightly-1"))
    program("status", "nightly-1")
    assert service.requests("GetStatus")[0].execution_id == "nightly-1"


def test_an_id_beyond_the_first_candidates_is_itself(
    program: Program, service: FakeService
) -> None:
    service.answer("List", found("n-10", "n-11", more=True))
    service.answer("GetStatus", status_of("n-1"))
    assert program("status", "n-1").code == 0


def test_an_ambiguous_beginning_names_the_candidates(
    program: Program, service: FakeService
) -> None:
    service.answer("List", found("n-10", "n-11", more=True))
    service.answer("GetStatus", NotFound("execution", "n"))
    ended = program("status", "n")
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "error: 'n' is the beginning of several execution ids:",
        "  n-10",
        "  n-11",
        "  and more",
        "hint: give more of it",
    ]


def test_a_beginning_of_nothing_is_not_found(program: Program, service: FakeService) -> None:
    service.answer("List", found())
    assert program("status", "n").code == 3


def test_a_token_is_sent(program: Program, service: FakeService) -> None:
    service.answer("ListActive", service_pb2.ListActiveResponse())
    program("active", "--token", "sesame")
    assert service.metadata[-1]["authorization"] == "Bearer sesame"


def test_a_server_that_is_not_there_is_told_at_once(program: Program) -> None:
    ended = program("active", "--server", "127.0.0.1:1")
    assert ended.code == 5
    assert ended.err.splitlines()[-1] == (
        "hint: is a server running on 127.0.0.1:1? start one with `phaseline dev`"
    )


def test_certificates_that_are_not_there_are_named(program: Program) -> None:
    ended = program("active", "--ca", "missing.pem")
    assert (ended.code, ended.err) == (
        2,
        "error: cannot read the certificates in missing.pem: No such file or directory\n",
    )


def test_a_setting_that_is_wrong_is_told_by_its_source(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASELINE_OUTPUT", "xml")
    ended = program("active")
    assert ended.code == 2
    assert ended.err.startswith("error: setting 'output' from PHASELINE_OUTPUT: must be")


def test_durations_of_a_listed_execution_are_those_of_the_answer(
    program: Program, service: FakeService
) -> None:
    listed = execution(duration=messages.duration(5))
    service.answer("ListActive", service_pb2.ListActiveResponse(executions=[listed]))
    assert "  5s  " in program("active").out


def test_pages_are_counted_from_1(program: Program, service: FakeService) -> None:
    assert program("list", "--page", "0").code == 2


def test_an_empty_id_is_refused(program: Program, service: FakeService) -> None:
    ended = program("get", "")
    assert (ended.code, ended.err.splitlines()[0]) == (
        2,
        "error: an execution id must not be empty",
    )
    assert service.requests("List") == []
