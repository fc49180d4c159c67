"""Why one of many was refused, as a value that can be remembered with the others' answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PhaselineError,
    ResourceExhausted,
)

_Kind = Literal["invalid", "missing", "exists", "precondition", "exhausted"]


class Refusal(msgspec.Struct, frozen=True, tag="refused", omit_defaults=True):
    """What was wrong."""

    kind: _Kind
    message: str
    reason: str
    violations: tuple[FieldViolation, ...] = ()
    metadata: Mapping[str, str] = {}
    #: What is missing or exists already.
    resource_type: str = ""
    resource_name: str = ""
    #: What is not as needed, or whose limit is reached.
    subject: str = ""

    @classmethod
    def of(cls, error: PhaselineError) -> Refusal:
        """Return *error* as a value; raise it if it is no refusal of that one, but of all."""
        told = (error.message, error.reason, error.violations, error.metadata)
        match error:
            case InvalidArgument():
                return cls("invalid", *told)
            case NotFound():
                return cls("missing", *told, error.resource_type, error.resource_name)
            case AlreadyExists():
                return cls("exists", *told, error.resource_type, error.resource_name)
            case FailedPrecondition():
                return cls("precondition", *told, subject=error.subject)
            case ResourceExhausted():
                return cls("exhausted", *told, subject=error.subject)
            case _:
                raise error

    def error(self) -> PhaselineError:
        """Return the error that it stands for."""
        message, reason, metadata = self.message, self.reason, self.metadata
        match self.kind:
            case "invalid":
                return InvalidArgument(
                    message, reason=reason, violations=self.violations, metadata=metadata
                )
            case "missing":
                return NotFound(
                    self.resource_type,
                    self.resource_name,
                    message,
                    reason=reason,
                    metadata=metadata,
                )
            case "exists":
                return AlreadyExists(
                    self.resource_type,
                    self.resource_name,
                    message,
                    reason=reason,
                    metadata=metadata,
                )
            case "precondition":
                return FailedPrecondition(
                    message, reason=reason, subject=self.subject, metadata=metadata
                )
            case "exhausted":
                return ResourceExhausted(
                    message, reason=reason, subject=self.subject, metadata=metadata
                )
