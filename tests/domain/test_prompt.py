"""Prompts are filled in one pass: what is put in is data, whatever it looks like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.domain.prompt import fill, filled_size, names


def _filled(template: str, task: str = "TASK", **values: str) -> str:
    return fill(template, task=task, value_of=lambda name: values.get(name.replace("-", "_"), "?"))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("no placeholder", "no placeholder"),
        ("$ARGUMENTS", "TASK"),
        ("do $ARGUMENTS now", "do TASK now"),
        ("$ARGUMENTS$ARGUMENTS", "TASKTASK"),
        ("$ARGUMENTS_2", "TASK_2"),
        ("{{a}}", "1"),
        ("{{a}}{{b-c}}", "12"),
        ("x{{a}}y", "x1y"),
        ("{{{a}}}", "{1}"),
        ("{{{{a}}}}", "{{1}}"),
        ("{{a}}}", "1}"),
    ],
)
def test_placeholders_are_replaced(template: str, text: str) -> None:
    assert _filled(template, a="1", b_c="2") == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ a }}",
        "{{a }}",
        "{a}",
        "{{}}",
        "{{a",
        "a}}",
        "{{a.b}}",
        "{{a b}}",
        "{{a\n}}",
        "{{ä}}",
        "{{" + "a" * 65 + "}}",
        "$arguments",
        "$ARGUMENT",
        "\\${x}",
        "\\1 \\g<0>",
        "$$",
    ],
)
def test_anything_else_stays_as_it_is(template: str) -> None:
    assert _filled(template, a="1") == template


@pytest.mark.parametrize(
    "text",
    ["{{b_c}}", "{{a}}", "$ARGUMENTS", "{{", "}}", "\\g<0>", "\\1", "$1", "{{a}}$ARGUMENTS{{a}}"],
)
def test_text_that_is_put_in_is_never_expanded(text: str) -> None:
    assert _filled("<{{a}}|$ARGUMENTS|{{b_c}}>", task=text, a=text, b_c="2") == f"<{text}|{text}|2>"


def test_text_that_is_put_in_never_makes_a_placeholder_with_what_is_beside_it() -> None:
    assert _filled("{{{a}}b_c}}", a="{", b_c="2") == "{{b_c}}"
    assert _filled("{{a}}ARGUMENTS", a="$") == "$ARGUMENTS"
    assert _filled("{{a}}{{a}}b_c}}", a="{", b_c="2") == "{{b_c}}"


def test_names_are_told_once_in_the_order_of_their_first_use() -> None:
    assert names("{{b}} $ARGUMENTS {{a}} {{b}} {{ c }}") == ("b", "a")
    assert names("") == ()


@given(st.text(), st.text(), st.text())
def test_around_and_inside_of_a_placeholder_nothing_is_lost(
    before: str, value: str, behind: str
) -> None:
    before, behind = before.replace("{", "").replace("$", ""), behind.replace("}", "")
    behind = behind.replace("{", "").replace("$", "")
    assert _filled(before + "{{a}}" + behind, a=value) == before + value + behind


@given(st.text(alphabet="{}a$ARGUMENTS-_ \\"))
def test_every_name_that_is_asked_for_was_announced(template: str) -> None:
    asked = set()

    def value_of(name: str) -> str:
        asked.add(name)
        return ""

    fill(template, task="", value_of=value_of)
    assert asked == set(names(template))


@given(st.text(alphabet="{}ab-$ARGUMENTSä"), st.text(), st.text())
def test_the_size_is_known_before_it_is_filled(template: str, task: str, value: str) -> None:
    size = filled_size(template, task=len(task.encode()), size_of=lambda _: len(value.encode()))
    assert size == len(fill(template, task=task, value_of=lambda _: value).encode())
