"""The examples are found by name, and are workflows that run as they stand."""

import importlib
import re

import pytest

from phaseline import examples
from phaseline.cli import manifest


def test_the_examples_are_known_by_name() -> None:
    assert examples.names() == ["plan-build-review", "repo-survey"]


@pytest.mark.parametrize("name", examples.names())
def test_an_example_is_a_workflow_of_its_name(name: str) -> None:
    (workflow,) = manifest.load(examples.path(name))
    assert workflow.workflow_id == name
    assert workflow.description


@pytest.mark.parametrize("name", examples.names())
def test_every_program_of_an_example_is_in_the_package(name: str) -> None:
    (workflow,) = manifest.load(examples.path(name))
    for phase in workflow.phases:
        if phase.handler == "command":
            script = phase.config.fields["script"].string_value
            (module,) = re.findall(r'exec "\$PHASELINE_PYTHON" -m ([\w.]+)', script)
            assert importlib.import_module(module).__name__ == module


def test_an_unknown_example_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        LookupError, match="there is no example 'other', only plan-build-review, repo-survey"
    ):
        examples.path("other")
