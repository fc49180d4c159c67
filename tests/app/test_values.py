"""Small values of the use-cases: tokens, refusals, schemas, filters, request ids."""

import pytest

from phaseline.app.leasing import LeaseRef, LeaseTokens
from phaseline.app.ports import Slot
from phaseline.app.queries import ExecutionFilter
from phaseline.app.refusals import Refusal
from phaseline.app.schemas import Schemas, check_schema
from phaseline.app.tokens import Signer, digest_of
from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PhaselineError,
    ResourceExhausted,
    Unavailable,
)
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ACTIVE, ExecutionStatus
from phaseline.domain.payload import Payload
from tests.support import make
from tests.support.clock import START as NOW
from tests.support.make import LEASE, SECOND, phase_spec

SIGNER = Signer(b"secret")


class TestSigner:
    """Opaque tokens."""

    def test_reads_what_it_wrote(self) -> None:
        token = SIGNER.sign(("A", 1))
        assert SIGNER.read(token, tuple[str, int]) == ("A", 1)
        assert token.isascii()
        assert "=" not in token

    @pytest.mark.parametrize("token", ["", "x", "ä", "====", "A" * 100, "not base64!"])
    def test_refuses_what_nobody_wrote(self, token: str) -> None:
        with pytest.raises(ValueError, match="is no token of this server"):
            SIGNER.read(token, tuple[str, int])

    def test_refuses_what_another_wrote(self) -> None:
        with pytest.raises(ValueError, match="is no token of this server"):
            SIGNER.read(Signer(b"other").sign(("A", 1)), tuple[str, int])

    def test_refuses_every_changed_character(self) -> None:
        token = SIGNER.sign(("A", 12345))
        for at in range(len(token) - 1):
            changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
            with pytest.raises(ValueError, match="is no token of this server"):
                SIGNER.read(changed, tuple[str, int])

    def test_refuses_a_token_of_another_form(self) -> None:
        with pytest.raises(ValueError, match="is a token for something else"):
            SIGNER.read(SIGNER.sign(("A", "1")), tuple[str, int])


def test_digests_tell_values_apart() -> None:
    one = ExecutionFilter(labels={"a": "1", "b": "2"})
    assert digest_of(one) == digest_of(ExecutionFilter(labels={"b": "2", "a": "1"}))
    assert digest_of(one) != digest_of(ExecutionFilter(labels={"a": "2", "b": "1"}))


class TestLeaseTokens:
    """What a worker proves its lease with."""

    TOKENS = LeaseTokens(SIGNER)
    REF = LeaseRef(Slot(Key("w", "e1"), 2), 7)

    def test_name_a_lease_of_the_workspace(self) -> None:
        token = self.TOKENS.write(self.REF.slot, self.REF.epoch)
        assert self.TOKENS.read(token, "w") == self.REF
        assert self.TOKENS.read(token, "other") is None
        assert self.TOKENS.read(token + "A", "w") is None
        assert self.TOKENS.read(SIGNER.sign(("P", "w", "e1", 2, 7)), "w") is None

    def test_are_live_as_long_as_the_lease(self) -> None:
        one = make.leased(make.execution([phase_spec(timeout=SECOND)]))
        ref = LeaseRef(Slot(one.key, 0), 1)
        assert ref.is_live(one, NOW + 6 * SECOND - SECOND / 2)
        assert not ref.is_live(one, NOW + 6 * SECOND)
        one = make.leased(make.execution())
        assert ref.is_live(one, NOW + LEASE - SECOND)
        assert not ref.is_live(one, NOW + LEASE)
        assert not LeaseRef(Slot(one.key, 0), 2).is_live(one, NOW)
        assert not LeaseRef(Slot(one.key, 9), 1).is_live(one, NOW)
        assert not ref.is_live(make.execution(), NOW)


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgument.of("task", "is too long", "PAYLOAD_TOO_LARGE", metadata={"a": "b"}),
        NotFound("workflow", "w", "there is none", metadata={"a": "b"}),
        AlreadyExists("execution", "e"),
        FailedPrecondition("lost", reason="LEASE_LOST", subject="e"),
        ResourceExhausted("full", reason="TOO_MANY_EXECUTIONS", subject="workspace:w"),
    ],
)
def test_a_refusal_stands_for_its_error(error: PhaselineError) -> None:
    again = Refusal.of(error).error()
    assert type(again) is type(error)
    assert vars(again) == vars(error)


def test_what_concerns_all_is_no_refusal_of_one() -> None:
    with pytest.raises(Unavailable):
        Refusal.of(Unavailable("away"))


