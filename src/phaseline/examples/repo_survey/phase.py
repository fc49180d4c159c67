"""What the program of a phase gets from its worker, and what it gives back."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")


class PhaseFailed(Exception):
    """The phase cannot be done; the message tells people why."""


def run(work: Callable[[], str]) -> None:
    """Run *work* and hand over what it returns as the output of the phase."""
    try:
        output = work()
    except PhaseFailed as failure:
        sys.exit(str(failure))
    _path("PHASELINE_OUTPUT_FILE").write_text(output, encoding="utf-8")


def given(name: str) -> str:
    """Return the input *name* of the execution."""
    return (_path("PHASELINE_INPUTS_DIR") / name).read_text(encoding="utf-8")


def output_of(phase_id: str) -> str:
    """Return the output of the earlier phase *phase_id*."""
    return (_path("PHASELINE_OUTPUTS_DIR") / phase_id).read_text(encoding="utf-8")


def keep(name: str, text: str) -> None:
    """Leave *text* behind as the artifact *name*."""
    (_path("PHASELINE_ARTIFACTS_DIR") / name).write_text(text, encoding="utf-8")


def tell_operation(operation: Mapping[str, object]) -> None:
    """Have *operation* recorded, or replaced if its `operation_id` was told before."""
    _tell({"operation": operation})


def tell_progress(percent: int, message: str) -> None:
    """Have it shown how far the phase is, *percent* being 0 to 100."""
    _tell({"progress": {"percent": percent, "message": message}})


def following(items: Iterable[_T], total: int, message: str) -> Iterator[_T]:
    """Yield *items*, of which *total* are expected, and have it shown how many are through."""
    shown = 0
    for done, item in enumerate(items, start=1):
        yield item
        # Once for each percent: a million items are no million reports.
        if (percent := done * 100 // total) > shown:
            shown = percent
            tell_progress(percent, message)


def _tell(news: Mapping[str, object]) -> None:
    line = json.dumps(news) + "\n"
    # One write to the end of the file: the worker never reads half a line.
    with _path("PHASELINE_REPORT_FILE").open("ab", buffering=0) as report:
        report.write(line.encode())


def _path(variable: str) -> Path:
    return Path(os.environ[variable])
