"""Answers as JSON and YAML."""

import json

import pytest

from phaseline.cli import yaml12
from phaseline.cli.options import Form
from phaseline.cli.output import Output, json_text, yaml_text
from phaseline.v1 import execution_service_pb2, usage_pb2
from tests.support.messages import execution


def test_json_has_the_names_of_the_contract_and_every_field() -> None:
    data = json.loads(json_text(execution()))
    assert data["execution_id"] == execution().execution_id
    assert data["usage"]["total_tokens"] == "12345"
    assert data["status"] == "EXECUTION_STATUS_RUNNING"
    assert data["duration"] == "62s"
    assert data["retry_count"] == 0
    assert data["labels"] == {}


def test_json_of_an_unset_message_leaves_it_out() -> None:
    assert "cancellation" not in json.loads(json_text(execution()))


def test_json_is_plain_ascii() -> None:
    assert json_text(execution(task="é\x9b2J")).isascii()


def test_yaml_has_the_fields_that_json_has() -> None:
    text = yaml_text(execution())
    assert "cost_complete: false" in yaml_text(usage_pb2.Usage())
    assert yaml12.data(yaml12.documents(text)[0], "") == json.loads(json_text(execution()))


def test_yaml_has_text_of_several_lines_as_lines() -> None:
    text = yaml_text(execution_service_pb2.ListResponse(executions=[execution(task="a\nb\n")]))
    assert "executions:" in text
    assert "task: |" in text


def test_a_stream_of_json_has_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Form.JSON)
    for _ in range(2):
        output.write(execution(), in_stream=True)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["workflow_id"] for line in lines] == ["repo-survey"] * 2


def test_a_stream_of_yaml_has_a_document_each(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Form.YAML)
    for _ in range(2):
        output.write(execution(), in_stream=True)
    assert capsys.readouterr().out.count("---\n") == 2


def test_notes_are_for_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    Output(Form.TABLE).note("hello")
    Output(Form.JSON).note("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_a_drawing_that_is_piped_has_no_blanks_at_its_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().draw("one   \ntwo[bold] :smile: " + "x" * 500)
    assert capsys.readouterr().out == "one\ntwo[bold] :smile: " + "x" * 500 + "\n"
