"""Letting go of what is old: content, executions, changes and remembered requests, by policy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from phaseline.app.consequences import Changes
from phaseline.app.ports import Clock, Decision, Needs, View, Writer
from phaseline.domain.errors import Unavailable
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.domain.purge import purge

log = structlog.stdlib.get_logger(__name__)

# Of one transaction, so that none holds up those that callers wait for.
_EXECUTIONS_AT_ONCE = 50
_ROWS_AT_ONCE = 1000
_PAUSE = timedelta(minutes=1)


class Policy(msgspec.Struct, frozen=True):
    """How long things are kept; None keeps them for ever."""

    changes: timedelta = timedelta(days=7)
    #: Most rows of the change log.
    changes_count: int | None = None
    request_ids: timedelta = timedelta(days=7)
    #: Counted from the end of an execution, as in the next.
    purge_after: timedelta | None = None
    #: A tree goes as a whole. What is deleted is purged first, in the change log too.
    delete_after: timedelta | None = None


class Stale(Protocol):
    """Finds what is old enough to go, the oldest first, and at most *limit* of it at once."""

    async def purgeable(self, *, ended_before: datetime, limit: int) -> Sequence[Key]:
        """Return executions that ended so long ago and are not purged."""

    async def deletable(self, *, ended_before: datetime, limit: int) -> Sequence[Key]:
        """
        Return executions of trees that ended so long ago as a whole, those below first.

        A tree larger than *limit* comes in parts, its root with the last.
        """

    async def trimmable(self, *, changed_before: datetime, keep: int | None, limit: int) -> int:
        """
        Return up to which revision the change log can be forgotten; 0 for nothing.

        Changes before *changed_before*, and all but the newest *keep*. Fewer than *limit* rows, or
        the one commit that has more.
        """

    async def forgettable(
        self, *, answered_before: datetime, limit: int
    ) -> Sequence[tuple[str, str]]:
        """Return writes that were remembered so long ago, by workspace_id and request_id."""


class PurgeEnded(msgspec.Struct, frozen=True):
    """Purge those of some executions that ended long ago. The answer is how many that were."""

    keys: tuple[Key, ...]
    ended_before: datetime

    def needs(self) -> Needs:
        return Needs(executions=self.keys, purges=self.keys)

    def decide(self, view: View) -> Decision[int]:
        changes = Changes(view)
        purged = []
        for execution in _ended(view, self.keys, self.ended_before):
            if not execution.is_purged:
                changes.change(purge(execution, view.now))
                purged.append(execution.key)
        changed, renewed = changes.versions()
        return Decision(len(purged), executions=changed, renewals=renewed, purged=tuple(purged))


class DeleteEnded(msgspec.Struct, frozen=True):
    """Delete those of some purged executions that ended long ago. The answer is how many."""

    keys: tuple[Key, ...]
    ended_before: datetime

    def needs(self) -> Needs:
        return Needs(executions=self.keys)

    def decide(self, view: View) -> Decision[int]:
        ended = _ended(view, self.keys, self.ended_before)
        deleted = tuple(execution.key for execution in ended if execution.is_purged)
        return Decision(len(deleted), deleted=deleted)


class Forget(msgspec.Struct, frozen=True):
    """Forget changes up to a revision, or remembered requests. The answer is how many requests."""

    trimmed_to: int = 0
    requests: tuple[tuple[str, str], ...] = ()

    def needs(self) -> Needs:
        return Needs()

    def decide(self, view: View) -> Decision[int]:
        return Decision(len(self.requests), trimmed_to=self.trimmed_to, forgotten=self.requests)


class Retention:
    """Lets go of what is old, in small transactions."""

    def __init__(self, writer: Writer, stale: Stale, policy: Policy, *, clock: Clock) -> None:
        self._writer, self._stale, self._policy, self._clock = writer, stale, policy, clock

    async def run(self) -> None:
        """Sweep now and then until cancelled. A store that is away is tried again."""
        while True:
            try:
                await self.sweep()
            except Unavailable:
                log.warning("retention waits", why="the store is away")
            except Exception:
                log.exception("retention broke")
            await asyncio.sleep(_PAUSE.total_seconds())

    async def sweep(self) -> None:
        """Let go of all that is old by now."""
        await self._repeat(self._purge)
        await self._repeat(self._delete)
        await self._repeat(self._trim)
        await self._repeat(self._forget)

    async def _repeat(self, step: Callable[[], Awaitable[bool]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if not await step():
                return
            # As long as it took: callers have the writer for at least half of the time.
            await asyncio.sleep(loop.time() - began)

    async def _purge(self) -> bool:
        ages = (self._policy.purge_after, self._policy.delete_after)
        age = min((age for age in ages if age is not None), default=None)
        if age is None:
            return False
        before = self._clock.now() - age
        keys = await self._stale.purgeable(ended_before=before, limit=_EXECUTIONS_AT_ONCE)
        return bool(keys) and await self._post(PurgeEnded(tuple(keys), before))

    async def _delete(self) -> bool:
        if self._policy.delete_after is None:
            return False
        before = self._clock.now() - self._policy.delete_after
        keys = await self._stale.deletable(ended_before=before, limit=_EXECUTIONS_AT_ONCE)
        return bool(keys) and await self._post(DeleteEnded(tuple(keys), before))

    async def _trim(self) -> bool:
        revision = await self._stale.trimmable(
            changed_before=self._clock.now() - self._policy.changes,
            keep=self._policy.changes_count,
            limit=_ROWS_AT_ONCE,
        )
        if not revision:
            return False
        await self._writer.post(Forget(trimmed_to=revision))
        return True

    async def _forget(self) -> bool:
        before = self._clock.now() - self._policy.request_ids
        names = await self._stale.forgettable(answered_before=before, limit=_ROWS_AT_ONCE)
        return bool(names) and await self._post(Forget(requests=tuple(names)))

    async def _post(self, command: PurgeEnded | DeleteEnded | Forget) -> bool:
        """Return whether *command* did something; if not, asking again would not help."""
        return bool((await self._writer.post(command)).answer)


def _ended(view: View, keys: tuple[Key, ...], before: datetime) -> list[Execution]:
    """Return those of *keys* that are there and ended before, which a Retry may have undone."""
    found = map(view.execution, keys)
    return [
        execution
        for execution in found
        if execution is not None
        and execution.done
        and execution.completed_at is not None
        and execution.completed_at < before
    ]
