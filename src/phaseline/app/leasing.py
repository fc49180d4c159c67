"""Giving phases to workers: the reference that a lease token holds, and the command."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from phaseline.app.consequences import Changes
from phaseline.app.ports import Decision, Needs, Slot, View
from phaseline.app.tokens import Signer, digest_of
from phaseline.domain import work
from phaseline.domain.errors import InvalidArgument, Reason
from phaseline.domain.execution import Execution, Lease
from phaseline.domain.ids import Key
from phaseline.domain.report import LeaseRequest

# How long a repeated poll waits does not make it another request.
_NO_WAIT = timedelta()


class LeaseRef(msgspec.Struct, frozen=True, array_like=True):
    """What a lease_token says: which lease of which phase."""

    slot: Slot
    epoch: int

    def is_live(self, execution: Execution, now: datetime) -> bool:
        """Whether the lease still holds at *now*."""
        lease = execution.phases[self.slot.position].lease
        return lease is not None and lease.epoch == self.epoch and lease.expires_at > now


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
    #: As the commit left it that made the lease.
    execution: Execution

    @property
    def lease(self) -> Lease:
        lease = self.execution.phases[self.slot.position].lease
        assert lease is not None, "a granted phase is leased"
        return lease


class LeasePhases(msgspec.Struct, frozen=True):
    """Lease phases that can run; a repeat of the request gets what it leased before."""

    workspace_id: str
    request: LeaseRequest

    def decide(self, view: View) -> Decision[tuple[Granted, ...]] | None:
        digest = digest_of(msgspec.structs.replace(self.request, wait=_NO_WAIT)).hex()
        again = self._leased_before(view, digest)
        if again:
            return Decision(again)
        changes = Changes(view)
        slots: list[Slot] = []
        for slot in view.ready(self.workspace_id, self.request):
            execution = changes.execution(slot.key)
            assert execution is not None, "what is ready exists"
            changes.change(work.lease(execution, slot.position, self.request, digest, view.now))
            slots.append(slot)
            if len(slots) == self.request.max_phases:
                break
        if not slots:
            return None
        changed, renewed = changes.versions()
        return Decision(
            _granted(slots, {execution.key: execution for execution in changed}),
            executions=changed,
            renewals=renewed,
        )

    def _leased_before(self, view: View, digest: str) -> tuple[Granted, ...]:
        """Return the live leases that an earlier call with the same request_id made."""
        granted = []
        for slot in view.leased(self.workspace_id, self.request):
            execution = view.execution(slot.key)
            lease = execution.phases[slot.position].lease if execution else None
            if execution is None or lease is None or lease.expires_at <= view.now:
                continue
            if lease.request_digest != digest:
                raise InvalidArgument.of(
                    "request_id", "was used for another request", Reason.REQUEST_ID_REUSED
                )
            granted.append(Granted(slot, execution))
        return tuple(granted)


class LeaseMore(msgspec.Struct, frozen=True):
    """Lease phases that can run now, if there are any: the `next` of a report."""

    phases: LeasePhases

    def needs(self) -> Needs:
        return Needs()

    def decide(self, view: View) -> Decision[tuple[Granted, ...]]:
        return self.phases.decide(view) or Decision(())


def _granted(slots: list[Slot], executions: dict[Key, Execution]) -> tuple[Granted, ...]:
    return tuple(Granted(slot, executions[slot.key]) for slot in slots)
