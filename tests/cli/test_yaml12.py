"""YAML means what version 1.2 says, and what is written reads as the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.cli.yaml12 import Data, Misread, Position, data, documents, position, write

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
TELLING = st.text("no y\n\t:#-'\"|>&*!%@`{}[],?~0.1eé\u2028\x85\ufeff\\", max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
VALUES: st.SearchStrategy[Data] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | TELLING,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS | TELLING, inner),
)


def read(text: str) -> Data:
    (document,) = documents(text)
    return data(document, "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0", 0),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ('!!int "12"', 12),
        ("=", "="),
    ],
)
def test_a_plain_value_means_what_the_core_schema_says(text: str, value: Data) -> None:
    assert read(f"key: {text}") == {"key": value}


def test_a_directive_does_not_bring_back_yaml_1_1() -> None:
    assert read("%YAML 1.1\n---\na: no\nb: 010\nc: 0o17\n") == {"a": "no", "b": 10, "c": 15}


def test_an_alias_stands_for_what_its_anchor_names() -> None:
    assert read("a: &x [1]\nb: *x\nc: &x 2\nd: *x\n") == {"a": [1], "b": [1], "c": 2, "d": 2}


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: [1\n", (2, 1), "expected ',' or ']'"),
        ("a: 1\n b: 2\n", (2, 3), "mapping values are not allowed here"),
        ("a: *x\n", (1, 4), "undefined alias 'x'"),
        ("a: 1\nb: \x01\n", (2, 4), r"the character '\x01', which is not allowed"),
        ("a: 1\n\tb: 2\n", (2, 1), "cannot start any token"),
    ],
)
def test_a_syntax_error_says_where_it_is(text: str, place: Position, message: str) -> None:
    with pytest.raises(Misread) as caught:
        documents(text)
    assert caught.value.position == place
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("a: 1\na: 2", "a", "is given twice, first in line 1"),
        ("a: {b: 1, b: 2}", "a.b", "is given twice, first in line 1"),
        ("a: {<<: 1}", "a.<<", "is a merge key, which YAML 1.2 does not have"),
        ("a: {[b]: 1}", "a", "must have text as keys, has a list"),
        ("a: [1, .inf]", "a[1]", "must be a finite number, is .inf"),
        ("a: 1e999", "a", "must be a finite number, is 1e999"),
        ("a: 9007199254740993", "a", "is not exact as a double: put 9007199254740993 in quotes"),
        ("a: !secret x", "a", "has the tag '!secret', which does not fit"),
        ("a: !!int x", "a", "has the tag 'tag:yaml.org,2002:int', which does not fit"),
        ("a: !!binary eA==", "a", "has the tag 'tag:yaml.org,2002:binary', which does not fit"),
    ],
)
def test_what_json_cannot_say_is_refused(text: str, field: str, message: str) -> None:
    with pytest.raises(Misread) as caught:
        read(text)
    assert (caught.value.field, caught.value.message) == (field, message)


def test_folded_text_has_nothing_but_spaces_at_its_folds() -> None:
    assert read("a: >\n  one\n  two\n\n  three\n") == {"a": "one two\nthree\n"}


def test_an_alias_inside_its_own_anchor_is_refused() -> None:
    with pytest.raises(Misread, match="must be nested at most 100 deep"):
        read("&x [*x]")


def test_a_quoted_arrow_is_an_ordinary_key() -> None:
    assert read('"<<": 1') == {"<<": 1}


def test_empty_documents_are_left_out() -> None:
    found = documents("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n")
    assert [position(document) for document in found] == [(3, 1), (7, 1)]


@given(VALUES)
def test_what_is_written_reads_as_the_same(value: Data) -> None:
    assert read(write({"key": value})) == {"key": value}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain words", "plain words"),
        ("Grüße", "Grüße"),
        ("30m", "30m"),
        ("no", "'no'"),
        ("null", "'null'"),
        ("5000", "'5000'"),
        ("1:30", "'1:30'"),
        ("2026-01-31", "'2026-01-31'"),
        ("1_000", "'1_000'"),
        ("0b11", "'0b11'"),
        ("a\tb", '"a\\tb"'),
        ("one\n  two\n", "|\n  one\n    two\n"),
        ("one\n\ntwo", "|-\n  one\n\n  two"),
        ("one \ntwo", '"one \\ntwo"'),
        ("  one\ntwo", '"  one\\ntwo"'),
        ("one\n\n", '"one\\n\\n"'),
        ("word " * 50 + "end", "word " * 50 + "end"),
    ],
)
def test_text_is_written_for_people_and_for_other_parsers(text: str, written: str) -> None:
    assert write({"key": text}).rstrip("\n") == f"key: {written}".rstrip("\n")
