"""The command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command that *arguments* say; return its exit code."""
    from phaseline.cli.program import run

    return run(arguments)
