"""The private directory in which the program of a phase runs, and what it finds there."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from phaseline.worker.context import Context
from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.capture import Capture
from phaseline.worker.handlers.session import is_orphan, signed
from phaseline.worker.limits import ARTIFACTS, OUTCOME_BYTES, PAYLOAD_BYTES

#: What a program gets from the environment of the worker, besides variables that begin with LC_.
#: The rest stays here: it may hold the worker's own secrets.
PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")

# Linux takes 128 KiB for one variable, and a quarter of the stack for all together.
_VARIABLE_BYTES = 32 * 1024
_VARIABLES_BYTES = 512 * 1024

_CHUNK = 1024 * 1024

_PREFIX = "phaseline-"


class Collected(msgspec.Struct, frozen=True):
    """What a program has left behind."""

    #: None if it wrote no output file.
    output: Capture | None
    #: Names and contents.
    artifacts: tuple[tuple[str, bytes], ...]


class WorkDir:
    """
    A directory for one attempt. Nothing is there before `create`.

    The program runs in `work`; beside that are the files that it is told of by its environment.
    To make one blocks, as do `create`, `collect` and `remove`: they belong into a thread.
    """

    def __init__(self, parent: Path) -> None:
        # Signed, so that it can be told whether its worker lives.
        self._root = parent / f"{_PREFIX}{signed(secrets.token_hex(8))}"
        self.work = self._root / "work"
        self.script = self._root / "script"
        self.report_file = self._root / "report.jsonl"
        self._inputs = self._root / "inputs"
        self._outputs = self._root / "outputs"
        self._artifacts = self._root / "artifacts"
        self.prompt_file = self._root / "prompt.txt"
        self.task_file = self._root / "task.txt"
        self._output = self._root / "output"

    def create(self, context: Context, script: str | None) -> None:
        """Make it, for nobody else to see, and write what the program is given."""
        self._root.mkdir(mode=0o700)
        for directory in (self.work, self._inputs, self._outputs, self._artifacts):
            directory.mkdir()
        self.report_file.touch()
        self.prompt_file.write_bytes(context.prompt.encode())
        self.task_file.write_bytes(context.task.encode())
        if script is not None:
            self.script.write_bytes(script.encode())
        for name, value in context.inputs.items():
            _inside(self._inputs, name).write_bytes(value.encode())
        for name, output in context.outputs.items():
            data = output.uri.encode() if output.data is None else output.data
            _inside(self._outputs, name).write_bytes(data)

    def variables(self, context: Context) -> dict[str, str]:
        """Return the variables that tell the program of its phase."""
        return {
            "PHASELINE_EXECUTION_ID": context.execution_id,
            "PHASELINE_WORKFLOW_ID": context.workflow_id,
            "PHASELINE_PHASE_ID": context.phase_id,
            "PHASELINE_ATTEMPT": str(context.attempt),
            "PHASELINE_PYTHON": sys.executable,
            "PHASELINE_WORK_DIR": str(self.work),
            "PHASELINE_PROMPT_FILE": str(self.prompt_file),
            "PHASELINE_TASK_FILE": str(self.task_file),
            "PHASELINE_INPUTS_DIR": str(self._inputs),
            "PHASELINE_OUTPUTS_DIR": str(self._outputs),
            "PHASELINE_OUTPUT_FILE": str(self._output),
            "PHASELINE_ARTIFACTS_DIR": str(self._artifacts),
            "PHASELINE_REPORT_FILE": str(self.report_file),
            **_fitting({"PHASELINE_TASK": context.task}),
            **_fitting(_input_variables(context.inputs)),
        }

    def collect(self) -> Collected:
        """Read what the program has left. Raises `HandlerError` for more than can be kept."""
        found = tuple(_read_artifacts(self._artifacts))
        return Collected(_read(self._output), found)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self._root, ignore_errors=True)


def default_parent() -> Path:
    """Return where the directories are, unless a handler is told otherwise."""
    return Path(tempfile.gettempdir())


def remove_orphans(parent: Path) -> None:
    """Remove the directories in *parent* of this user's workers that were killed. Blocks."""
    for path in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            is_own = path.lstat().st_uid == os.getuid()
            if is_own and is_orphan(path.name.removeprefix(_PREFIX)):
                shutil.rmtree(path, ignore_errors=True)


def passed_on(names: Sequence[str]) -> dict[str, str]:
    """Return what a program gets of the worker's own environment: *names*, and the harmless."""
    wanted = {*PASSED_ON, *names}
    return {
        name: value
        for name, value in os.environ.items()
        if name in wanted or name.startswith("LC_")
    } | ({} if "PATH" in os.environ else {"PATH": os.defpath})


def variable_of(name: str) -> str:
    """Return the variable that holds the input *name*."""
    letters = (letter if letter.isascii() and letter.isalnum() else "_" for letter in name.upper())
    return "PHASELINE_INPUT_" + "".join(letters)


def _input_variables(inputs: Mapping[str, str]) -> dict[str, str]:
    taken = Counter(variable_of(name) for name in inputs)
    # Of two inputs for one variable none gets it: better a missing value than the wrong one.
    return {
        variable_of(name): value for name, value in inputs.items() if taken[variable_of(name)] == 1
    }


def _fitting(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those that an environment can hold, the small ones first; the files have them all."""
    kept, room = {}, _VARIABLES_BYTES
    for name, value in sorted(variables.items(), key=lambda item: len(item[1])):
        size = len(value.encode())
        if size <= min(_VARIABLE_BYTES, room) and "\0" not in value:
            kept[name] = value
            room -= size
    return kept


def _inside(directory: Path, name: str) -> Path:
    """Return the path of the file *name*, which must be a name and no path."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise HandlerError(f"{name!r} cannot be the name of a file", code="INVALID_NAME")
    return directory / name


def _read(path: Path) -> Capture | None:
    if not path.is_file():
        return None
    capture = Capture(head=PAYLOAD_BYTES, tail=PAYLOAD_BYTES)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            capture.write(chunk)
    return capture


def _read_artifacts(directory: Path) -> Iterator[tuple[str, bytes]]:
    paths = sorted(path for path in directory.rglob("*") if _is_regular(path))
    if len(paths) > ARTIFACTS:
        raise HandlerError(
            f"there are {len(paths)} artifacts, and {ARTIFACTS} can be kept",
            code="TOO_MANY_ARTIFACTS",
            retryable=False,
        )
    room = OUTCOME_BYTES
    for path in paths:
        name, size = path.relative_to(directory).as_posix(), path.stat().st_size
        room -= size
        if size > PAYLOAD_BYTES or room < 0:
            limit = PAYLOAD_BYTES if size > PAYLOAD_BYTES else OUTCOME_BYTES
            what = f"has {size} bytes" if size > PAYLOAD_BYTES else "is one too many in bytes"
            raise HandlerError(
                f"artifact {name!r} {what}, and {limit} can be kept",
                code="ARTIFACT_TOO_LARGE",
                retryable=False,
            )
        yield name, path.read_bytes()


def _is_regular(path: Path) -> bool:
    # Not what a link leads to: that may be any file of the machine.
    return path.is_file() and not path.is_symlink()
