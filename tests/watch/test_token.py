"""Resume tokens."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.app.queries import ExecutionFilter
from phaseline.app.tokens import Signer
from phaseline.domain.errors import InvalidArgument
from phaseline.domain.ids import Key
from phaseline.watch.cursor import ActiveCursor, Spot, TreeCursor
from phaseline.watch.scope import Scope
from phaseline.watch.token import Tokens

SIGNER = Signer(b"s" * 32)
TOKENS = Tokens(SIGNER, "epoch")
KEY = Key("default", "a")
SCOPE = Scope("default", ExecutionFilter(workflow_ids=("work",)))

ids = st.text(string.ascii_letters + string.digits + "._:-", max_size=128)
numbers = st.integers(0, 2**62)
spots = st.builds(Spot, ids, st.integers(-1, 3), numbers)
tree_cursors = st.builds(TreeCursor, numbers, st.none() | spots, ids, numbers)
active_cursors = st.builds(ActiveCursor, numbers, st.none() | ids, numbers, st.tuples(numbers, ids))


def refused(read: Callable[[], object]) -> str:
    """Return why a token is refused."""
    with pytest.raises(InvalidArgument) as caught:
        read()
    assert caught.value.reason == "RESUME_TOKEN_INVALID"
    [violation] = caught.value.violations
    assert violation.field == "resume_token"
    return violation.description


@given(tree_cursors, st.booleans())
def test_a_tree_cursor_survives(cursor: TreeCursor, descendants: bool) -> None:
    token = TOKENS.of_tree(KEY, descendants, cursor)
    assert TOKENS.read_tree(token, KEY, descendants) == cursor


@given(active_cursors)
def test_an_active_cursor_survives(cursor: ActiveCursor) -> None:
    assert TOKENS.read_active(TOKENS.of_active(SCOPE, cursor), SCOPE) == cursor


def test_another_process_on_the_same_database_reads_it() -> None:
    token = TOKENS.of_tree(KEY, True, TreeCursor(7))
    assert Tokens(Signer(b"s" * 32), "epoch").read_tree(token, KEY, True) == TreeCursor(7)


@pytest.mark.parametrize("descendants", [True, False])
def test_the_token_of_an_execution_opens_either_watch(descendants: bool) -> None:
    token = TOKENS.of_execution(KEY, 7)
    assert TOKENS.read_tree(token, KEY, descendants) == TreeCursor(7)


def test_a_watch_goes_on_with_the_descendants_it_had() -> None:
    token = TOKENS.of_tree(KEY, True, TreeCursor(7))
    assert "include_descendants" in refused(lambda: TOKENS.read_tree(token, KEY, False))


def test_a_token_is_of_one_execution_in_one_workspace() -> None:
    token = TOKENS.of_execution(KEY, 7)
    assert "something else" in refused(lambda: TOKENS.read_tree(token, Key("default", "b"), True))
    assert "something else" in refused(lambda: TOKENS.read_tree(token, Key("other", "a"), True))


def test_a_token_is_of_one_filter() -> None:
    token = TOKENS.of_active(SCOPE, ActiveCursor(7))
    other = Scope("default", ExecutionFilter())
    assert "another filter" in refused(lambda: TOKENS.read_active(token, other))


def test_a_token_is_of_one_database() -> None:
    token = Tokens(SIGNER, "another").of_execution(KEY, 7)
    assert "another database" in refused(lambda: TOKENS.read_tree(token, KEY, True))


def test_a_token_that_another_secret_signed_is_refused() -> None:
    token = Tokens(Signer(b"x" * 32), "epoch").of_execution(KEY, 7)
    assert "no token of this server" in refused(lambda: TOKENS.read_tree(token, KEY, True))


def test_tokens_of_the_two_kinds_of_watch_are_not_mixed_up() -> None:
    tree, active = TOKENS.of_execution(KEY, 7), TOKENS.of_active(SCOPE, ActiveCursor(7))
    refused(lambda: TOKENS.read_active(tree, SCOPE))
    refused(lambda: TOKENS.read_tree(active, KEY, True))


@pytest.mark.parametrize("value", [("P", b"scope", 1, "a"), ("A",), 7, None])
def test_a_token_for_something_else_is_refused(value: object) -> None:
    token = SIGNER.sign(value)
    refused(lambda: TOKENS.read_tree(token, KEY, True))
    refused(lambda: TOKENS.read_active(token, SCOPE))


def test_a_token_of_another_kind_is_refused_though_it_looks_alike() -> None:
    alike = SIGNER.read(TOKENS.of_execution(KEY, 7), list[object])
    token = SIGNER.sign(["X", *alike[1:]])
    assert "something else" in refused(lambda: TOKENS.read_tree(token, KEY, True))


@given(st.integers(0, 57), st.sampled_from(string.ascii_letters + string.digits + "-_"))
def test_a_token_with_one_character_changed_is_refused(at: int, character: str) -> None:
    token = TOKENS.of_active(SCOPE, ActiveCursor(7))
    forged = token[:at] + character + token[at + 1 :]
    try:
        cursor = TOKENS.read_active(forged, SCOPE)
    except InvalidArgument:
        return
    # The last character of base64 has bits that mean nothing.
    assert cursor == ActiveCursor(7)


@given(st.text(max_size=100))
def test_any_text_is_refused_and_breaks_nothing(text: str) -> None:
    refused(lambda: TOKENS.read_tree(text, KEY, True))
