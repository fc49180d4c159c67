"""What is wrong with a workflow, each thing with the path of its field."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from phaseline.domain.checks import check_workflow
from phaseline.domain.errors import Reason
from phaseline.domain.workflow import ConcurrencyLimit, InputSpec, RetryPolicy, WorkflowSpec
from tests.support.make import SECOND, phase_spec, workflow_spec


def _found(spec: WorkflowSpec, max_phases: int = 100) -> list[tuple[str, str]]:
    return [(each.field, each.reason) for each in check_workflow(spec, max_phases=max_phases)]


def test_a_sound_workflow_has_nothing_wrong() -> None:
    spec = workflow_spec(
        [
            phase_spec(
                "a", prompt="$ARGUMENTS {{topic}} {{execution_id}} {{workflow_id}} {{ no }}"
            ),
            phase_spec("b", parallel=True, prompt="{{topic}}"),
            phase_spec("c", prompt="{{a}} {{b}}", timeout=SECOND),
            phase_spec("d", depends_on=("a",), prompt="{{a}}"),
        ],
        inputs=(InputSpec("topic"),),
        concurrency=ConcurrencyLimit(1, "{{topic}}/$ARGUMENTS"),
        run_timeout=SECOND,
        labels={"k": "v"},
    )
    assert _found(spec) == []


@pytest.mark.parametrize("workflow_id", ["", "a b", "a/b", "ä", "x" * 129])
def test_the_id_is_made_of_letters_digits_and_little_else(workflow_id: str) -> None:
    assert _found(workflow_spec(workflow_id=workflow_id)) == [("workflow_id", "INVALID_FIELD")]


@pytest.mark.parametrize(
    ("field", "longest"),
    [("name", 128), ("description", 4096), ("queue_name", 128), ("output_schema_name", 128)],
)
def test_texts_have_a_longest(field: str, longest: int) -> None:
    spec = replace(workflow_spec(), **{field: "x" * longest})
    assert _found(spec) == []
    assert _found(replace(spec, **{field: "x" * (longest + 1)})) == [(field, "INVALID_FIELD")]


@pytest.mark.parametrize("count", [0, 4])
def test_phases_have_a_least_and_a_most(count: int) -> None:
    assert _found(workflow_spec(count), max_phases=3) == [("phases", "INVALID_FIELD")]
    assert _found(workflow_spec(3), max_phases=3) == []


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"phase_id": ""}, "phases[1].phase_id"),
        ({"phase_id": "a.b"}, "phases[1].phase_id"),
        ({"phase_id": "x" * 65}, "phases[1].phase_id"),
        ({"handler": ""}, "phases[1].handler"),
        ({"handler": "x" * 129}, "phases[1].handler"),
        ({"name": "x" * 129}, "phases[1].name"),
        ({"model": "x" * 129}, "phases[1].model"),
        ({"timeout": timedelta()}, "phases[1].timeout"),
        ({"timeout": -SECOND}, "phases[1].timeout"),
        ({"parallel": True, "depends_on": ("p0",)}, "phases[1].parallel"),
        ({"retry_policy": RetryPolicy(max_attempts=0)}, "phases[1].retry_policy.max_attempts"),
        ({"retry_policy": RetryPolicy(max_attempts=101)}, "phases[1].retry_policy.max_attempts"),
        ({"retry_policy": RetryPolicy(multiplier=0.5)}, "phases[1].retry_policy.multiplier"),
        ({"retry_policy": RetryPolicy(multiplier=10.1)}, "phases[1].retry_policy.multiplier"),
        (
            {"retry_policy": RetryPolicy(multiplier=float("nan"))},
            "phases[1].retry_policy.multiplier",
        ),
        (
            {"retry_policy": RetryPolicy(initial_delay=-SECOND)},
            "phases[1].retry_policy.initial_delay",
        ),
        ({"retry_policy": RetryPolicy(max_delay=-SECOND)}, "phases[1].retry_policy.max_delay"),
        (
            {"retry_policy": RetryPolicy(non_retryable_codes=("X",) * 33)},
            "phases[1].retry_policy.non_retryable_codes",
        ),
        (
            {"retry_policy": RetryPolicy(non_retryable_codes=("OK", "X" * 65))},
            "phases[1].retry_policy.non_retryable_codes[1]",
        ),
    ],
)
def test_what_is_wrong_with_a_phase_is_told_with_its_place(
    fields: dict[str, object], path: str
) -> None:
    spec = workflow_spec([phase_spec("p0"), phase_spec(**({"phase_id": "p1"} | fields))])  # type: ignore[arg-type]
    assert _found(spec) == [(path, "INVALID_FIELD")]


@pytest.mark.parametrize(("field", "longest"), [("prompt", 256 * 1024), ("config", 64 * 1024)])
def test_prompts_and_configs_have_a_largest_in_bytes(field: str, longest: int) -> None:
    fits = "ä" * (longest // 2)
    assert _found(workflow_spec([phase_spec(**{field: fits})])) == []
    too_large = workflow_spec([phase_spec(**{field: fits + "x"})])
    assert _found(too_large) == [(f"phases[0].{field}", "PAYLOAD_TOO_LARGE")]


def test_an_output_schema_has_a_largest() -> None:
    assert _found(workflow_spec(output_schema="x" * 64 * 1024)) == []
    too_large = workflow_spec(output_schema="x" * (64 * 1024 + 1))
    assert _found(too_large) == [("output_schema", "PAYLOAD_TOO_LARGE")]


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ((InputSpec("ok"), InputSpec("")), "inputs[1].name"),
        ((InputSpec("a b"),), "inputs[0].name"),
        ((InputSpec("x" * 65),), "inputs[0].name"),
        ((InputSpec("a", description="x" * 1025),), "inputs[0].description"),
    ],
)
def test_what_is_wrong_with_an_input_is_told_with_its_place(
    inputs: tuple[InputSpec, ...], path: str
) -> None:
    assert _found(workflow_spec(inputs=inputs)) == [(path, "INVALID_FIELD")]


def test_inputs_have_a_most() -> None:
    inputs = tuple(InputSpec(f"i{at}") for at in range(65))
    assert _found(workflow_spec(inputs=inputs[:64])) == []
    assert _found(workflow_spec(inputs=inputs)) == [("inputs", "INVALID_FIELD")]


@pytest.mark.parametrize(
    ("limit", "path"),
    [
        (ConcurrencyLimit(0), "concurrency.max_running"),
        (ConcurrencyLimit(-1), "concurrency.max_running"),
        (ConcurrencyLimit(1, "x" * 257), "concurrency.key"),
    ],
)
def test_what_is_wrong_with_a_concurrency_limit_is_told(limit: ConcurrencyLimit, path: str) -> None:
    assert _found(workflow_spec(concurrency=limit)) == [(path, "INVALID_FIELD")]


@pytest.mark.parametrize(
    ("labels", "paths"),
    [
        ({str(n): "" for n in range(33)}, ["labels"]),
        ({"": "v"}, ["labels[]"]),
        ({"k" * 65: "v"}, ["labels[" + "k" * 64 + "]"]),
        ({"k": "v" * 257}, ["labels[k]"]),
    ],
)
def test_what_is_wrong_with_labels_is_told(labels: dict[str, str], paths: list[str]) -> None:
    assert [path for path, _ in _found(workflow_spec(labels=labels))] == paths


def test_a_run_timeout_is_more_than_nothing() -> None:
    assert _found(workflow_spec(run_timeout=timedelta())) == [("run_timeout", "INVALID_FIELD")]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (workflow_spec([phase_spec("a"), phase_spec("a")]), "phases[1].phase_id"),
        (workflow_spec([phase_spec("a")], inputs=(InputSpec("a"),)), "phases[0].phase_id"),
        (workflow_spec(inputs=(InputSpec("a"), InputSpec("a"))), "inputs[1].name"),
        (workflow_spec(inputs=(InputSpec("execution_id"),)), "inputs[0].name"),
        (workflow_spec([phase_spec("workflow_id")]), "phases[0].phase_id"),
    ],
)
def test_a_name_means_one_thing(spec: WorkflowSpec, path: str) -> None:
    assert _found(spec) == [(path, Reason.DUPLICATE_ID)]


@pytest.mark.parametrize("name", ["b", "c", "nobody", ""])
def test_a_phase_depends_on_earlier_phases_alone(name: str) -> None:
    specs = [phase_spec("a"), phase_spec("b", depends_on=("a", name)), phase_spec("c")]
    assert _found(workflow_spec(specs)) == [("phases[1].depends_on[1]", Reason.UNKNOWN_DEPENDENCY)]


@pytest.mark.parametrize(
    ("specs", "at"),
    [
        ([phase_spec("a", prompt="{{nobody}}")], 0),
        ([phase_spec("a", prompt="{{a}}")], 0),
        ([phase_spec("a", prompt="{{b}}"), phase_spec("b")], 0),
        ([phase_spec("a"), phase_spec("b", parallel=True, prompt="{{a}}")], 1),
        (
            [
                phase_spec("a"),
                phase_spec("b", depends_on=("a",)),
                phase_spec("c", depends_on=("a",), prompt="{{b}}"),
            ],
            2,
        ),
    ],
)
def test_a_prompt_has_what_is_completed_before_alone(specs: list[object], at: int) -> None:
    found = check_workflow(workflow_spec(specs), max_phases=9)  # type: ignore[arg-type]
    (violation,) = found
    assert (violation.field, violation.reason) == (
        f"phases[{at}].prompt",
        Reason.UNKNOWN_PLACEHOLDER,
    )
    assert "known are" in violation.description


def test_a_prompt_has_all_that_is_completed_before_however_long_ago() -> None:
    specs = [phase_spec("a"), phase_spec("b"), phase_spec("c", prompt="{{a}}{{b}}")]
    assert _found(workflow_spec(specs)) == []


def test_a_concurrency_key_has_inputs_and_no_outputs() -> None:
    spec = workflow_spec([phase_spec("a")], concurrency=ConcurrencyLimit(1, "{{a}}"))
    assert _found(spec) == [("concurrency.key", Reason.UNKNOWN_PLACEHOLDER)]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    spec = workflow_spec(
        [phase_spec("a", handler="", prompt="{{x}}"), phase_spec("a")], name="x" * 129
    )
    assert [path for path, _ in _found(spec)] == [
        "name",
        "phases[0].handler",
        "phases[1].phase_id",
        "phases[0].prompt",
    ]
