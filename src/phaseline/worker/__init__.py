"""Runs the phases that a Phaseline server leases."""

from phaseline.worker.assignment import Assignment
from phaseline.worker.context import Context, StopReason
from phaseline.worker.failures import AttemptStopped, HandlerError
from phaseline.worker.operation import Operation
from phaseline.worker.registry import Registry, default_registry, handler
from phaseline.worker.runner import Runner, RunnerOptions
from phaseline.worker.source import GrpcSource, Source
from phaseline.worker.standalone import run, work

__all__ = [
    "Assignment",
    "AttemptStopped",
    "Context",
    "GrpcSource",
    "HandlerError",
    "Operation",
    "Registry",
    "Runner",
    "RunnerOptions",
    "Source",
    "StopReason",
    "default_registry",
    "handler",
    "run",
    "work",
]
