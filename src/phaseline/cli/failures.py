"""What a failed command says, and the code it exits with."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from phaseline.domain import errors


class ExitCode(IntEnum):
    """How a command ended, for scripts."""

    OK = 0
    NOT_COMPLETED = 1
    USAGE = 2
    NOT_FOUND = 3
    PRECONDITION = 4
    UNAVAILABLE = 5
    CREDENTIALS = 6
    OTHER = 7
    INTERRUPTED = 130
    #: Nobody reads what it prints any more: as the shell tells of one that SIGPIPE ended.
    CUT_OFF = 141


EXIT_CODES = (
    "Exit codes: 0 done; 1 the execution that was watched failed or was cancelled; 2 wrong usage "
    "or argument; 3 not found; 4 not possible as things are; 5 unavailable or over a limit, try "
    "again later; 6 credentials; 7 anything else; 130 interrupted; 141 the output was not "
    "read to its end."
)


class Refused(Exception):
    """The command cannot be carried out, as *message* says; *hint* tells what to do about it."""

    def __init__(self, message: str, *, hint: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


_CODES: tuple[tuple[type[errors.PhaselineError], ExitCode], ...] = (
    (errors.InvalidArgument, ExitCode.USAGE),
    (errors.NotFound, ExitCode.NOT_FOUND),
    (errors.AlreadyExists, ExitCode.PRECONDITION),
    (errors.FailedPrecondition, ExitCode.PRECONDITION),
    (errors.OutOfRange, ExitCode.PRECONDITION),
    (errors.ResourceExhausted, ExitCode.UNAVAILABLE),
    (errors.Unavailable, ExitCode.UNAVAILABLE),
    (errors.DeadlineExceeded, ExitCode.UNAVAILABLE),
    (errors.Unauthenticated, ExitCode.CREDENTIALS),
    (errors.PermissionDenied, ExitCode.CREDENTIALS),
)

#: The reason of an `Unavailable` that gRPC, not a server, gave.
_NO_CONNECTION = "UNAVAILABLE"

_HINTS = {
    errors.Reason.WORKFLOW_NOT_FOUND: "`phaseline workflows` lists those there are",
    errors.Reason.EXECUTION_NOT_FOUND: "`phaseline list` shows the executions there are",
    errors.Reason.ARTIFACT_NOT_FOUND: "`phaseline artifact list EXECUTION` shows those there are",
    errors.Reason.MISSING_INPUT: "give each with --input NAME=VALUE",
    errors.Reason.UNKNOWN_INPUT: "`phaseline workflows get WORKFLOW` shows the inputs it takes",
    errors.Reason.EXECUTION_ALREADY_EXISTS: "leave out --execution-id, or choose another",
    errors.Reason.REQUEST_ID_REUSED: "repeat the very same command, or choose another --request-id",
    errors.Reason.BUDGET_EXCEEDED: "raise it: `phaseline retry EXECUTION --budget DOLLARS`",
    errors.Reason.CREDENTIALS_INVALID: "give a token with --token or PHASELINE_TOKEN",
    errors.Reason.PAGE_TOKEN_INVALID: "give the filters and the order of the page before as well",
    errors.Reason.TOO_MANY_EXECUTIONS: "wait until some have ended, or cancel some",
    errors.Reason.STORAGE_UNAVAILABLE: "the database is away; it heals by itself once that is back",
    errors.Reason.DRAINING: "the server is shutting down: try again in a moment",
}


def code_of(error: Exception) -> ExitCode:
    """Return the exit code for *error*."""
    if isinstance(error, Refused):
        return error.code
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.OTHER


def lines_of(error: Exception, *, server: str) -> Iterator[str]:
    """Yield what stderr gets: the error, each field that is wrong, and a hint if there is one."""
    if isinstance(error, Refused):
        yield f"error: {error.message}"
        hint = error.hint
    elif isinstance(error, errors.PhaselineError):
        yield from _told(error, server)
        hint = _hint(error, server)
    else:
        yield f"error: {_of_the_system(error)}"
        hint = ""
    if hint:
        yield f"hint: {hint}"


def _told(error: errors.PhaselineError, server: str) -> Iterator[str]:
    violations = error.violations
    if error.reason == _NO_CONNECTION:
        # gRPC tells each address and each layer; the cause comes last.
        yield f"error: cannot reach {server}: {_cause(error.message)}"
    elif len(violations) < 2:
        yield f"error: {error.message}"
    else:
        yield f"error: {len(violations)} fields are wrong"
        yield from (f"  {violation.field}: {violation.description}" for violation in violations)
    if isinstance(error, errors.Internal) and (request_id := error.metadata.get("request_id")):
        yield f"  request_id: {request_id}"


def _cause(message: str) -> str:
    cause = message.rpartition(": ")[2]
    # What opened a bracket that ends here came before it.
    return cause.removesuffix("]") if cause.count("]") > cause.count("[") else cause


def _of_the_system(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror[:1].lower() + error.strerror[1:]
        return f"{error.filename}: {text}" if error.filename else text
    return str(error)


def _hint(error: errors.PhaselineError, server: str) -> str:
    if error.reason == _NO_CONNECTION:
        return f"is a server running on {server}? start one with `phaseline dev`"
    if error.reason in _HINTS:
        return _HINTS[errors.Reason(error.reason)]
    if error.retry_after is not None:
        return f"try again in {max(1, round(error.retry_after.total_seconds()))} s"
    return ""
