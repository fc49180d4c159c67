"""Workflow files become workflows, or an error that says where; workflows become such files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from phaseline.cli.manifest import ManifestError, dump, load
from phaseline.v1.workflow_pb2 import (
    ConcurrencyLimit,
    InputSpec,
    PhaseSpec,
    RetryPolicy,
    Workflow,
)

WHOLE = """\
workflow_id: nightly
name: Nightly checks
description: >-
  Runs
  at night
inputs:
  - name: branch
    required: true
  - { name: depth, default_value: 010 }
phases:
  - phase_id: check
    handler: command
    prompt: |
      Check {{branch}}.
      $ARGUMENTS
    config:
      argv: [make, check]
      env: { CI: "1" }
      output_limit_bytes: 1048576
      keep: no
      nothing: ~
    model: small
    timeout: 1h30m
    retry_policy:
      max_attempts: 5
      initial_delay: 500ms
      max_delay: 90
      multiplier: 1.5
      non_retryable_codes: [EXIT_2]
  - phase_id: publish
    handler: command
    depends_on: [check]
queue_name: night
concurrency: { key: "{{branch}}", max_running: 1 }
run_timeout: 2h
max_budget_usd: 2.50
is_agentic: true
output_schema:
  type: object
  properties: { ok: { type: boolean } }
