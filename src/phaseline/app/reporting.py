"""Taking one worker's report on one phase."""

from __future__ import annotations

from datetime import datetime

import msgspec

from phaseline.app.consequences import Changes
from phaseline.app.leasing import LeaseRef
from phaseline.app.ports import Decision, Needs, OperationsOf, View
from phaseline.domain import work
from phaseline.domain.errors import Reason
from phaseline.domain.execution import Artifact, Execution
from phaseline.domain.ids import uuid7
from phaseline.domain.report import (
    AbandonReason,
    Directive,
    DirectiveAction,
    Rejection,
    Report,
)

_TOO_MUCH = Rejection(
    "usage_by_model", Reason.INVALID_FIELD, "takes a total past 64 bits, with the credits"
)
UNKNOWN_LEASE = Directive(DirectiveAction.ABANDON, AbandonReason.UNKNOWN)


class ReportPhase(msgspec.Struct, frozen=True):
    """Store what a report says, if its lease is the live one."""

    ref: LeaseRef
    report: Report
    check_output: work.CheckOutput
    #: One for each artifact that the report brings.
    artifact_bits: tuple[int, ...]
    jitter: float

    def needs(self) -> Needs:
        ids = tuple(operation.operation_id for operation in self.report.operations)
        return Needs(
            executions=(self.ref.slot.key,),
            operations=(OperationsOf(self.ref.slot, self.ref.epoch, ids),) if ids else (),
        )

    def decide(self, view: View) -> Decision[Directive]:
        decision = self._decide(view, self.report)
        if not _spends(self.report) or all(
            execution.tree_usage.can_be_told for execution in decision.executions
        ):
            return decision
        without = msgspec.structs.replace(self.report, usage_by_model=None, credits_nanos=None)
        decision = self._decide(view, without)
        answer = msgspec.structs.replace(decision.answer, rejections=(_TOO_MUCH,))
        return msgspec.structs.replace(decision, answer=answer)

    def _decide(self, view: View, report: Report) -> Decision[Directive]:
        slot = self.ref.slot
        execution = view.execution(slot.key)
        if execution is None or slot.position >= len(execution.phases):
            return Decision(UNKNOWN_LEASE)
        reported = work.report(
            execution,
            slot.position,
            self.ref.epoch,
            report,
            view.now,
            recorded=view.recorded(slot, self.ref.epoch) if report.operations else {},
            check_output=self.check_output,
            jitter=self.jitter,
        )
        if reported.execution is None:
            return Decision(reported.directive)
        if reported.only_renewed:
            return Decision(reported.directive, renewals=(reported.execution,))
        artifacts = self._artifacts(reported, view.now)
        changes = Changes(view)
        changes.change(_with_artifacts(reported.execution, slot.position, artifacts))
        directive = self._directive(reported.directive, changes, view.now)
        changed, renewed = changes.versions()
        return Decision(
            directive,
            executions=changed,
            renewals=renewed,
            operations=reported.operations,
            closings=changes.closings(),
            outputs=((slot, reported.output),) if reported.output else (),
            checkpoints=((slot, reported.checkpoint),) if reported.checkpoint else (),
            artifacts=artifacts,
        )

    def _directive(self, directive: Directive, changes: Changes, now: datetime) -> Directive:
        """Return what the worker is told once all that followed from its report is known."""
        execution = changes.execution(self.ref.slot.key)
        if execution is None or directive.action is not DirectiveAction.CONTINUE:
            return directive
        # The usage that it reported may have used up a budget: it hears so at once.
        told = work.told(execution, self.ref.slot.position, now)
        if told is not execution:
            changes.renew(told)
        news = work.directive(told, self.ref.slot.position, now)
        return msgspec.structs.replace(news, replayed=directive.replayed)

    def _artifacts(
        self, reported: work.Reported, now: datetime
    ) -> tuple[tuple[Artifact, bytes | None], ...]:
        slot, execution = self.ref.slot, reported.execution
        assert execution is not None
        return tuple(
            (
                Artifact(
                    artifact_id=uuid7(now, bits),
                    key=slot.key,
                    phase_id=execution.phases[slot.position].phase_id,
                    position=slot.position,
                    name=draft.name,
                    size_bytes=len(draft.content.data or b""),
                    media_type=draft.content.media_type,
                    uri=draft.content.uri,
                    created_at=now,
                ),
                draft.content.data,
            )
            for draft, bits in zip(reported.artifacts, self.artifact_bits, strict=False)
        )


def _spends(report: Report) -> bool:
    return report.usage_by_model is not None or report.credits_nanos is not None


def _with_artifacts(
    execution: Execution, position: int, artifacts: tuple[tuple[Artifact, bytes | None], ...]
) -> Execution:
    if not artifacts:
        return execution
    ids = tuple(artifact.artifact_id for artifact, _ in artifacts)
    phase = execution.phases[position]
    phase = msgspec.structs.replace(phase, artifact_ids=(*phase.artifact_ids, *ids))
    return msgspec.structs.replace(
        execution.with_phase(position, phase), artifact_ids=(*execution.artifact_ids, *ids)
    )
