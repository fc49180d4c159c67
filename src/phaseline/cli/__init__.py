"""The command line."""

from __future__ import annotations

import sys

# Not from typing: an interrupt during an import up here could not be caught.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130  #: as `ExitCode` has it, which is not imported yet


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while the rest is still being imported
        code = _INTERRUPTED
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command that *arguments* say; return its exit code."""
    from phaseline.cli.program import run

    return run(arguments)
