"""Giving phases to workers: the reference that a lease token holds, and the command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property

import msgspec
from msgspec.structs import replace

from phaseline.app.consequences import Changes
from phaseline.app.ports import Decision, Needs, Slot, View
from phaseline.app.tokens import Signer, digest_of
from phaseline.domain import work
from phaseline.domain.errors import InvalidArgument, Reason
from phaseline.domain.execution import Execution, Lease
from phaseline.domain.ids import Key
from phaseline.domain.report import LeaseRequest
from phaseline.domain.timing import lease_end

# How long a repeated poll waits does not make it another request.
_NO_WAIT = timedelta()


class LeaseRef(msgspec.Struct, frozen=True, array_like=True):
    """What a lease_token says: which lease of which phase."""

    slot: Slot
    epoch: int

    def is_live(self, execution: Execution, now: datetime) -> bool:
        """Whether the lease, of a phase of *execution*, still holds at *now*."""
        if self.slot.position >= len(execution.phases):
            return False
        lease = execution.phases[self.slot.position].lease
        return lease is not None and lease.epoch == self.epoch and lease_end(lease) > now


class LeaseTokens:
    """Writes and reads lease tokens."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def write(self, slot: Slot, epoch: int) -> str:
        """Return the token of a lease."""
        return self._signer.sign(("L", *slot.key, slot.position, epoch))

    def read(self, token: str, workspace_id: str) -> LeaseRef | None:
        """Return the lease of *token*; None if it is no token of a lease in the workspace."""
        try:
            mark, *key, position, epoch = self._signer.read(token, tuple[str, str, str, int, int])
        except ValueError:
            return None
        if mark != "L" or key[0] != workspace_id:
            return None
        return LeaseRef(Slot(Key(str(key[0]), str(key[1])), position), epoch)


class Granted(msgspec.Struct, frozen=True):
    """One leased phase."""

    slot: Slot
    execution: Execution
    #: Of its budget or one above it; None for no limit.
    budget_left_nanos: int | None = None
    #: False for a repeat, which changed nothing.
    is_new: bool = True

    def committed(self, revision: int) -> Granted:
        """Return the same as the commit of *revision* left it."""
        if not self.is_new:
            return self
        phase = replace(self.execution.phases[self.slot.position], revision=revision)
        execution = replace(self.execution.with_phase(self.slot.position, phase), revision=revision)
        return replace(self, execution=execution)

    @property
    def lease(self) -> Lease:
        lease = self.execution.phases[self.slot.position].lease
        assert lease is not None, "a granted phase is leased"
        return lease


class LeasePhases(msgspec.Struct, frozen=True, dict=True):
    """Lease phases that can run; a repeat of the request gets what it leased before."""

    workspace_id: str
    request: LeaseRequest
    #: Most phases leased at the same time, by queue_name.
    queue_concurrency: Mapping[str, int] = {}

    @cached_property
    def digest(self) -> str:
        """What tells a repeat of the request from another one with its request_id."""
        return digest_of(replace(self.request, wait=_NO_WAIT)).hex()

    def decide(self, view: View) -> Decision[tuple[Granted, ...]] | None:
        changes = Changes(view)
        again = self._leased_before(view, changes)
        if again:
            return Decision(again)
        slots: list[Slot] = []
        for slot in self._leasable(view):
            execution = changes.execution(slot.key)
            assert execution is not None, "what is ready exists"
            leased = work.lease(execution, slot.position, self.request, self.digest, view.now)
            changes.change(leased)
            slots.append(slot)
            if len(slots) == self.request.max_phases:
                break
        if not slots:
            return None
        changed, renewed = changes.versions()
        return Decision(
            tuple(_granted(changes, slot) for slot in slots),
            executions=changed,
            renewals=renewed,
        )

    def _leasable(self, view: View) -> Iterator[Slot]:
        """Yield phases that may be leased, as long as their queues have room."""
        if not any(name in self.queue_concurrency for name in self.request.queue_names):
            yield from view.ready(self.workspace_id, self.request)
            return
        leased, taken = set[Slot](), Counter[str]()
        names = self._with_room(view, taken)
        while names:
            for slot in view.ready(self.workspace_id, replace(self.request, queue_names=names)):
                if slot in leased:
                    continue
                yield slot
                leased.add(slot)
                taken[_queue_of(view, slot)] += 1
                if names != self._with_room(view, taken):
                    # Asked again without the queue that is full now, or all that waits in it would
                    # be looked at for nothing.
                    break
            else:
                return
            names = self._with_room(view, taken)

    def _with_room(self, view: View, taken: Counter[str]) -> tuple[str, ...]:
        """Return the queues from which more phases can be leased."""
        return tuple(
            name for name in self.request.queue_names if self._has_room(view, name, taken[name])
        )

    def _has_room(self, view: View, queue_name: str, taken: int) -> bool:
        most = self.queue_concurrency.get(queue_name)
        return most is None or view.leased_count(self.workspace_id, queue_name) + taken < most

    def _leased_before(self, view: View, changes: Changes) -> tuple[Granted, ...]:
        """Return the live leases that an earlier call with the same request_id made."""
        granted = []
        for slot in view.leased(self.workspace_id, self.request):
            execution = view.execution(slot.key)
            lease = execution.phases[slot.position].lease if execution else None
            if lease is None or lease_end(lease) <= view.now:
                continue
            if lease.request_digest != self.digest:
                raise InvalidArgument.of(
                    "request_id", "was used for another request", Reason.REQUEST_ID_REUSED
                )
            granted.append(_granted(changes, slot, is_new=False))
        return tuple(granted)


class LeaseMore(msgspec.Struct, frozen=True):
    """Lease phases that can run now, if there are any, and do not wait."""

    phases: LeasePhases

    def needs(self) -> Needs:
        return Needs()

    def decide(self, view: View) -> Decision[tuple[Granted, ...]]:
        return self.phases.decide(view) or Decision(())


def _granted(changes: Changes, slot: Slot, *, is_new: bool = True) -> Granted:
    execution = changes.execution(slot.key)
    assert execution is not None, "what is leased exists"
    return Granted(slot, execution, changes.budget_left(execution), is_new)


def _queue_of(view: View, slot: Slot) -> str:
    execution = view.execution(slot.key)
    assert execution is not None, "what is ready exists"
    return execution.spec.queue_name