output_schema_name: Outcome
labels: { team: core, country: no, build: 1e3 }
"""

PHASE = "workflow_id: w\nphases:\n  - phase_id: p\n    handler: command\n    "


def test_every_field_is_read() -> None:
    config, schema = Struct(), Struct()
    config.update(
        {
            "argv": ["make", "check"],
            "env": {"CI": "1"},
            "output_limit_bytes": 1048576,
            "keep": "no",
            "nothing": None,
        }
    )
    schema.update({"type": "object", "properties": {"ok": {"type": "boolean"}}})
    assert load(WHOLE) == [
        Workflow(
            workflow_id="nightly",
            name="Nightly checks",
            description="Runs at night",
            inputs=[
                InputSpec(name="branch", required=True),
                InputSpec(name="depth", default_value="010"),
            ],
            phases=[
                PhaseSpec(
                    phase_id="check",
                    handler="command",
                    prompt="Check {{branch}}.\n$ARGUMENTS\n",
                    config=config,
                    model="small",
                    timeout=Duration(seconds=5400),
                    retry_policy=RetryPolicy(
                        max_attempts=5,
                        initial_delay=Duration(nanos=500_000_000),
                        max_delay=Duration(seconds=90),
                        multiplier=1.5,
                        non_retryable_codes=["EXIT_2"],
                    ),
                ),
                PhaseSpec(phase_id="publish", handler="command", depends_on=["check"]),
            ],
            queue_name="night",
            concurrency=ConcurrencyLimit(key="{{branch}}", max_running=1),
            run_timeout=Duration(seconds=7200),
            max_budget_usd="2.50",
            is_agentic=True,
            output_schema=schema,
            output_schema_name="Outcome",
            labels={"team": "core", "country": "no", "build": "1e3"},
        )
    ]


@pytest.mark.parametrize("written", ["2.50", '"2.50"', "0.1", "1e-9", "10000000000000000.01"])
def test_a_budget_keeps_its_exact_text(written: str) -> None:
    (workflow,) = load(f"workflow_id: w\nmax_budget_usd: {written}\nphases: []\n")
    assert workflow.max_budget_usd == written.strip('"')


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("30s", Duration(seconds=30)),
        ("1h30m", Duration(seconds=5400)),
        ("90", Duration(seconds=90)),
        ("0.25", Duration(nanos=250_000_000)),
        ("'90'", Duration(seconds=90)),
    ],
)
def test_a_duration_is_read_as_people_write_it(written: str, expected: Duration) -> None:
    (workflow,) = load(f"workflow_id: w\nrun_timeout: {written}\nphases: []\n")
    assert workflow.run_timeout == expected


def test_a_file_may_hold_several_workflows(tmp_path: Path) -> None:
    file = tmp_path / "workflows.yaml"
    file.write_text("workflow_id: a\nphases: []\n---\n---\nworkflow_id: b\nphases: []\n")
    assert [workflow.workflow_id for workflow in load(file)] == ["a", "b"]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text("workflow_id: ä\nphases: []\n", encoding="utf-8-sig")
    assert load(file)[0].workflow_id == "ä"


def test_a_field_left_empty_is_unset() -> None:
    (workflow,) = load(f"description:\nconcurrency: ~\n{PHASE}prompt: null\n    retry_policy:\n")
    assert not workflow.HasField("concurrency")
    assert not workflow.phases[0].HasField("retry_policy")
    assert (workflow.description, workflow.phases[0].prompt) == ("", "")


def test_an_empty_mapping_is_set() -> None:
    (workflow,) = load(f"{PHASE}config: {{}}\n    retry_policy: {{}}\n")
    assert workflow.phases[0].HasField("config")
    assert workflow.phases[0].HasField("retry_policy")


@pytest.mark.parametrize(
    ("text", "place", "field", "message"),
    [
        ("phasess: []", (1, 1), "phasess", "is not known; did you mean 'phases'?"),
        (f"{PHASE}promt: x", (5, 5), "phases[0].promt", "is not known; did you mean 'prompt'?"),
        ("version: 3", (1, 1), "version", "is set by the server and must be left out"),
        ("phases: {}", (1, 9), "phases", "must be a list, is a mapping"),
        ("phases: [x]", (1, 10), "phases[0]", "must be a mapping, is 'x'"),
        ("labels: [x]", (1, 9), "labels", "must be a mapping, is a list"),
        ("labels: { a: }", (1, 13), "labels[a]", "must be text, is empty"),
        ("name: [x]", (1, 7), "name", "must be a single value, is a list"),
        ("workflow_id: w", (1, 1), "phases", "is required"),
        ("workflow_id:\nphases: []", (1, 1), "workflow_id", "is required"),
        ("phases:\n  - phase_id: p", (2, 5), "phases[0].handler", "is required"),
        (
            "is_agentic: yes",
            (1, 13),
            "is_agentic",
            "must be true or false, is 'yes'; in YAML 1.2 write true",
        ),
        ("is_agentic: 1", (1, 13), "is_agentic", "must be true or false, is '1'"),
        (
            "run_timeout: 5 parsecs",
            (1, 14),
            "run_timeout",
            'must be a duration such as "30s", "5m", "1h30m" or a number of seconds,'
            " is '5 parsecs'",
        ),
        (
            f"{PHASE}retry_policy: {{ max_attempts: 2.5 }}",
            (5, 35),
            "phases[0].retry_policy.max_attempts",
            "must be a whole number, is '2.5'",
        ),
        (
            f'{PHASE}retry_policy: {{ max_attempts: "2" }}',
            (5, 35),
            "phases[0].retry_policy.max_attempts",
            "must be a whole number, is '2'",
        ),
        (
            "concurrency: { max_running: true }",
            (1, 29),
            "concurrency.max_running",
            "must be a whole number, is 'true'",
        ),
        (
            f"{PHASE}retry_policy: {{ multiplier: true }}",
            (5, 33),
            "phases[0].retry_policy.multiplier",
            "must be a number, is 'true'",
        ),
        (
            "concurrency: { max_running: 2147483648 }",
            (1, 29),
            "concurrency.max_running",
            "must be at most 2147483647 either way, is 2147483648",
        ),
        (
            f"{PHASE}retry_policy: {{ multiplier: fast }}",
            (5, 33),
            "phases[0].retry_policy.multiplier",
            "must be a number, is 'fast'",
        ),
        (f"{PHASE}depends_on: a", (5, 17), "phases[0].depends_on", "must be a list, is 'a'"),
        (f"{PHASE}config: [a]", (5, 13), "phases[0].config", "must be a mapping, is a list"),
        (
            f"{PHASE}config: {{ a: [0, .nan] }}",
            (5, 22),
            "phases[0].config.a[1]",
            "must be a finite number, is .nan",
        ),
        ("name: a\nname: b", (2, 1), "name", "is given twice, first in line 1"),
        ("name: [a", (1, 9), "", "expected ',' or ']', but got '<stream end>'"),
        ("just text", (1, 1), "", "must be a mapping, is 'just text'"),
        ("# nothing", (1, 1), "", "there is no workflow here"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(
    text: str, place: tuple[int, int], field: str, message: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        load(text, name="w.yaml")
    error = caught.value
    assert (error.path, (error.line, error.column), error.field) == ("w.yaml", place, field)
    assert error.violations[0].description.startswith(message)
    assert str(error).startswith(
        f"w.yaml:{place[0]}:{place[1]}: {field} {message}".replace("  ", " ")
    )


def test_a_key_like_no_other_is_answered_with_all_keys() -> None:
    with pytest.raises(ManifestError, match="known are key, max_running"):
        load("concurrency: { zzz: 1 }")


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_bytes(b"workflow_id: w\nname: caf\xe9\n")
    with pytest.raises(ManifestError, match="must be UTF-8") as caught:
        load(file)
    assert (caught.value.path, caught.value.line, caught.value.column) == (str(file), 2, 10)


def test_an_error_in_a_later_document_has_the_line_of_the_file() -> None:
    with pytest.raises(ManifestError) as caught:
        load("workflow_id: a\nphases: []\n---\nworkflow_id: b\nphases: 1\n")
    assert caught.value.line == 5


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.yaml")


def test_what_the_server_sets_is_not_written() -> None:
    workflow = Workflow(workflow_id="w", version=7, created_at=Timestamp(seconds=1))
    assert dump(workflow) == "workflow_id: w\n"


def test_a_written_workflow_is_pleasant_to_read() -> None:
    written = dump(load(WHOLE)[0])
    assert "    prompt: |\n      Check {{branch}}.\n      $ARGUMENTS\n" in written
    assert "    timeout: 1h30m\n" in written
    assert "      output_limit_bytes: 1048576\n" in written
    assert "  country: 'no'\n" in written


def test_a_large_number_is_written_with_its_exponent() -> None:
    (workflow,) = load(f"{PHASE}config: {{ large: 1e300, small: 3.0 }}\n")
    assert "      large: 1e+300\n      small: 3\n" in dump(workflow)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# Plus nothing: -0 is written as 0.
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
DATA: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: TEXTS.filter(bool),
    FieldDescriptor.TYPE_BOOL: st.just(True),
    FieldDescriptor.TYPE_INT32: st.integers(1, 2**31 - 1),
    FieldDescriptor.TYPE_DOUBLE: st.floats(1, 10),
}
OUTPUT_ONLY = {"version", "created_at", "updated_at"}


@st.composite
def structs(draw: st.DrawFn) -> Struct:
    struct = Struct()
    struct.update(draw(st.dictionaries(TEXTS, DATA, max_size=3)))
    return struct


@st.composite
def durations(draw: st.DrawFn) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(draw(st.integers(0, 10**15)))
    return duration


@st.composite
def messages(draw: st.DrawFn, kind: type[Any]) -> Any:
    """Draw a message of *kind*, any of its fields set."""
    return kind(
        **{
            field.name: draw(values(field))
            for field in kind.DESCRIPTOR.fields
            if field.name not in OUTPUT_ONLY
            if field.name in REQUIRED or draw(st.booleans())
        }
    )


REQUIRED = {"workflow_id", "phases", "phase_id", "handler", "max_running"}
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "google.protobuf.Duration": durations(),
    "google.protobuf.Struct": structs(),
    "phaseline.v1.Workflow.LabelsEntry": st.dictionaries(TEXTS, TEXTS, max_size=3),
    "phaseline.v1.InputSpec": messages(InputSpec).filter(lambda spec: spec.name != ""),
    "phaseline.v1.RetryPolicy": messages(RetryPolicy),
    "phaseline.v1.ConcurrencyLimit": messages(ConcurrencyLimit),
}


def values(field: Any) -> st.SearchStrategy[Any]:
    name = field.message_type.full_name if field.message_type else ""
    one = KINDS[name] if name else SCALARS[field.type]
    repeated = field.is_repeated and not name.endswith("Entry")
    return st.lists(one, min_size=field.name in REQUIRED, max_size=2) if repeated else one


KINDS["phaseline.v1.PhaseSpec"] = messages(PhaseSpec)


@given(messages(Workflow))
def test_a_workflow_survives_being_written_and_read(workflow: Workflow) -> None:
    assert load(dump(workflow)) == [workflow]


def test_every_field_of_the_contract_can_be_read() -> None:
    known = set(SCALARS) | {FieldDescriptor.TYPE_MESSAGE}
    assert {field.type for field in every_field(Workflow.DESCRIPTOR)} <= known


def every_field(message: Any) -> Iterator[Any]:
    for field in message.fields:
        yield field
        if field.message_type and field.message_type.file is message.file:
            yield from every_field(field.message_type)
