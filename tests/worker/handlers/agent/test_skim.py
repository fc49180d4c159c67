"""A JSON text of any length keeps its outline in bounded memory."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.worker.handlers.agent.skim import Skim

_texts = st.text(max_size=60) | st.text(alphabet='\\"\n\u00e9\U0001f600a', max_size=200)
_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(_texts, inner, max_size=8),
    max_leaves=60,
)


def skimmed(data: bytes, *, room: int, longest_text: int, chunk: int = 1 << 30) -> Skim:
    skim = Skim(room, longest_text)
    for at in range(0, len(data), chunk):
        skim.feed(data[at : at + chunk])
    return skim


@given(_values, st.integers(1, 50), st.booleans())
def test_what_fits_is_copied_as_it_is(value: Any, chunk: int, is_ascii: bool) -> None:
    data = json.dumps({"value": value}, ensure_ascii=is_ascii).encode()
    skim = skimmed(data, room=len(data) + 2_000_000, longest_text=len(data), chunk=chunk)
    assert skim.kept == data
    assert not skim.is_hopeless


@given(_values, st.integers(1, 50), st.integers(10, 400), st.integers(5, 100), st.booleans())
def test_what_is_cut_stays_json(
    value: Any, chunk: int, room: int, longest_text: int, is_ascii: bool
) -> None:
    data = json.dumps({"first": 1, "value": value, "last": 2}, ensure_ascii=is_ascii).encode()
    skim = skimmed(data, room=room, longest_text=longest_text, chunk=chunk)
    if not skim.is_hopeless:
        kept = json.loads(skim.kept.decode(errors="replace"))
        assert (kept["first"], kept["last"]) == (1, 2)


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_what_is_no_json_does_no_harm(data: bytes, chunk: int) -> None:
    skim = skimmed(data, room=100, longest_text=50, chunk=chunk)
    assert len(skim.kept) < 100_000


def test_a_long_text_is_cut_and_says_how_long_it_was() -> None:
    data = json.dumps({"a": "x" * 10_000, "b": 1}).encode()
    skim = skimmed(data, room=5000, longest_text=100, chunk=777)
    assert json.loads(skim.kept) == {
        "a": "x" * 100 + "\n[cut: the first part of 10000 bytes]",
        "b": 1,
    }


@pytest.mark.parametrize("longest_text", range(1, 15))
def test_a_cut_divides_no_escape(longest_text: int) -> None:
    data = b'{"a": "\\u00e9\\\\\\n\\u00e9' + b"x" * 20 + b'"}'
    kept = json.loads(skimmed(data, room=5000, longest_text=longest_text, chunk=3).kept)
    assert "é\\\né".startswith(kept["a"].partition("\n[cut")[0][:4])


@pytest.mark.parametrize(
    "item", ['"text"', "12345", '{"a": [1, "b"]}', "[[], {}]", "true", '"\\""']
)
@pytest.mark.parametrize("chunk", [7, 1000, 1 << 30])
def test_what_comes_after_a_long_list_is_kept(item: str, chunk: int) -> None:
    items = ", ".join([item] * 5_000)
    data = f'{{"message": {{"id": "m", "content": [{items}], "usage": {{"n": 7}}}}, "type": "t"}}'
    kept = json.loads(skimmed(data.encode(), room=5000, longest_text=1000, chunk=chunk).kept)
    assert kept["type"] == "t"
    assert kept["message"]["id"] == "m"
    assert kept["message"]["usage"] == {"n": 7}
    assert kept["message"]["content"][0] == json.loads(item)


def test_a_text_without_end_takes_no_memory() -> None:
    skim = Skim(1000, 100)
    skim.feed(b'{"a": "')
    for _ in range(1000):
        skim.feed(b"x" * 10_000)
    assert len(skim.kept) < 1000


def test_blanks_without_end_take_no_memory() -> None:
    skim = Skim(1000, 100)
    skim.feed(b'{"a": 1')
    for _ in range(1000):
        skim.feed(b" " * 10_000)
    skim.feed(b"}")
    assert len(skim.kept) < 2000
    assert json.loads(skim.kept) == {"a": 1}


def test_an_object_with_endless_keys_is_given_up() -> None:
    data = b"{" + b",".join(b'"key%d": 1' % n for n in range(20_000)) + b"}"
    assert skimmed(data, room=5000, longest_text=100).is_hopeless


def test_words_without_end_are_given_up() -> None:
    assert skimmed(b"warning " * 1000, room=500, longest_text=100, chunk=100).is_hopeless
