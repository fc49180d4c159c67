"""
Errors that Phaseline raises: one class for each thing that a caller can do about it.

* PhaselineError
    * InvalidArgument      -> INVALID_ARGUMENT     (correct the request)
    * NotFound             -> NOT_FOUND            (look for it elsewhere, or make it)
    * AlreadyExists        -> ALREADY_EXISTS       (use what exists, or choose another id)
    * FailedPrecondition   -> FAILED_PRECONDITION  (change the state first; do not just repeat)
        * IllegalTransition                        (read the status, then choose another action)
    * OutOfRange           -> OUT_OF_RANGE         (start again from the present state)
    * ResourceExhausted    -> RESOURCE_EXHAUSTED   (wait for retry_after, or free what is used)
    * Unavailable          -> UNAVAILABLE          (repeat the call with the same request_id)
    * DeadlineExceeded     -> DEADLINE_EXCEEDED    (it may have happened: repeat, same request_id)
    * Unauthenticated      -> UNAUTHENTICATED      (get other credentials)
    * PermissionDenied     -> PERMISSION_DENIED    (ask for the right)
    * Unimplemented        -> UNIMPLEMENTED        (use a server that has it)
    * Internal             -> INTERNAL             (report it, with its request_id)

The column in the middle is documentation; wire/status.py holds the table.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar, Self

import msgspec

_NAMED_IN_A_MESSAGE = 3
#: After so long it is worth the while to try again what a server cannot do at a moment.
_SOON = timedelta(milliseconds=500)


class Reason(StrEnum):
    """
    The reasons of this version, as callers see them in ErrorInfo.

    `PhaselineError.reason` is a plain string, because a newer server may send others.
    """

    INVALID_FIELD = "INVALID_FIELD"
    MISSING_INPUT = "MISSING_INPUT"
    UNKNOWN_INPUT = "UNKNOWN_INPUT"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    PAGE_TOKEN_INVALID = "PAGE_TOKEN_INVALID"
    RESUME_TOKEN_INVALID = "RESUME_TOKEN_INVALID"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    UNKNOWN_PLACEHOLDER = "UNKNOWN_PLACEHOLDER"
    UNKNOWN_DEPENDENCY = "UNKNOWN_DEPENDENCY"
    DUPLICATE_ID = "DUPLICATE_ID"
    INVALID_SCHEMA = "INVALID_SCHEMA"

    EXECUTION_NOT_FOUND = "EXECUTION_NOT_FOUND"
    WORKFLOW_NOT_FOUND = "WORKFLOW_NOT_FOUND"
    PHASE_NOT_FOUND = "PHASE_NOT_FOUND"
    ARTIFACT_NOT_FOUND = "ARTIFACT_NOT_FOUND"
    PARENT_NOT_FOUND = "PARENT_NOT_FOUND"
    EXECUTION_ALREADY_EXISTS = "EXECUTION_ALREADY_EXISTS"

    INVALID_STATUS = "INVALID_STATUS"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    PARENT_NOT_ACTIVE = "PARENT_NOT_ACTIVE"
    LEASE_LOST = "LEASE_LOST"
    TREE_TOO_LARGE = "TREE_TOO_LARGE"
    EXECUTION_PURGED = "EXECUTION_PURGED"

    RESUME_TOKEN_EXPIRED = "RESUME_TOKEN_EXPIRED"

    RATE_LIMITED = "RATE_LIMITED"
    TOO_MANY_EXECUTIONS = "TOO_MANY_EXECUTIONS"
    TOO_MANY_WATCHES = "TOO_MANY_WATCHES"

    DRAINING = "DRAINING"
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"

    CREDENTIALS_INVALID = "CREDENTIALS_INVALID"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"


class FieldViolation(msgspec.Struct, frozen=True):
    """One thing wrong with a request: *field* is a path such as `executions[3].inputs`."""

    field: str
    description: str
    reason: str = Reason.INVALID_FIELD

    def under(self, prefix: str) -> "FieldViolation":
        """Return the same violation as seen from the message that holds *prefix*."""
        path = f"{prefix}.{self.field}" if self.field else prefix
        return FieldViolation(path, self.description, self.reason)

    def __str__(self) -> str:
        return f"{self.field} {self.description}".strip()


class PhaselineError(Exception):
    """
    What a caller is told instead of an answer. Raise one of the subclasses.

    `message` is for people. Programs switch on the class and on `reason`, and read `metadata`.
    Where waiting helps, `retry_after` says how long.
    """

    default_reason: ClassVar[str] = Reason.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        violations: Iterable[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        # str(): a member of Reason would show as such in a log.
        self.reason = str(reason or self.default_reason)
        self.violations = tuple(violations)
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.retry_after = retry_after


class InvalidArgument(PhaselineError):
    """The request can never succeed. Correct the fields that `violations` names."""

    default_reason = Reason.INVALID_FIELD

    @classmethod
    def of(
        cls,
        field: str,
        description: str,
        reason: str = Reason.INVALID_FIELD,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> Self:
        """Return the error for one field; *description* goes on from its name: "must be ..."."""
        return cls.all_of([FieldViolation(field, description, reason)], metadata=metadata)

    @classmethod
    def all_of(
        cls,
        violations: Iterable[FieldViolation],
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> Self:
        """Return the error for several violations, at least one; its reason is the first's."""
        found = tuple(violations)
        return cls(_summary(found), reason=found[0].reason, violations=found, metadata=metadata)

    def under(self, prefix: str) -> "InvalidArgument":
        """Return the same error as seen from the message that holds *prefix*."""
        moved = tuple(violation.under(prefix) for violation in self.violations)
        return InvalidArgument(
            _summary(moved) if moved else f"{prefix} {self.message}",
            reason=self.reason,
            violations=moved,
            metadata=self.metadata,
        )


