"""Turning a decided batch into the rows of one transaction, and into what watchers are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from msgspec.structs import replace
from sqlalchemy import Connection

from phaseline.app.changes import Commit, Entry, Part, Resource
from phaseline.app.ports import Encoder
from phaseline.domain.execution import Execution, Operation, Phase
from phaseline.domain.ids import Key
from phaseline.store import rows
from phaseline.store import statements as st
from phaseline.store.batch import Batch
from phaseline.store.place import NOWHERE, Place
from phaseline.store.statements import Statement
from phaseline.store.touched import Touched


@dataclass(frozen=True, slots=True)
class Work:
    """What one transaction does."""

    #: By statement, in the order in which they are run.
    rows: Mapping[Statement, Sequence[rows.Row]]
    #: What needs more than rows, in the same transaction and after them.
    chores: Sequence[Callable[[Connection], object]] = ()
    #: Returns what others have to hear of.
    touched: Callable[[], Touched] = Touched
    #: Where it leaves the database.
    place: Place = NOWHERE


class Housekeeping(Protocol):
    """What a commit does beyond writing rows, in its transaction."""

    def erase(self, connection: Connection) -> object:
        """Erase some of what purged and deleted executions left behind."""

    def trim(self, revision: int, connection: Connection) -> object:
        """Forget the change log up to and with *revision*."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One transaction, ready to be run, and what is true once it is committed."""

    work: Work
    commit: Commit
    place: Place
    #: All new versions, stamped with the revision.
    executions: Sequence[Execution]


def prepare(
    batch: Batch,
    place: Place,
    encoder: Encoder,
    housekeeping: Housekeeping,
    *,
    sets_no_more: bool,
) -> Prepared:
    """
    Return the transaction that makes *batch* durable in a database that stands at *place*.

    Of an execution that changes it *sets_no_more* than has changed, or all that can.
    """
    return _Preparation(batch, place, encoder, sets_no_more).run(housekeeping)


