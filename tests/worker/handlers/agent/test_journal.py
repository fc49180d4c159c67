"""What an agent does becomes operations that every server takes."""

import pytest

from phaseline.domain.usage import ModelUsage
from phaseline.worker.handlers.agent.journal import PREVIEW_BYTES, Journal, operation_id, preview
from phaseline.worker.handlers.agent.tokens import NONE, Tokens, nanos_of, with_total
from tests.support.agent import Seen


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def journal(seen: Seen) -> Journal:
    return Journal(seen, lambda: None)


def test_long_names_stay_apart() -> None:
    one, other = operation_id("x" * 200 + "1"), operation_id("x" * 200 + "2")
    assert one != other
    assert max(len(one), len(other)) <= 128
    assert operation_id("t1") == "t1"
    assert operation_id("\0") == "unnamed"


def test_what_never_ends_takes_no_memory(journal: Journal, seen: Seen) -> None:
    for number in range(1500):
        journal.begin(f"t{number}", "tool", tool_name="Bash")
    going_on = [each for each in seen.operations.values() if each.success is None]
    assert len(going_on) == 1000


def test_what_goes_on_ends_with_the_run(journal: Journal, seen: Seen) -> None:
    journal.begin("t1", "tool")
    journal.close("over")
    assert seen.operations["t1"].error_message == "over"


def test_an_end_without_a_begin_is_told(journal: Journal) -> None:
    assert not journal.end("t1")
    journal.begin("t1", "tool")
    assert journal.end("t1")
    assert not journal.end("t1")


def test_a_failure_has_a_message(journal: Journal, seen: Seen) -> None:
    journal.begin("t1", "tool")
    journal.end("t1", error="")
    assert (seen.operations["t1"].success, seen.operations["t1"].error_message) == (False, "failed")


def test_usage_is_told_when_it_has_changed(journal: Journal, seen: Seen) -> None:
    journal.consumed([ModelUsage("m", 1)])
    seen.models = ()
    journal.consumed([ModelUsage("m", 1)])
    assert seen.models == ()


def test_a_hundred_models_are_told_at_most(journal: Journal, seen: Seen) -> None:
    journal.consumed([ModelUsage(f"m{number}", number) for number in range(200)])
    assert len(seen.models) == 100
    assert ModelUsage("m199", 199) in seen.models


@pytest.mark.parametrize("value", ["x" * 10**6, {"a": "x" * 10**6}, ["é" * 10**6]])
def test_what_is_shown_is_bounded(value: object) -> None:
    shown = preview(value)
    assert shown is not None
    assert shown.size <= PREVIEW_BYTES


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_is_shown_of_nothing(value: object) -> None:
    assert preview(value) is None


@pytest.mark.parametrize(
    ("amount", "nanos"),
    [
        (0.0277273, 27_727_300),
        (0.1, 100_000_000),
        (0, 0),
        ("0.01", 10_000_000),
        (1e-10, 0),
        (None, None),
        (True, None),
        ("much", None),
        (float("nan"), None),
        (float("inf"), None),
        (-1, None),
        (1e300, None),
    ],
)
def test_amounts_are_exact(amount: object, nanos: int | None) -> None:
    assert nanos_of(amount) == nanos


def test_a_whole_cost_that_is_less_than_what_is_known_changes_nothing() -> None:
    models = (ModelUsage("a", 1, cost_nanos=100), ModelUsage("b", 1, cost_nanos=100))
    assert with_total(models, 50) == models
    assert with_total((), 50) == ()


def test_counts_are_no_larger_than_any_server_takes() -> None:
    assert Tokens(10**15).of("m").input_tokens == 10**12
    assert (NONE - Tokens(1)).total == 0
