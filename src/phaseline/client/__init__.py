"""Calls a Phaseline server from Python."""

from phaseline.client.active import ActiveChange, LiveActive
from phaseline.client.aio import Client
from phaseline.client.cursor import EventKind, WatchEvent
from phaseline.client.requests import execute_request
from phaseline.client.sync import SyncClient
from phaseline.client.watch import Watch
from phaseline.wire.status import error_of_status

__all__ = [
    "ActiveChange",
    "Client",
    "EventKind",
    "LiveActive",
    "SyncClient",
    "Watch",
    "WatchEvent",
    "error_of_status",
    "execute_request",
]