class _Preparation:
    def __init__(self, batch: Batch, place: Place, encoder: Encoder, sets_no_more: bool) -> None:
        self._batch, self._encoder = batch, encoder
        self._sets_no_more = sets_no_more
        self._before = place
        # A revision is something new to see, and not every commit makes that.
        self._revision = place.head + bool(batch.visible)
        self._rows: dict[Statement, list[rows.Row]] = {}
        self._stamped: list[Execution] = []
        self._entries: list[Entry] = []
        self._encoded: dict[Key, bytes] = {}
        self._operations: dict[Key, list[Operation]] = {}
        # What is started together has equal phases, and shares them for as long as it waits.
        self._new_phases: dict[tuple[Phase, ...], tuple[tuple[Phase, ...], list[rows.Row]]] = {}

    def run(self, housekeeping: Housekeeping) -> Prepared:
        place = Place(self._before.epoch, self._revision, self._before.commits + 1)
        self._add(st.MOVE_HEAD, (place.head, place.commits, 1, place.epoch, self._before.commits))
        self._remove()
        self._add_workflows()
        self._add_operations()
        for key, execution in self._batch.visible.items():
            self._add_version(key, execution)
        for key, execution in self._batch.renewed.items():
            before = self._batch.before[key]
            assert before is not None, "what is new is visible"
            self._put_rows(before, execution, _changed_phases(before, execution))
            self._stamped.append(execution)
        self._add_payloads()
        self._add_counts()
        self._add_requests()
        return Prepared(
            work=Work(
                {each: self._rows[each] for each in st.ORDER if each in self._rows},
                list(self._chores(housekeeping)),
                partial(Touched.by, self._batch),
                place,
            ),
            commit=Commit(self._revision, tuple(self._entries)),
            place=place,
            executions=self._stamped,
        )

    def _add(self, statement: Statement, row: rows.Row) -> None:
        self._rows.setdefault(statement, []).append(row)

    def _chores(self, housekeeping: Housekeeping) -> Iterator[Callable[[Connection], object]]:
        if self._batch.purged or self._batch.deleted:
            yield housekeeping.erase
        if self._batch.trimmed_to:
            yield partial(housekeeping.trim, self._batch.trimmed_to)

    def _remove(self) -> None:
        batch = self._batch
        for key in dict.fromkeys((*batch.purged, *batch.deleted)):
            for statement in (st.REMOVE_CONTENT, st.REMOVE_PAYLOADS, st.REMOVE_ARTIFACTS):
                self._add(statement, key)
            # Of a deleted execution the log tells on.
            blanked_to = self._revision if key in batch.deleted else 0
            self._add(st.ADD_ERASURE, (*key, self._revision, blanked_to))
        for key, execution in batch.deleted.items():
            self._add(st.REMOVE_PHASES, key)
            self._add(st.REMOVE_EXECUTION, key)
            for label in rows.label_rows(execution.spec):
                self._add(st.REMOVE_LABEL, label)
            for repo in rows.repo_rows(execution.spec):
                self._add(st.REMOVE_REPO, repo)
        for name in batch.forgotten:
            self._add(st.REMOVE_REQUEST, name)

    def _add_workflows(self) -> None:
        for workflow in self._batch.workflows.values():
            self._add(st.ADD_WORKFLOW, rows.workflow_row(workflow))

    def _add_operations(self) -> None:
        for staged in self._batch.operations.values():
            for operation in staged.values():
                stamped = replace(operation, revision=self._revision)
                self._operations.setdefault(operation.key, []).append(stamped)
                self._add(st.PUT_OPERATION, rows.operation_row(stamped))
        for operation in self._batch.closed():
            stamped = replace(operation, revision=self._revision)
            self._operations.setdefault(operation.key, []).append(stamped)
            self._add(st.CLOSE_OPERATION, rows.closed_row(stamped))

    def _add_version(self, key: Key, execution: Execution) -> None:
        before = self._batch.before[key]
        changed: Sequence[int] = range(len(execution.phases))
        if before is None:
            execution = self._put_new_rows(execution)
        else:
            execution = execution.committed(before, self._revision)
            changed = _changed_phases(before, execution)
            self._put_rows(before, execution, changed)
        self._stamped.append(execution)
        self._add_entry(before, execution, changed)

    def _put_new_rows(self, execution: Execution) -> Execution:
        """Put in a new execution; return it as the commit leaves it."""
        known = self._new_phases.get(execution.phases)
        if known is None:
            phases = execution.committed(None, self._revision).phases
            known = phases, [rows.phase_part(at, phase) for at, phase in enumerate(phases)]
            self._new_phases[execution.phases] = known
        phases, parts = known
        execution = replace(execution, revision=self._revision, phases=phases)
        key, spec = execution.key, execution.spec
        self._add(st.ADD_EXECUTION, rows.execution_row(execution))
        for part in parts:
            self._add(st.ADD_PHASE, (*key, *part))
        for label in rows.label_rows(spec):
            self._add(st.ADD_LABEL, label)
        for repo in rows.repo_rows(spec):
            self._add(st.ADD_REPO, repo)
        return execution

    def _put_rows(self, before: Execution, execution: Execution, changed: Sequence[int]) -> None:
        key, statement = execution.key, st.CHANGE_EXECUTION
        if self._sets_no_more:
            statement = _change_of(before, execution)
        changes = rows.execution_changes(execution)[: len(statement.columns)]
        self._add(statement, (*changes, *key))
        for position in changed:
            phase = execution.phases[position]
            self._add(st.CHANGE_PHASE, (*rows.phase_changes(phase), *key, position))

    def _add_entry(
        self, before: Execution | None, execution: Execution, changed: Sequence[int]
    ) -> None:
        key, status_before = execution.key, None if before is None else before.status
        first, parts = self._parts(before is None, execution, changed)
        self._encoded[key] = first.body
        entry = Entry(
            revision=self._revision,
            key=key,
            root_execution_id=execution.spec.root_execution_id,
            changed_at=execution.updated_at,
            status_before=status_before,
            status_after=execution.status,
            parts=(first, *parts),
            execution=execution,
        )
        self._entries.append(entry)
        self._add(st.ADD_CHANGE, rows.change_row(entry, rows.pack_part(first), parts))

    def _parts(
        self, is_new: bool, execution: Execution, changed: Sequence[int]
    ) -> tuple[Part, list[Part]]:
        encoder = self._encoder
        first = Part(
            Resource.EXECUTION,
            is_new,
            encoder.execution(execution),
            encoder.execution_extra(execution),
            has_payload=_has_result(execution),
        )
        parts = [
            Part(
                Resource.PHASE,
                is_new,
                encoder.phase(execution, position),
                ordinal=position,
                has_payload=execution.phases[position].output_size is not None,
            )
            for position in changed
        ]
        parts.extend(
            Part(
                Resource.OPERATION,
                operation.is_new,
                encoder.operation(operation),
                ordinal=operation.ordinal,
                has_payload=_has_payload(operation),
            )
            for operation in self._operations.get(execution.key, ())
        )
        return first, parts

    def _add_payloads(self) -> None:
        batch = self._batch
        for key, content in batch.contents:
            self._add(st.ADD_CONTENT, rows.content_row(key, content))
        for kind, payloads in (("output", batch.outputs), ("checkpoint", batch.checkpoints)):
            for slot, payload in payloads.items():
                self._add(st.PUT_PAYLOAD, rows.payload_row(slot, kind, payload))
        for artifact, data in batch.artifacts:
            self._add(st.ADD_ARTIFACT, rows.artifact_row(artifact, data))

    def _add_counts(self) -> None:
        delta: Counter[tuple[str, str, str]] = Counter()
        for key, execution in self._batch.visible.items():
            before = self._batch.before[key]
            if before is not None:
                delta[_counter_of(before)] -= 1
            delta[_counter_of(execution)] += 1
        for execution in self._batch.deleted.values():
            delta[_counter_of(execution)] -= 1
        for name, change in delta.items():
            if change > 0:
                self._add(st.COUNT_MORE, (*name, change))
            elif change < 0:
                self._add(st.COUNT_LESS, (-change, *name))

    def _add_requests(self) -> None:
        for remembered in self._batch.remembered.values():
            answer = remembered.answer
            if remembered.key is not None:
                answer = self._encoded_answer(remembered.key)
            row = rows.request_row(remembered, answer, self._revision, self._batch.now)
            self._add(st.ADD_REQUEST, row)

    def _encoded_answer(self, key: Key) -> bytes:
        encoded = self._encoded.get(key)
        if encoded is None:
            execution = self._batch.execution(key)
            assert execution is not None, "what was answered exists"
            encoded = self._encoder.execution(execution)
        return encoded