class NotFound(PhaselineError):
    """There is no such thing in the caller's workspace. Check the id, or make it first."""

    def __init__(
        self,
        resource_type: str,
        resource_name: str,
        message: str = "",
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            message or f"there is no {resource_type} {resource_name!r}",
            reason=reason or f"{resource_type.upper()}_NOT_FOUND",
            metadata=metadata,
        )
        self.resource_type = resource_type
        self.resource_name = resource_name


class AlreadyExists(PhaselineError):
    """The id is taken. Use what exists, or choose another id."""

    def __init__(
        self,
        resource_type: str,
        resource_name: str,
        message: str = "",
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            message or f"{resource_type} {resource_name!r} exists already",
            reason=reason or f"{resource_type.upper()}_ALREADY_EXISTS",
            metadata=metadata,
        )
        self.resource_type = resource_type
        self.resource_name = resource_name


class FailedPrecondition(PhaselineError):
    """Things are not as the request needs them. Change what `reason` names before a repeat."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        subject: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.subject = subject  #: what is not as needed, such as an execution_id


class IllegalTransition(FailedPrecondition):
    """The lifecycle has no such move. Read the status, then choose another action."""

    def __init__(
        self,
        resource: str,
        status: str,
        trigger: str,
        *,
        subject: str = "",
        message: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.resource, self.status, self.trigger = resource, str(status), str(trigger)
        name = f"{resource} {subject!r}" if subject else resource
        told = {"resource": resource, "status": self.status, "trigger": self.trigger}
        super().__init__(
            message or f"{name} is {self.status} and cannot {self.trigger}",
            reason=Reason.INVALID_STATUS,
            subject=subject,
            # First and last: a status on the wire keeps the first entries, and ours must win.
            metadata=told | dict(metadata or {}) | told,
        )


class OutOfRange(PhaselineError):
    """What was asked for is no longer kept. Start again from the present state."""

    default_reason = Reason.RESUME_TOKEN_EXPIRED


class ResourceExhausted(PhaselineError):
    """
    A limit is reached. Wait for `retry_after` if there is one.

    Without it waiting does not help: end some of what the limit counts.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        subject: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata, retry_after=retry_after)
        self.subject = subject  #: whose limit it is, such as "workspace:default"


class Unavailable(PhaselineError):
    """It cannot be done at this moment. Repeat the call with the same request_id."""

    default_reason = Reason.STORAGE_UNAVAILABLE

    @classmethod
    def for_now(cls, message: str, reason: str = "") -> Self:
        """Return what a server says that expects to be back, or another in its place, soon."""
        return cls(message, reason=reason, retry_after=_SOON)


class DeadlineExceeded(PhaselineError):
    """No answer came in time, so it may have happened. Repeat it with the same request_id."""

    default_reason = Reason.DEADLINE_EXCEEDED


class Unauthenticated(PhaselineError):
    """The credentials are missing, wrong or expired. Get others; do not repeat with these."""

    default_reason = Reason.CREDENTIALS_INVALID


class PermissionDenied(PhaselineError):
    """The credentials are good but do not allow this. Ask whoever gave them."""

    default_reason = Reason.PERMISSION_DENIED


class Unimplemented(PhaselineError):
    """The server does not have this. Use a newer one, or one where it is switched on."""

    default_reason = Reason.UNIMPLEMENTED


class Internal(PhaselineError):
    """A defect of the server. Report it with `metadata["request_id"]`, which its log has too."""

    default_reason = Reason.INTERNAL


def _summary(violations: tuple[FieldViolation, ...]) -> str:
    """Return *violations* in one line, the first few in full."""
    parts = [str(violation) for violation in violations[:_NAMED_IN_A_MESSAGE]]
    if len(violations) > len(parts):
        parts.append(f"and {len(violations) - len(parts)} more")
    return "; ".join(parts)
