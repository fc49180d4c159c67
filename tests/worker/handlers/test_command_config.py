"""A wrong setting is told by its name."""

import pytest

from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.command_config import CommandConfig, parse_config


def test_a_program_needs_its_arguments_only() -> None:
    config = parse_config({"argv": ["make", "all"]})

    assert config == CommandConfig(argv=("make", "all"))
    assert config.output_limit_bytes == 1024 * 1024


def test_numbers_may_come_as_floats() -> None:
    config = parse_config({"script": "true", "output_limit_bytes": 1000.0, "grace_seconds": 3.0})

    assert config.output_limit_bytes == 1000
    assert config.grace_seconds == 3


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({}, "config.argv", "argv or script must be given, and not both"),
        ({"argv": ["a"], "script": "b"}, "config.argv", "and not both"),
        ({"argv": []}, "config.argv", "length >= 1"),
        ({"argv": [""]}, "config.argv[0]", "name or the path of a program"),
        ({"argv": "make all"}, "config.argv", "expected `array | null`, got `str`"),
        ({"argv": ["make", 3.0]}, "config.argv[1]", "expected `str`, got `float`"),
        ({"argv": ["a\0b"]}, "config.argv", "U+0000"),
        ({"script": ["a"]}, "config.script", "expected `str | null`, got `array`"),
        ({"script": "a", "shel": ["sh"]}, "config.shel", "config.shel is not known"),
        ({"script": "a", "shell": []}, "config.shell", "length >= 1"),
        ({"script": "a", "cwd": "here"}, "config.cwd", "absolute path"),
        ({"script": "a", "env": {"A-B": "c"}}, "config.env.A-B", "letters, digits and _"),
        ({"script": "a", "env": {"A": 3.0}}, "config.env.A", "must be a text"),
        ({"script": "a", "env": {"PHASELINE_TASK": "b"}}, "config.env.PHASELINE_TASK", "begin"),
        ({"script": "a", "output_limit_bytes": 0}, "config.output_limit_bytes", ">= 1"),
        ({"script": "a", "output_limit_bytes": 2e6}, "config.output_limit_bytes", "<= 1048576"),
        ({"script": "a", "grace_seconds": True}, "config.grace_seconds", "got `bool`"),
    ],
)
def test_what_is_wrong_is_named(config: dict[str, object], field: str, message: str) -> None:
    with pytest.raises(HandlerError) as caught:
        parse_config(config)

    assert caught.value.code == "INVALID_CONFIG"
    assert caught.value.retryable is False
    assert caught.value.details == {"field": field}
    assert message in caught.value.message