class TestSchemas:
    """Whether a result matches the schema that its workflow declares."""

    @pytest.mark.parametrize(
        "schema", ["{", "[]", '{"type": "wrong"}', '{"pattern": "(("}', '{"$ref": "#/nope"}']
    )
    def test_an_unsound_schema_is_told(self, schema: str) -> None:
        wrong = check_schema(schema)
        assert wrong
        assert "\n" not in wrong

    @pytest.mark.parametrize("scheme", ["http://127.0.0.1:9/x", "file:///etc/passwd"])
    def test_nothing_is_fetched_for_a_schema(self, scheme: str) -> None:
        wrong = check_schema(f'{{"$ref": "{scheme}"}}')
        assert wrong is not None
        assert "disabled" in wrong

    @pytest.mark.parametrize("schema", ["{}", "true", '{"$ref": "#"}', '{"type": "object"}'])
    def test_a_sound_one_is_taken(self, schema: str) -> None:
        assert check_schema(schema) is None

    @pytest.mark.parametrize(
        ("data", "wrong"),
        [
            (b'{"n": 1}', None),
            (b'{"n": [1]}', "/n: "),
            (b'{"n": {"deep": ["x"]}}', "/n: "),
            (b"{}", '/: "n" is a required property'),
            (b"{", "the result is not JSON"),
            (b"\xff", "the result is not JSON"),
            (b"", "the result is not JSON"),
            (b"1e999", "the result is not JSON"),
            (b"[" * 100_000, "the result is"),
        ],
    )
    def test_the_path_that_is_wrong_is_told(self, data: bytes, wrong: str | None) -> None:
        flow = make.workflow(
            output_schema='{"properties": {"n": {"type": "integer"}}, "required": ["n"]}'
        )
        found = Schemas().check(flow, Payload(data))
        assert found == wrong or (found is not None and wrong and found.startswith(wrong))

    @pytest.mark.parametrize("result", [None, Payload(uri="s3://b")])
    def test_a_result_that_is_elsewhere_cannot_be_checked(self, result: Payload | None) -> None:
        found = Schemas().check(make.workflow(output_schema="{}"), result)
        assert found is not None
        assert "must be given inline" in found

    def test_without_a_schema_anything_goes(self) -> None:
        assert Schemas().check(make.workflow(), Payload(b"{")) is None


class TestFilter:
    """Which executions match."""

    ONE = make.execution(
        request={
            "responder_id": "r",
            "session_id": "s",
            "user_id": "u",
            "chat_message_id": "c",
            "queue_name": "q",
            "repos": ("a/b", "c/d"),
            "labels": {"k": "v", "l": "w"},
        }
    )

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"workflow_ids": ("other", "flow")},
            {"responder_ids": ("x", "r")},
            {"session_ids": ("s",)},
            {"user_ids": ("u",)},
            {"chat_message_id": "c"},
            {"root_execution_id": "e1"},
            {"queue_names": ("q",)},
            {"repos": ("x", "c/d")},
            {"labels": {"l": "w"}},
            {"created_after": NOW},
            {"created_before": NOW + SECOND},
            {"id_prefix": "e"},
        ],
    )
    def test_matches_what_it_asks_for(self, fields: dict[str, object]) -> None:
        assert ExecutionFilter(**fields).matches_spec(self.ONE)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "fields",
        [
            {"workflow_ids": ("other",)},
            {"responder_ids": ("x",)},
            {"session_ids": ("x",)},
            {"user_ids": ("x",)},
            {"chat_message_id": "x"},
            {"batch_id": "x"},
            {"parent_execution_id": "x"},
            {"root_execution_id": "x"},
            {"queue_names": ("x",)},
            {"repos": ("x",)},
            {"labels": {"l": "w", "k": "x"}},
            {"labels": {"m": ""}},
            {"created_after": NOW + SECOND},
            {"created_before": NOW},
            {"id_prefix": "e1x"},
        ],
    )
    def test_does_not_match_anything_else(self, fields: dict[str, object]) -> None:
        assert not ExecutionFilter(**fields).matches_spec(self.ONE)  # type: ignore[arg-type]

    def test_wants_the_statuses_that_it_names_and_that_are_active(self) -> None:
        running, failed = ExecutionStatus.RUNNING, ExecutionStatus.FAILED
        assert ExecutionFilter().wanted_statuses() is None
        assert ExecutionFilter(active_only=True).wanted_statuses() == ACTIVE
        both = ExecutionFilter(statuses=(running, failed))
        assert both.wanted_statuses() == frozenset({running, failed})
        assert (both.matches_status(failed), both.matches_status(None)) == (True, False)
        active = ExecutionFilter(statuses=(running, failed), active_only=True)
        assert active.wanted_statuses() == frozenset({running})
        assert not active.matches_status(failed)
