"""
With a million executions a database looks at no more than it does with ten thousand.

This is about all that is asked of it, by whatever plan. What is counted, the rows and the entries
of indexes that PostgreSQL looks at, or the steps that SQLite takes, no slow machine can change.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from sqlalchemy import Connection, text

from phaseline.app.ports import Slot
from phaseline.app.queries import (
    ExecutionFilter,
    ExecutionPage,
    ExecutionQuery,
    OperationQuery,
    Order,
)
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.domain.report import OperationReport
from phaseline.store import postgres as module
from phaseline.store.fill import fill
from phaseline.store.load import read_active
from phaseline.store.opening import open_store
from phaseline.store.working import Working
from phaseline.wire.encoder import Encoder
from tests.support import make
from tests.support.app import App, opened
from tests.support.clock import ManualClock
from tests.support.databases import Databases
from tests.support.effort import Effort, effort_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

SIZES = (10_000, 1_000_000)
#: Steps of SQLite for a list, which counts up to ten thousand of each value that it is asked for.
#: To come past a million entries of an index takes several millions.
MOST_STEPS = 600_000
#: Entries that PostgreSQL looks at for the same.
MOST_ROWS = 50_000
#: Tables that are never read from their beginning to their end.
GROWING = {"executions", "phases", "payloads", "contents", "changes", "requests"} | {
    "execution_labels",
    "execution_repos",
}

# What two processes do at the same time is counted with the one or the other.
_GROWTH, _LITTLE = 1.5, 500
# So many in a row are of every kind: some are in a batch, and some in trees.
_SOME = 1_200
# A failure has cost little. Who asks for the dearest failures waits until all that cost more and
# did not fail are passed over, and for failures with a label PostgreSQL may look at all failures.
_ALONG_ANOTHER_ORDER = (
    "list a status, cost",
    "list a status, total",
    "list statuses, cost",
    "list statuses, total",
    "list a label's failures",
)
_REQUESTS = text(
    """
    INSERT INTO requests
        (workspace_id, request_id, method, digest, answer, revision, created_at)
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
    SELECT 'default', 'request-' || i, 'Execute', :nothing, :nothing, 1, i FROM n
    """
)


def filters(old: Sequence[Execution]) -> Mapping[str, ExecutionFilter]:
    """Return a filter of each kind, by values that some of *old* have."""
    spec = old[0].spec
    child = next(one.spec for one in old if one.spec.parent_execution_id)
    batch_id = next(one.spec.batch_id for one in old if one.spec.batch_id)
    (label, *_) = spec.labels.items()
    return {
        "nothing": ExecutionFilter(),
        "a status": ExecutionFilter(statuses=(ExecutionStatus.FAILED,)),
        "a frequent status": ExecutionFilter(statuses=(ExecutionStatus.COMPLETED,)),
        "statuses": ExecutionFilter(statuses=(ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)),
        "active": ExecutionFilter(active_only=True),
        "a workflow": ExecutionFilter(workflow_ids=(old[0].workflow.workflow_id,)),
        "a responder": ExecutionFilter(responder_ids=(spec.responder_id,)),
        "a session": ExecutionFilter(session_ids=(spec.session_id,)),
        "sessions": ExecutionFilter(session_ids=(spec.session_id, old[-1].spec.session_id)),
        "a user": ExecutionFilter(user_ids=(spec.user_id,)),
        "users": ExecutionFilter(user_ids=(spec.user_id, old[-1].spec.user_id)),
        "a message": ExecutionFilter(chat_message_id=spec.chat_message_id),
        "a batch": ExecutionFilter(batch_id=batch_id),
        "a parent": ExecutionFilter(parent_execution_id=child.parent_execution_id),
        "a root": ExecutionFilter(root_execution_id=child.root_execution_id),
        "a queue": ExecutionFilter(queue_names=("bulk",)),
        "a rare queue": ExecutionFilter(queue_names=("rare",)),
        "queues": ExecutionFilter(queue_names=("bulk", "default")),
        "a repository": ExecutionFilter(repos=spec.repos[:1]),
        "repositories": ExecutionFilter(repos=(*spec.repos, *old[-1].spec.repos)),
        "a label": ExecutionFilter(labels=dict([label])),
        "labels": ExecutionFilter(labels=spec.labels),
        "a time": ExecutionFilter(created_after=spec.created_at),
        "a day": ExecutionFilter(
            created_after=spec.created_at, created_before=spec.created_at + timedelta(hours=1)
        ),
        "an id": ExecutionFilter(id_prefix=spec.execution_id[:10]),
        "a whole id": ExecutionFilter(id_prefix=spec.execution_id),
        "no id": ExecutionFilter(id_prefix="zz"),
        "a user's failures": ExecutionFilter(
            user_ids=(spec.user_id,), statuses=(ExecutionStatus.FAILED,)
        ),
        "a label's failures": ExecutionFilter(
            labels=dict([label]), statuses=(ExecutionStatus.FAILED,)
        ),
    }


class Asked:
    """What is asked of a database, each time with how much it looks at for it."""

    def __init__(self, app: App, effort: Effort) -> None:
        self._app, self._effort = app, effort
        self.spent: dict[str, Counter[str]] = {}

    async def ask(self, name: str, question: Awaitable[Any]) -> Any:
        """Return the answer to *question*."""
        await self._effort.start()
        answer = await question
        self.spent[name] = await self._effort.spent()
        return answer

    async def lists(self, old: Sequence[Execution]) -> None:
        """Ask for the first page of each filter in each order, and for the next one."""
        for name, matching in filters(old).items():
            for order in Order:
                query = ExecutionQuery("default", matching, order, 50)
                first = await self.ask(f"list {name}, {order}", self._page(query))
                if first.next is not None:
                    query = msgspec.structs.replace(query, after=first.next)
                    await self.ask(f"list {name}, {order}, next", self._page(query))

    async def reads(self, old: Sequence[Execution]) -> None:
        """Ask for all else that there is to be read."""
        reads, log, one = self._app.store.reads, self._app.store.log, old[0]
        child = next(each for each in old if each.spec.parent_execution_id)
        root = Key("default", child.spec.root_execution_id)
        page = OperationQuery(one.key, None, 50)
        await self.ask("status", reads.status(one.key))
        await self.ask("get", reads.detail(one.key, operations=50))
        await self.ask("operations", reads.operations(page))
        await self.ask("outputs", reads.outputs([Slot(one.key, 0), Slot(one.key, 1)]))
        await self.ask("artifacts", reads.artifacts(one.key, limit=50))
        await self.ask("workflows", reads.workflows("default", after="", limit=50))
        await self.ask("tree", reads.nesting("default", execution_id=root.execution_id, limit=50))
        await self.ask("tree below", reads.nesting("default", execution_id=child.key[1], limit=50))
        message = one.spec.chat_message_id
        await self.ask("message", reads.nesting("default", chat_message_id=message, limit=50))
        everything = ExecutionFilter()
        await self.ask("active", log.active_page("default", everything, after_id="", limit=50))
        await self.ask("restart", self._app.store.database.read(_read_active))
        await self.ask("snapshot", log.execution_page(root, after=-1, limit=50, full=True))
        await self.ask(
            "snapshot below", log.pages_below(root, after_id="", limit=50, operations=50, full=True)
        )
        await self.ask("settled", log.settled(root))
        await self.ask("settled below", log.settled(child.key))

    async def changes(self) -> None:
        """Ask for what has changed, at both ends of the log."""
        log = self._app.store.log
        head, trimmed = await self.ask("head", log.head()), await self.ask("trimmed", log.trimmed())
        newest = ExecutionQuery("default", ExecutionFilter(), Order.UPDATED_AT_DESC, 1)
        (last,) = (await self._app.store.reads.executions(newest)).executions
        for name, after in (("old", trimmed), ("new", head - 50)):
            until = min(after + 500, head)
            await self.ask(
                f"{name} changes of one",
                log.entries_of(last.key, descendants=True, after=after, until=until, limit=100),
            )
            await self.ask(
                f"{name} changes",
                log.folded(
                    "default",
                    ExecutionFilter(),
                    after=after,
                    until=until,
                    past=(0, ""),
                    limit=100,
                ),
            )

    async def writes(self, old: Sequence[Execution]) -> None:
        """Do what callers and workers do."""
        app = self._app
        await self.ask("apply", app.apply(2))
        named: dict[str, Any] = {"request_id": "e1", "digest": b"same"}
        for name in ("start", "start again"):
            await self.ask(name, app.start("e1", labels={"a": "b"}, repos=("r",), **named))
        for name in ("start a child", "start it again"):
            below: dict[str, Any] = {"parent_execution_id": "e1", "step_key": "s"}
            await self.ask(name, app.start(user_id=old[0].spec.user_id, **below))
        leased, other = await self.ask("lease", app.lease(2))
        report: dict[str, Any] = {
            "operations": (OperationReport("o1", "tool"),),
            "usage_by_model": make.spent(),
        }
        await self.ask("report", app.report(leased, **report))
        await self.ask("complete", app.report(leased, make.DONE))
        await self.ask("fail", app.report(other, make.broken()))
        await self.ask("time", app.passes(timedelta(hours=1)))
        await self.ask("pause", app.pause("e1"))
        await self.ask("resume", app.resume("e1"))
        await self.ask("cancel", app.cancel("e1"))
        ended = next(one for one in old if _is_alone(one, ExecutionStatus.FAILED))
        await self.ask("retry", app.retry(ended.key.execution_id))
        done = next(one for one in old if _is_alone(one, ExecutionStatus.COMPLETED))
        await self.ask("purge", app.purge(done.key.execution_id))

    async def retention(self) -> None:
        """Let go of what is old, a little of each."""
        stale, now = self._app.store.stale, self._app.clock.now()
        for name, before in (("some", timedelta(days=29)), ("much", timedelta())):
            for kind, found in (
                ("purgeable", stale.purgeable(ended_before=now - before, limit=50)),
                ("deletable", stale.deletable(ended_before=now - before, limit=50)),
                (
                    "trimmable",
                    stale.trimmable(changed_before=now - before, keep=None, limit=1000),
                ),
                ("forgettable", stale.forgettable(answered_before=now - before, limit=1000)),
            ):
                await self.ask(f"{name} {kind}", found)

    def _page(self, query: ExecutionQuery) -> Awaitable[ExecutionPage]:
        return self._app.store.reads.executions(query)


def _read_active(connection: Connection) -> Sequence[Execution]:
    return read_active(connection, Working())


def _is_alone(execution: Execution, status: ExecutionStatus) -> bool:
    return execution.status is status and not execution.spec.parent_execution_id


async def measured(url: str, clock: ManualClock) -> dict[str, Counter[str]]:
    """Return how much the database of *url* looks at for each thing that is asked of it."""
    async with opened(url, clock) as app:
        asked = Asked(app, effort_of(app.store.database))
        everything = ExecutionQuery("default", ExecutionFilter(), Order.CREATED_AT_ASC, _SOME)
        total = (await app.store.reads.executions(everything)).total_size
        middle = msgspec.structs.replace(everything, offset=total // 2)
        old = (await app.store.reads.executions(middle)).executions
        await asked.lists(old)
        await asked.reads(old)
        await asked.changes()
        await asked.writes(old)
        await asked.retention()
        if app.store.neighbours is not None:
            async with opened(url, clock) as other:
                await other.start("elsewhere")
                await asked.ask("what others did", app.store.log.head())
        return asked.spent


async def grown(url: str, executions: int, clock: ManualClock) -> None:
    """Fill the database of *url*."""
    await fill(url, executions, encoder=Encoder(), clock=clock)
    store = await open_store(url)
    try:
        values = {"count": executions // 10, "nothing": b""}
        await store.database.write(lambda connection: connection.execute(_REQUESTS, values))
    finally:
        await store.close()


async def vacuumed(url: str) -> None:
    """Do now what a PostgreSQL server does by itself a little later."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def scanned(spent: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    """Return what PostgreSQL read tables for, one row after the other, that grow."""
    return {name: counts for name, counts in spent.items() if GROWING & set(+counts)}


def grows(spent: Sequence[Mapping[str, Counter[str]]], *, most: int) -> dict[str, tuple[int, int]]:
    """Return for what more is looked at when there is more; *most* is for lists, which count."""
    small, large = spent
    found = {}
    for name, counts in large.items():
        before, after = small.get(name, Counter()).total(), counts.total()
        allowed = most if name.startswith("list") else before * _GROWTH + _LITTLE
        if after > allowed and not name.startswith(_ALONG_ANOTHER_ORDER):
            found[name] = before, after
    return found


async def test_on_sqlite(tmp_path: Path) -> None:
    spent = []
    for executions in SIZES:
        path, clock = str(tmp_path / f"{executions}.db"), ManualClock()
        await grown(path, executions, clock)
        spent.append(await measured(path, clock))
    assert grows(spent, most=MOST_STEPS) == {}


async def test_on_postgresql(postgresql: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    # What takes minutes may stand still for some seconds of them.
    patient = str(module._TAKE_TURN).replace("5000", "600000")
    monkeypatch.setattr(module, "_TAKE_TURN", text(patient))
    spent = []
    for executions in SIZES:
        url, clock = await asyncio.to_thread(postgresql.take), ManualClock()
        await grown(url, executions, clock)
        await vacuumed(url)
        spent.append(await measured(url, clock))
        await asyncio.to_thread(postgresql.remove, url)
    assert scanned(spent[-1]) == {}
    assert grows(spent, most=MOST_ROWS) == {}
