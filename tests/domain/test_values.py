"""Small values: payloads, ids, and who waits for whom in a workflow."""

import uuid
from datetime import timedelta

import pytest

from phaseline.domain.ids import EXECUTION_ID, uuid7
from phaseline.domain.payload import Payload, json_payload, text_payload
from phaseline.domain.workflow import DEFAULT_RETRY_POLICY, PhaseSpec, dependencies
from tests.support import make
from tests.support.clock import START as NOW


def test_a_payload_shows_its_data_or_where_that_is() -> None:
    assert Payload(b"\xc3\xa4").text() == "ä"
    assert Payload(b"a\xff").text() == "a�"
    assert Payload(uri="s3://b").text() == "s3://b"
    assert Payload(b"", uri="").text() == ""


def test_a_payload_is_as_large_as_what_it_shows() -> None:
    assert (Payload(b"\xc3\xa4").size, Payload(uri="ä").size, Payload().size) == (2, 2, 0)


@pytest.mark.parametrize(
    ("media_type", "is_json"),
    [
        ("", True),
        ("application/json", True),
        ("application/geo+json", True),
        ("text/plain", False),
        ("application/jsonl", False),
    ],
)
def test_a_payload_knows_whether_it_is_json(media_type: str, is_json: bool) -> None:
    assert Payload(b"", media_type=media_type).is_json is is_json


def test_payloads_are_made_from_text() -> None:
    assert text_payload("ä") == Payload(b"\xc3\xa4", media_type="text/plain; charset=utf-8")
    assert json_payload(b"{}") == Payload(b"{}", media_type="application/json")


def test_ids_of_our_own_are_of_version_7_and_rise_with_time() -> None:
    ids = [uuid7(NOW + timedelta(milliseconds=n), (1 << 74) - 1 - n) for n in range(3)]
    assert ids == sorted(ids)
    for number, made in enumerate(ids):
        parsed = uuid.UUID(made)
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
        assert parsed.int >> 80 == int(NOW.timestamp() * 1000) + number
        assert EXECUTION_ID.fullmatch(made)


def test_ids_use_all_the_randomness_that_they_are_given() -> None:
    assert len({uuid7(NOW, 1 << bit) for bit in range(74)}) == 74
    assert uuid7(NOW, 1 << 74) == uuid7(NOW, 0)


P = make.phase_spec


@pytest.mark.parametrize(
    ("specs", "waits"),
    [
        ([P("a"), P("b"), P("c")], ((), (0,), (1,))),
        ([P("a", parallel=True), P("b")], ((), (0,))),
        ([P("a"), P("b", parallel=True), P("c", parallel=True)], ((), (), ())),
        ([P("a"), P("b"), P("c", parallel=True), P("d")], ((), (0,), (0,), (1, 2))),
        ([P("a"), P("b"), P("c", depends_on=("a",)), P("d")], ((), (0,), (0,), (2,))),
        (
            [P("a"), P("b", depends_on=("a",)), P("c", parallel=True), P("d")],
            ((), (0,), (0,), (1, 2)),
        ),
        ([P("a"), P("b"), P("c", depends_on=("b", "a"))], ((), (0,), (1, 0))),
    ],
)
def test_phases_wait_for_the_group_before_or_for_those_they_name(
    specs: list[PhaseSpec], waits: tuple[tuple[int, ...], ...]
) -> None:
    assert dependencies(tuple(specs)) == waits


def test_a_name_that_is_no_earlier_phase_is_refused() -> None:
    with pytest.raises(KeyError):
        dependencies((P("a", depends_on=("b",)), P("b", depends_on=("c",))))


def test_a_workflow_has_defaults_for_what_it_leaves_out() -> None:
    flow = make.workflow()
    assert (flow.name, flow.queue_name) == ("flow", "default")
    assert flow.spec.phases[0].policy is DEFAULT_RETRY_POLICY
    named = make.workflow(name="Flow", queue_name="gpu")
    assert (named.name, named.queue_name) == ("Flow", "gpu")
    assert flow.positions == {"p0": 0}
