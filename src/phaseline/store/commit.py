"""Turning a decided batch into the rows of one transaction, and into what watchers are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from phaseline.app.changes import Commit, Entry, Part, Resource
from phaseline.app.ports import Encoder
from phaseline.domain.execution import Execution, Operation
from phaseline.domain.ids import Key
from phaseline.store import rows
from phaseline.store.batch import Batch
from phaseline.store.statements import Statement, Statements

#: A statement, and the rows that it is run for.
Work = list[tuple[Statement, Sequence[rows.Row]]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One transaction, ready to be run, and what is true once it is committed."""

    work: Work
    commit: Commit
    #: All new versions, stamped with the revision.
    executions: Sequence[Execution]


def prepare(batch: Batch, revision: int, statements: Statements, encoder: Encoder) -> Prepared:
    """Return the transaction that makes *batch* durable as *revision*."""
    return _Preparation(batch, revision, statements, encoder).run()


class _Preparation:
    def __init__(
        self, batch: Batch, revision: int, statements: Statements, encoder: Encoder
    ) -> None:
        self._batch, self._revision = batch, revision
        self._statements, self._encoder = statements, encoder
        self._rows: dict[Statement, list[rows.Row]] = {}
        self._stamped: list[Execution] = []
        self._entries: list[Entry] = []
        self._encoded: dict[Key, bytes] = {}
        self._operations: dict[Key, list[Operation]] = {}

    def run(self) -> Prepared:
        self._add_workflows()
        self._add_operations()
        for key, execution in self._batch.visible.items():
            self._add_version(key, execution)
        for key, execution in self._batch.renewed.items():
            self._put_rows(self._batch.before[key], execution)
            self._stamped.append(execution)
        self._add_payloads()
        self._add_counts()
        self._add_requests()
        if self._entries:
            self._add(self._statements.move_head, (self._revision, 1))
        return Prepared(
            work=[(statement, self._rows[statement]) for statement in self._order()],
            commit=Commit(self._revision, tuple(self._entries)),
            executions=self._stamped,
        )

    def _order(self) -> list[Statement]:
        ordered = (getattr(self._statements, name) for name in Statements.__slots__)
        return [statement for statement in ordered if statement in self._rows]

    def _add(self, statement: Statement, row: rows.Row) -> None:
        self._rows.setdefault(statement, []).append(row)

    def _add_workflows(self) -> None:
        for workflow in self._batch.workflows.values():
            self._add(self._statements.add_workflow, rows.workflow_row(workflow))

    def _add_operations(self) -> None:
        for staged in self._batch.operations.values():
            for operation in staged.values():
                stamped = replace(operation, revision=self._revision)
                self._operations.setdefault(operation.key, []).append(stamped)
                self._add(self._statements.put_operation, rows.operation_row(stamped))

    def _add_version(self, key: Key, execution: Execution) -> None:
        before = self._batch.before[key]
        changed = _changed_phases(before, execution)
        phases = list(execution.phases)
        for position in changed:
            phases[position] = replace(phases[position], revision=self._revision)
        stamped = replace(execution, revision=self._revision, phases=tuple(phases))
        self._put_rows(before, stamped)
        self._stamped.append(stamped)
        self._add_entry(before, stamped, changed)

    def _put_rows(self, before: Execution | None, execution: Execution) -> None:
        statements, key = self._statements, execution.key
        if before is None:
            self._add(statements.add_execution, rows.execution_row(execution))
            self._add_tags(execution)
        else:
            changes = rows.execution_changes(execution)
            self._add(statements.change_execution, (*changes, *key))
        for position in _changed_phases(before, execution):
            phase = execution.phases[position]
            if before is None:
                self._add(statements.add_phase, rows.phase_row(key, position, phase))
            else:
                self._add(statements.change_phase, (*rows.phase_changes(phase), *key, position))

    def _add_tags(self, execution: Execution) -> None:
        spec, created = execution.spec, rows.micros(execution.spec.created_at)
        for name, value in spec.labels.items():
            self._add(
                self._statements.add_label,
                (spec.workspace_id, name, value, created, spec.execution_id),
            )
        for repo in dict.fromkeys(spec.repos):
            self._add(
                self._statements.add_repo, (spec.workspace_id, repo, created, spec.execution_id)
            )

    def _add_entry(
        self, before: Execution | None, execution: Execution, changed: Sequence[int]
    ) -> None:
        encoder, key = self._encoder, execution.key
        body = encoder.execution(execution)
        self._encoded[key] = body
        first = Part(Resource.EXECUTION, before is None, body, encoder.execution_extra(execution))
        parts = [
            Part(Resource.PHASE, before is None, encoder.phase(execution, position))
            for position in changed
        ]
        parts.extend(
            Part(Resource.OPERATION, operation.is_new, encoder.operation(operation))
            for operation in self._operations.get(key, ())
        )
        entry = Entry(
            revision=self._revision,
            key=key,
            root_execution_id=execution.spec.root_execution_id,
            changed_at=execution.updated_at,
            status_before=None if before is None else before.status,
            status_after=execution.status,
            parts=(first, *parts),
            execution=execution,
        )
        self._entries.append(entry)
        self._add(
            self._statements.add_change,
            (
                key.workspace_id,
                self._revision,
                key.execution_id,
                execution.spec.root_execution_id if execution.spec.parent_execution_id else None,
                rows.micros(execution.updated_at),
                None if before is None else before.status.value,
                execution.status.value,
                rows.pack_part(first),
                rows.pack_parts(parts),
            ),
        )

    def _add_payloads(self) -> None:
        batch, statements = self._batch, self._statements
        for key, content in batch.contents:
            self._add(statements.add_content, rows.content_row(key, content))
        for kind, payloads in (("output", batch.outputs), ("checkpoint", batch.checkpoints)):
            for slot, payload in payloads.items():
                self._add(statements.put_payload, rows.payload_row(slot, kind, payload))
        for artifact, data in batch.artifacts:
            self._add(statements.add_artifact, rows.artifact_row(artifact, data))

    def _add_counts(self) -> None:
        delta: Counter[tuple[str, str, str]] = Counter()
        for execution in self._batch.visible.values():
            before = self._batch.before[execution.key]
            workflow = (execution.spec.workspace_id, execution.workflow.workflow_id)
            if before is not None:
                delta[(*workflow, before.status.value)] -= 1
            delta[(*workflow, execution.status.value)] += 1
        for name, change in delta.items():
            if change > 0:
                self._add(self._statements.count_more, (*name, change))
            elif change < 0:
                self._add(self._statements.count_less, (-change, *name))

    def _add_requests(self) -> None:
        for remembered in self._batch.remembered:
            answer = remembered.answer
            if remembered.key is not None:
                answer = self._encoded_answer(remembered.key)
            row = rows.request_row(remembered, answer, self._revision, self._batch.now)
            self._add(self._statements.add_request, row)

    def _encoded_answer(self, key: Key) -> bytes:
        encoded = self._encoded.get(key)
        if encoded is None:
            execution = self._batch.execution(key)
            assert execution is not None, "what was answered exists"
            encoded = self._encoder.execution(execution)
        return encoded


def _changed_phases(before: Execution | None, after: Execution) -> list[int]:
    """Return the positions of the phases that differ; a phase that does not is the same object."""
    if before is None:
        return list(range(len(after.phases)))
    return [
        position
        for position, phase in enumerate(after.phases)
        if before.phases[position] is not phase
    ]
