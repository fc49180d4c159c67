"""Runs git on the surveyed repository, each run told to the worker as an operation."""

import itertools
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from phaseline.examples.repo_survey.phase import PhaseFailed, given, tell_operation

_CHUNK = 64 * 1024
_SHOWN = 2048  #: bytes of git's output that the operation shows

# Whoever runs the worker may have set these to their liking; a survey is the same for everyone.
_SETTINGS = {
    "core.fsmonitor": "false",
    "diff.algorithm": "default",
    "diff.ignoreSubmodules": "none",
    "diff.relative": "false",
    "log.showRoot": "true",
    "log.showSignature": "false",
}

# A worker that was itself started by git would send us to that repository instead.
_ELSEWHERE = {
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
}


class GitFailed(PhaseFailed):
    """Git ended with an error; `said` is its own message, which may be empty."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"git {command} failed: {said or 'it does not say why'}")
        self.said = said


class Git:
    """The repository at *path*, or the one that the directory lies in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers = itertools.count(1)

    def output(self, *arguments: str) -> str:
        """Return what git prints, without the line ending; raise `GitFailed`."""
        return text(b"".join(self._chunks(arguments))).removesuffix("\n")

    def records(self, *arguments: str) -> Iterator[bytes]:
        """Yield the NUL-terminated records as git prints them; raise `GitFailed` at the end."""
        return _records(self._chunks(arguments))

    def head(self) -> str:
        """Return the hash of the commit that is checked out; raise `PhaseFailed` without one."""
        try:
            return self.output("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except GitFailed as failure:
            if failure.said:
                raise
            raise PhaseFailed(f"repository {str(self.path)!r} has no commit to survey") from None

    def _chunks(self, arguments: tuple[str, ...]) -> Iterator[bytes]:
        command = ("git", "-C", str(self.path), *arguments)
        operation = _Operation(f"git-{next(self._numbers)}", arguments[0], command)
        # Not a pipe: nobody would empty it while the output is read, and git would stand still.
        with tempfile.TemporaryFile() as errors:
            with _start(command, errors) as process:
                assert process.stdout is not None
                while chunk := process.stdout.read(_CHUNK):
                    operation.saw(chunk)
                    yield chunk
            said = _complaint(errors)
        operation.end(process.returncode, said)
        if process.returncode:
            raise GitFailed(arguments[0], said)


class _Operation:
    """What the record shows of one run of git, told when it begins and again when it ends."""

    def __init__(self, operation_id: str, subcommand: str, command: tuple[str, ...]) -> None:
        self._told: dict[str, object] = {
            "operation_id": operation_id,
            "operation_type": "tool",
            "tool_name": f"git {subcommand}",
            "timestamp": _now(),
            "input": shlex.join(command),
        }
        self._head = b""
        self._size = 0
        tell_operation(self._told)

    def saw(self, chunk: bytes) -> None:
        self._head += chunk[: _SHOWN - len(self._head)]
        self._size += len(chunk)

    def end(self, status: int, said: str) -> None:
        self._told |= {"success": status == 0, "completed_at": _now(), "output": self._output()}
        if status:
            self._told["error_message"] = said or f"exit status {status}"
        tell_operation(self._told)

    def _output(self) -> str:
        head = text(self._head).replace("\0", "\n")
        return head if self._size == len(self._head) else f"{head}\n... {self._size} bytes in all"


def surveyed() -> Git:
    """Return the repository that the input names; raise `PhaseFailed` if that is no directory."""
    name = given("repository")
    path = Path(name)
    if not path.is_absolute():
        # The working directory is the worker's, which says nothing to whoever wrote the input.
        raise PhaseFailed(f"repository must be an absolute path, not {name!r}")
    if not path.is_dir():
        raise PhaseFailed(f"there is no directory {str(path)!r} on the worker's machine")
    return Git(path)


def text(name: bytes) -> str:
    r"""Return *name* as text, a byte that is no UTF-8 as `\xff`; git does not know encodings."""
    return name.decode(errors="backslashreplace")


def _start(command: tuple[str, ...], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            # Unbuffered: what git prints slowly is seen at once, and so is the progress.
            bufsize=0,
            env=_environment(),
        )
    except FileNotFoundError:
        raise PhaseFailed("git is not installed on the worker's machine") from None


def _environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    fixed = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    return kept | fixed | _settings(int(kept.get("GIT_CONFIG_COUNT") or 0))


def _settings(already: int) -> dict[str, str]:
    """Return the variables that add our settings to those *already* there."""
    variables = {"GIT_CONFIG_COUNT": str(already + len(_SETTINGS))}
    for number, (key, value) in enumerate(_SETTINGS.items(), start=already):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _records(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\0")
        yield from complete


def _complaint(errors: IO[bytes]) -> str:
    """Return the line that says what failed; warnings stand before it, advice after it."""
    errors.seek(0)
    lines = text(errors.read(_CHUNK)).strip().splitlines()
    fatal = (line for line in lines if line.startswith(("fatal: ", "error: ")))
    return next(fatal, lines[-1] if lines else "")


def _now() -> str:
    return datetime.now(UTC).isoformat()
