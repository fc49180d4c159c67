"""The workflows that come with the program are listed and shown."""

import json
from pathlib import Path

from phaseline import examples
from phaseline.cli import manifest
from tests.cli.conftest import Program


def test_all_examples_are_listed(program: Program) -> None:
    ended = program("examples")
    assert [line.split()[0] for line in ended.out.splitlines()] == examples.names()
    assert ended.err == "store one: phaseline apply --example NAME\n"
    assert program("examples", "list").out == ended.out


def test_the_path_of_an_example_can_be_given_to_apply(program: Program) -> None:
    path = Path(program("examples", "path", "repo-survey").out.strip())
    assert manifest.load(path)[0].workflow_id == "repo-survey"


def test_an_example_is_shown_as_its_file(program: Program) -> None:
    assert (
        program("examples", "show", "repo-survey").out == examples.path("repo-survey").read_text()
    )


def test_an_unknown_example_is_not_found(program: Program) -> None:
    ended = program("examples", "show", "nope")
    assert ended.code == 3
    assert ended.err.startswith("error: there is no example 'nope'")


def test_examples_can_be_listed_for_programs(program: Program) -> None:
    listed = json.loads(program("examples", "-o", "json").out)["examples"]
    assert [one["name"] for one in listed] == examples.names()
    assert program("examples", "list", "-o", "yaml").out.startswith("examples:\n  - name: ")
