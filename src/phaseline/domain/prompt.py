"""
Filling prompts, in one pass: text that is put in is data and never expanded again.

Placeholders are `$ARGUMENTS` (the task) and `{{name}}`, written without blanks. Any other text,
braces and dollars included, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: Names that every prompt may use.
BUILT_INS = frozenset({"execution_id", "workflow_id"})

_PLACEHOLDER = re.compile(r"\$ARGUMENTS|\{\{([A-Za-z0-9_-]{1,64})\}\}", re.ASCII)


def names(template: str) -> tuple[str, ...]:
    """Return the names in *template*, each once, in order of first use; not `$ARGUMENTS`."""
    found = (match[1] for match in _PLACEHOLDER.finditer(template))
    return tuple(dict.fromkeys(name for name in found if name is not None))


def fill(template: str, *, task: str, value_of: Callable[[str], str]) -> str:
    """Return *template* with each placeholder replaced by the task, or by `value_of(name)`."""

    def text(match: re.Match[str]) -> str:
        name = match[1]
        return task if name is None else value_of(name)

    return _PLACEHOLDER.sub(text, template)


def filled_size(template: str, *, task: int, size_of: Callable[[str], int]) -> int:
    """Return how many bytes `fill` would make, from those of the task and of each value."""
    size = len(template.encode())
    for match in _PLACEHOLDER.finditer(template):
        name = match[1]
        # A placeholder is ASCII: as many bytes as characters.
        size += (task if name is None else size_of(name)) - len(match[0])
    return size
