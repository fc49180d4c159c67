"""A database of dicts that is stale on purpose."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from phaseline.app.changes import ActivePage, Commit, Entry, Folded, Part, Resource, TreePage
from phaseline.app.ports import Slot
from phaseline.app.queries import ExecutionFilter, OperationPage, OperationQuery
from phaseline.domain.execution import Content, Execution, ExecutionSpec, Operation, Phase
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import TERMINAL, ExecutionStatus
from phaseline.domain.payload import Payload
from phaseline.domain.report import OperationReport
from phaseline.domain.workflow import PhaseSpec, Workflow, WorkflowSpec
from phaseline.v1 import execution_pb2
from phaseline.watch.ports import Clock
from phaseline.watch.scope import Scope
from phaseline.wire.encoder import Encoder
from tests.support.clock import ManualClock
from tests.support.guarantees import Id, Version

WORKSPACE = "default"
SECOND = timedelta(seconds=1)

#: Specs of those below "a", and below "b" that is below "a".
UNDER_A = {"ancestor_execution_ids": ("a",)}
UNDER_B = {"ancestor_execution_ids": ("a", "b")}

_S = ExecutionStatus
RUNNING, PAUSED = _S.RUNNING, _S.PAUSED
COMPLETED, FAILED, PENDING = _S.COMPLETED, _S.FAILED, _S.PENDING


@dataclass(frozen=True)
class Change:
    """What a commit does to one execution; it is started if it does not exist."""

    execution_id: str
    status: ExecutionStatus | None = None
    #: Positions of the phases that change.
    phases: Sequence[int] = ()
    #: Ordinals of the operations that are reported, new or again.
    operations: Iterable[int] = ()
    #: Of its spec, when it is started.
    spec: Mapping[str, Any] = field(default_factory=dict)
    phase_count: int = 1


def key(execution_id: str) -> Key:
    """Return the key of an execution."""
    return Key(WORKSPACE, execution_id)


def change(execution_id: str, status: ExecutionStatus | None = None, **fields: Any) -> Change:
    """Return a change of one execution."""
    return Change(execution_id, status, **fields)


class Ledger:
    """All that was ever committed: what there was to see."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.versions: list[tuple[Version, Entry]] = []
        self.head_revision = self.trimmed_revision = 0
        self._known: set[int] = set()

    def committed(self, commit: Commit) -> None:
        """Write down what *commit* did, once, whoever tells of it first."""
        if commit.revision in self._known:
            return
        is_late = commit.revision < self.head_revision
        self._known.add(commit.revision)
        self.head_revision = max(self.head_revision, commit.revision)
        for entry in commit.entries:
            for part in entry.parts:
                version = Version(_id_of(part), entry.revision, part.is_new)
                self.versions.append((version, entry))
        if is_late:
            self.versions.sort(key=lambda one: one[1].revision)

    def log(self, matching: Callable[[Entry], bool] = lambda entry: True) -> list[Version]:
        """Return all versions ever stored, of the entries that match."""
        return [version for version, entry in self.versions if matching(entry)]

    def log_of(self, scope: Scope) -> list[Version]:
        """Return the versions of executions, as a watch of *scope* wants them."""
        wanted = scope.matching
        return [
            dataclasses.replace(
                version,
                was_wanted=wanted.matches_status(entry.status_before) and _takes(scope, entry),
                is_wanted=wanted.matches_status(entry.status_after) and _takes(scope, entry),
            )
            for version, entry in self.versions
            if len(version.id) == 1 and entry.key.workspace_id == scope.workspace_id
        ]

    def stored(self) -> dict[tuple[str, ...], int]:
        """Return the newest revision of every resource."""
        return {version.id: version.revision for version, _ in self.versions}


