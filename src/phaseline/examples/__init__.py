"""Workflows that run as they stand."""

import importlib.resources
from pathlib import Path

_FILE = "workflow.yaml"


def names() -> list[str]:
    """Return the workflow_ids of all examples, sorted."""
    return sorted(
        package.name.replace("_", "-")
        for package in _root().iterdir()
        if (package / _FILE).is_file()
    )


def path(name: str) -> Path:
    """Return the workflow file of the example *name*; raise `LookupError` if there is none."""
    if name not in names():
        raise LookupError(f"there is no example {name!r}, only {', '.join(names())}")
    return _root() / name.replace("-", "_") / _FILE


def _root() -> Path:
    # Always a directory: the programs of the examples are run as modules from it.
    return Path(str(importlib.resources.files(__name__)))
