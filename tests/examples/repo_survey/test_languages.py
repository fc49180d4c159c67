"""A file's name tells its language, where any name can."""

import pytest

from phaseline.examples.repo_survey.languages import language


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("src/tool.py", "Python"),
        ("a.d/TOOL.PY", "Python"),
        ("lib/x.tar.gz", "Archive"),
        ("Dockerfile", "Dockerfile"),
        ("sub/Makefile", "Makefile"),
        ("README", "Text"),
        ("README.md", "Markdown"),
        ("go.sum", "Text"),
        ("src.py/data", "Other"),
        (".gitignore", "Other"),
        (".py", "Other"),
        ("a.unheard-of", "Other"),
        ("py", "Other"),
    ],
)
def test_a_language_is_told_by_the_name(path: str, name: str) -> None:
    assert language(path) == name