def _changed_phases(before: Execution, after: Execution) -> Sequence[int]:
    """Return the positions of the phases that differ; a phase that does not is the same object."""
    return [
        position
        for position, phase in enumerate(after.phases)
        if before.phases[position] is not phase
    ]


def _change_of(before: Execution, after: Execution) -> Statement:
    """Return the statement that sets all in which they differ, and as little else as there is."""
    # It may have been retried and ended anew in between.
    is_same_end = before.completed_at == after.completed_at
    if before.status is not after.status or before.is_purged != after.is_purged or not is_same_end:
        return st.CHANGE_EXECUTION
    had, has = before.usage, after.usage
    if had.total_tokens != has.total_tokens or had.cost_nanos != has.cost_nanos:
        return st.CHARGE_EXECUTION
    if before.revision != after.revision:
        return st.ADVANCE_EXECUTION
    return st.RENEW_EXECUTION


def _has_result(execution: Execution) -> bool:
    """Whether it has succeeded, and its last phase has an output."""
    # Both are set by a failure only, and never by success.
    failed = execution.failure is not None or execution.cancellation is not None
    return execution.done and not failed and execution.phases[-1].output_size is not None


def _has_payload(operation: Operation) -> bool:
    return operation.reported.input is not None or operation.reported.output is not None


def _counter_of(execution: Execution) -> tuple[str, str, str]:
    workspace_id, workflow_id = execution.spec.workspace_id, execution.workflow.workflow_id
    return workspace_id, workflow_id, rows.TEXTS[execution.status]