class Database(Ledger):
    """
    What is committed.

    A read pauses before it looks and again before it answers, for as many turns of the loop as
    *stall* says: what is read is then old in every way in which it can be.
    """

    clock: ManualClock

    def __init__(self, stall: Callable[[], int] = lambda: 1) -> None:
        super().__init__(ManualClock())
        self.executions: dict[Key, Execution] = {}
        self.stored_operations: dict[Key, dict[int, Operation]] = {}
        self.contents: dict[Key, Content] = {}
        self.stored_outputs: dict[Slot, Payload] = {}
        self.commits: list[Commit] = []
        self.reads = 0
        self._stall = stall
        self._encoder = Encoder()

    def commit(self, *changes: Change, workspace_id: str = WORKSPACE) -> Commit:
        """Store *changes* as the next revision, and tell nobody."""
        revision = self.head_revision + 1
        entries = [
            self._change(Key(workspace_id, each.execution_id), each, revision) for each in changes
        ]
        commit = Commit(revision, tuple(entries))
        self.commits.append(commit)
        self.committed(commit)
        return commit

    def trim(self, revision: int) -> None:
        """Keep nothing up to *revision*."""
        self.trimmed_revision = max(self.trimmed_revision, revision)
        self.commits = [each for each in self.commits if each.revision > revision]

    def _change(self, key: Key, change: Change, revision: int) -> Entry:
        before = self.executions.get(key)
        now = self.clock.now()
        after = before or _new_execution(key, change, now)
        positions = range(len(after.phases)) if before is None else change.phases
        phases = list(after.phases)
        for position in positions:
            phases[position] = replace(phases[position], revision=revision)
        status = change.status or after.status
        after = replace(
            after,
            status=status,
            revision=revision,
            phases=tuple(phases),
            updated_at=now,
            completed_at=now if status in TERMINAL else None,
        )
        self.executions[key] = after
        parts = [Part(Resource.EXECUTION, before is None, self._encoder.execution(after))]
        for position in positions:
            body = self._encoder.phase(after, position)
            parts.append(Part(Resource.PHASE, before is None, body, ordinal=position))
        for ordinal in change.operations:
            operation, is_new = self._operation(after, ordinal, revision)
            body = self._encoder.operation(operation)
            parts.append(Part(Resource.OPERATION, is_new, body, ordinal=ordinal, has_payload=True))
        return Entry(
            revision=revision,
            key=key,
            root_execution_id=after.spec.root_execution_id,
            changed_at=now,
            status_before=None if before is None else before.status,
            status_after=after.status,
            parts=tuple(parts),
            execution=after,
        )

    def _operation(
        self, execution: Execution, ordinal: int, revision: int
    ) -> tuple[Operation, bool]:
        stored = self.stored_operations.setdefault(execution.key, {})
        is_new = ordinal not in stored
        stored[ordinal] = Operation(
            key=execution.key,
            phase_id=execution.phases[0].phase_id,
            position=0,
            epoch=1,
            attempt=1,
            ordinal=ordinal,
            reported=OperationReport(
                f"o-{ordinal}",
                "tool",
                input=Payload(data=b"in", media_type="text/plain"),
            ),
            revision=revision,
        )
        return stored[ordinal], is_new

    # History, and those of Reads that are used

    async def head(self) -> int:
        await self._pause()
        head = self.head_revision
        await self._pause()
        return head

    async def trimmed(self) -> int:
        await self._pause()
        return self.trimmed_revision

    async def entries_of(
        self, key: Key, *, descendants: bool, after: int, until: int, limit: int
    ) -> Sequence[Entry]:
        await self._pause()
        found = [
            entry
            for commit in self.commits
            if after < commit.revision <= until
            for entry in sorted(commit.entries, key=lambda entry: entry.key)
            if entry.key == key or (descendants and _is_below(entry, key))
        ]
        if len(found) > limit:
            cut = found[limit].revision
            whole = [entry for entry in found if entry.revision < cut]
            found = whole or [entry for entry in found if entry.revision == cut]
        await self._pause()
        return found

    async def folded(
        self,
        workspace_id: str,
        matching: ExecutionFilter,
        *,
        after: int,
        until: int,
        past: tuple[int, str],
        limit: int,
    ) -> Sequence[Folded]:
        await self._pause()
        versions: dict[Key, list[Entry]] = {}
        for commit in self.commits:
            for entry in commit.entries:
                if after < commit.revision <= until and entry.key.workspace_id == workspace_id:
                    versions.setdefault(entry.key, []).append(entry)
        found = [
            Folded(
                entry=each[-1],
                status_before=each[0].status_before,
                passed=frozenset(entry.status_after for entry in each[:-1]),
                left_out=len(each) - 1,
            )
            for each in versions.values()
        ]
        found.sort(key=lambda folded: (folded.entry.revision, folded.entry.key))
        await self._pause()
        return [
            folded
            for folded in found
            if (folded.entry.revision, folded.entry.key.execution_id) > past
        ][:limit]

    async def active_page(
        self, workspace_id: str, matching: ExecutionFilter, *, after_id: str, limit: int
    ) -> ActivePage:
        await self._pause()
        found = [
            execution
            for key, execution in sorted(self.executions.items())
            if key.workspace_id == workspace_id and key.execution_id > after_id
            if matching.matches_status(execution.status) and matching.matches_spec(execution)
        ]
        page = ActivePage(found[:limit], len(found) > limit, self.head_revision)
        await self._pause()
        return page

    async def execution_page(
        self, key: Key, *, after: int, limit: int, full: bool
    ) -> TreePage | None:
        await self._pause()
        execution = self.executions.get(key)
        page = None if execution is None else self._page(execution, after, limit, full)
        await self._pause()
        return page

    async def pages_below(
        self, key: Key, *, after_id: str, limit: int, operations: int, full: bool
    ) -> Sequence[TreePage]:
        await self._pause()
        pages = [
            self._page(execution, -1, operations, full)
            for (workspace_id, id), execution in sorted(self.executions.items())
            if workspace_id == key.workspace_id and id > after_id
            if key.execution_id in execution.spec.ancestor_execution_ids
        ][:limit]
        await self._pause()
        return pages

    async def settled(self, key: Key) -> tuple[bool, int]:
        await self._pause()
        tree = [
            execution
            for other, execution in self.executions.items()
            if other == key or key.execution_id in execution.spec.ancestor_execution_ids
        ]
        result = all(execution.done for execution in tree), self.head_revision
        await self._pause()
        return result

    async def status(self, key: Key) -> Execution | None:
        await self._pause()
        execution = self.executions.get(key)
        await self._pause()
        return execution

    async def content(self, key: Key) -> Content:
        return self.contents.get(key, Content())

    async def outputs(self, slots: Sequence[Slot]) -> Mapping[Slot, Payload]:
        return {slot: self.stored_outputs[slot] for slot in slots if slot in self.stored_outputs}

    async def operations(self, query: OperationQuery) -> OperationPage:
        stored = self.stored_operations.get(query.key, {})
        found = [operation for at, operation in sorted(stored.items()) if at > query.after]
        return OperationPage(found[: query.limit], len(found), None)

    def _page(self, execution: Execution, after: int, limit: int, full: bool) -> TreePage:
        key = execution.key
        operations = sorted(self.stored_operations.get(key, {}).items())
        return TreePage(
            execution=execution,
            content=self.contents.get(key, Content()) if full else Content(),
            outputs={
                slot.position: output
                for slot, output in self.stored_outputs.items()
                if full and slot.key == key
            },
            operations=[operation for at, operation in operations if at > after][:limit],
            revision=self.head_revision,
        )

    async def _pause(self) -> None:
        self.reads += 1
        for _ in range(self._stall()):
            await asyncio.sleep(0)


