"""What an error tells at the place where it is caught."""

import re
from pathlib import Path

import pytest

from phaseline.domain import errors
from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    IllegalTransition,
    InvalidArgument,
    NotFound,
    PhaselineError,
    Reason,
    Unavailable,
)

PROTOS = Path(__file__).parents[2] / "protos" / "phaseline" / "v1"


def test_an_invalid_field_reads_as_a_sentence() -> None:
    error = InvalidArgument.of("page_size", "must be 1 to 100, is 500")
    assert str(error) == "page_size must be 1 to 100, is 500"
    assert error.reason == "INVALID_FIELD"
    assert error.violations == (FieldViolation("page_size", "must be 1 to 100, is 500"),)


def test_the_first_of_several_violations_gives_the_reason() -> None:
    error = InvalidArgument.all_of(
        [
            FieldViolation("inputs.topic", "is required", Reason.MISSING_INPUT),
            FieldViolation("inputs.colour", "is no input", Reason.UNKNOWN_INPUT),
        ]
    )
    assert error.reason == "MISSING_INPUT"
    assert str(error) == "inputs.topic is required; inputs.colour is no input"


def test_a_long_list_of_violations_keeps_a_short_message() -> None:
    error = InvalidArgument.all_of([FieldViolation(f"f{n}", "is wrong") for n in range(30)])
    assert str(error) == "f0 is wrong; f1 is wrong; f2 is wrong; and 27 more"
    assert len(error.violations) == 30


def test_a_violation_moves_below_the_message_that_holds_the_request() -> None:
    error = InvalidArgument.of("inputs.topic", "is required", Reason.MISSING_INPUT)
    moved = error.under("executions[3]")
    assert str(moved) == "executions[3].inputs.topic is required"
    assert moved.reason == "MISSING_INPUT"


def test_an_error_about_the_whole_request_moves_to_the_field_that_holds_it() -> None:
    error = InvalidArgument.of("", "must not be empty").under("workflow")
    assert [each.field for each in error.violations] == ["workflow"]


def test_an_error_without_violations_still_says_where_it_is() -> None:
    moved = InvalidArgument("is not JSON", reason=Reason.INVALID_SCHEMA).under("output_schema")
    assert (str(moved), moved.reason) == ("output_schema is not JSON", "INVALID_SCHEMA")


@pytest.mark.parametrize("resource", ["execution", "workflow", "phase", "artifact", "parent"])
def test_what_is_not_found_gives_the_reason(resource: str) -> None:
    error = NotFound(resource, "x-1")
    assert error.reason == f"{resource.upper()}_NOT_FOUND"
    assert error.reason in set(Reason)
    assert str(error) == f"there is no {resource} 'x-1'"


def test_what_exists_gives_the_reason() -> None:
    error = AlreadyExists("execution", "x-1")
    assert error.reason == Reason.EXECUTION_ALREADY_EXISTS
    assert str(error) == "execution 'x-1' exists already"


def test_an_illegal_transition_says_where_it_stands_and_what_was_wanted() -> None:
    error = IllegalTransition("execution", "completed", "pause", subject="x-1")
    assert str(error) == "execution 'x-1' is completed and cannot pause"
    assert error.reason == "INVALID_STATUS"
    assert error.metadata == {"resource": "execution", "status": "completed", "trigger": "pause"}


def test_an_illegal_transition_is_caught_as_a_failed_precondition() -> None:
    with pytest.raises(FailedPrecondition):
        raise IllegalTransition("phase", "completed", "lease")


def test_a_reason_is_a_plain_string() -> None:
    assert type(Unavailable("draining", reason=Reason.DRAINING).reason) is str
    assert type(Unavailable("away").reason) is str


def test_every_class_says_in_the_tree_what_to_do() -> None:
    tree = errors.__doc__ or ""
    classes = {kind for kind in vars(errors).values() if _is_error(kind)}
    assert {kind.__name__ for kind in classes} == set(re.findall(r"\* (\w+)", tree))
    assert all(kind.__doc__ for kind in classes)


def test_the_reasons_are_those_of_the_contract() -> None:
    """The contract writes each as `CODE: REASON, REASON (why)` in the comment of its RPC."""
    comments = "".join(
        line.partition("//")[2] + " "
        for proto in sorted(PROTOS.glob("*_service.proto"))
        for line in proto.read_text().splitlines()
    )
    codes = "INVALID_ARGUMENT|NOT_FOUND|ALREADY_EXISTS|FAILED_PRECONDITION|OUT_OF_RANGE"
    codes += "|RESOURCE_EXHAUSTED|UNAVAILABLE|UNAUTHENTICATED|PERMISSION_DENIED"
    lists = re.findall(rf"(?:{codes}): ((?:[A-Z_]+(?: *\([^)]*\))?[, ]*)+)", comments)
    told = set(re.findall(r"[A-Z]+_[A-Z_]+|DRAINING", re.sub(r"\([^)]*\)", "", " ".join(lists))))
    same_word = {"DEADLINE_EXCEEDED", "INTERNAL", "UNIMPLEMENTED"}
    assert told | same_word == set(Reason)


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, PhaselineError)