def log_of(database: Database, *ids: str) -> list[Version]:
    """Return the versions of some executions, and of all that is theirs."""
    return database.log(lambda entry: entry.key.execution_id in ids)


def _new_execution(key: Key, change: Change, now: datetime) -> Execution:
    above = tuple(change.spec.get("ancestor_execution_ids", ()))
    phases = tuple(PhaseSpec(f"p-{at}", "echo") for at in range(change.phase_count))
    workflow_id = change.spec.get("workflow_id", "work")
    spec = {name: value for name, value in change.spec.items() if name != "workflow_id"}
    return Execution(
        key=key,
        spec=ExecutionSpec(
            workspace_id=key.workspace_id,
            execution_id=key.execution_id,
            created_at=now,
            **{
                "root_execution_id": above[0] if above else key.execution_id,
                "parent_execution_id": above[-1] if above else "",
                **spec,
            },
        ),
        workflow=Workflow(key.workspace_id, 1, WorkflowSpec(workflow_id, phases), now, now),
        status=PENDING,
        updated_at=now,
        phases=tuple(Phase(phase.phase_id) for phase in phases),
    )


def _is_below(entry: Entry, key: Key) -> bool:
    execution = entry.execution
    return execution is not None and key.execution_id in execution.spec.ancestor_execution_ids


def _id_of(part: Part) -> Id:
    match part.resource:
        case Resource.EXECUTION:
            return (execution_pb2.Execution.FromString(part.body).execution_id,)
        case Resource.PHASE:
            phase = execution_pb2.Phase.FromString(part.body)
            return (phase.execution_id, phase.phase_id)
        case Resource.OPERATION:
            told = execution_pb2.Operation.FromString(part.body)
            return (told.execution_id, told.phase_id, str(told.attempt), told.operation_id)


def _takes(scope: Scope, entry: Entry) -> bool:
    return entry.execution is not None and scope.matching.matches_spec(entry.execution)
