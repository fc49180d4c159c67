"""Starting executions: the command, and what its callers are told."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from phaseline.app.consequences import Changes
from phaseline.app.idempotency import Idempotency
from phaseline.app.leasing import LeaseRef
from phaseline.app.limits import Limits
from phaseline.app.ports import Answered, Child, Decision, Group, Needs, View, WorkflowRef
from phaseline.domain.advance import stopping
from phaseline.domain.control import over_budget
from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    Reason,
    ResourceExhausted,
)
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.domain.start import Place, StartRequest, check_inputs, start
from phaseline.domain.workflow import Workflow


class Started(msgspec.Struct, frozen=True):
    """What became of a start."""

    execution_id: str
    workflow_id: str
    status: ExecutionStatus
    #: False for a repeat.
    created: bool = True
    #: Of the execution; 0 until it is known, with the commit.
    revision: int = 0


class Start(msgspec.Struct, frozen=True):
    """Start one execution."""

    workspace_id: str
    #: Chosen by the caller, or by us.
    execution_id: str
    request: StartRequest
    idempotency: Idempotency
    limits: Limits
    lease: LeaseRef | None = None
    batch_id: str = ""

    def needs(self) -> Needs:
        parent = self._parent()
        step = self.request.step_key
        return Needs(
            executions=tuple(self._known_keys(parent)),
            workflows=(self._workflow(),),
            requests=self.idempotency.needs,
            children=(Child(parent, step),) if parent and step else (),
        )

    def decide(self, view: View) -> Decision[Started]:
        earlier = self.idempotency.earlier(view)
        if earlier is not None:
            return Decision(_answered(earlier))
        parent = self._checked_parent(view)
        if parent is not None and self.request.step_key:
            child = view.child(Child(parent.key, self.request.step_key))
            if child is not None:
                return Decision(_existing(child))
        workflow = self._checked_workflow(view)
        self._check_free(view)
        execution, content = start(self.request, workflow, self._place(parent), view.now)
        changes = Changes(view)
        _grow_tree(changes, view, execution, self.limits)
        changes.change(execution)
        if workflow.spec.concurrency is not None:
            changes.admit(Group.of(execution))
        execution = changes.execution(execution.key) or execution
        answer = Started(self.execution_id, workflow.workflow_id, execution.status)
        changed, renewed = changes.versions()
        return Decision(
            answer,
            executions=changed,
            renewals=renewed,
            contents=((execution.key, content),) if execution.spec.has_content else (),
            remembered=self.idempotency.remember(msgspec.json.encode(answer)),
        )

    def _known_keys(self, parent: Key | None) -> Iterator[Key]:
        if self.request.execution_id:
            yield Key(self.workspace_id, self.request.execution_id)
        if parent is not None:
            yield parent

    def _parent(self) -> Key | None:
        if self.lease is not None and not self.request.parent_execution_id:
            return self.lease.slot.key
        if not self.request.parent_execution_id:
            return None
        return Key(self.workspace_id, self.request.parent_execution_id)

    def _workflow(self) -> WorkflowRef:
        return WorkflowRef(
            self.workspace_id, self.request.workflow_id, self.request.workflow_version
        )

    def _checked_workflow(self, view: View) -> Workflow:
        workflow = view.workflow(self._workflow())
        if workflow is None:
            raise missing_workflow(self._workflow())
        check_inputs(self.request, workflow)
        return workflow

    def _check_free(self, view: View) -> None:
        if self.request.execution_id and view.execution(
            Key(self.workspace_id, self.request.execution_id)
        ):
            raise AlreadyExists("execution", self.request.execution_id)
        if view.active_count(self.workspace_id) >= self.limits.active_executions:
            raise ResourceExhausted(
                f"workspace {self.workspace_id!r} has {self.limits.active_executions} active "
                "executions, which is its limit",
                reason=Reason.TOO_MANY_EXECUTIONS,
                subject=f"workspace:{self.workspace_id}",
            )

    def _checked_parent(self, view: View) -> Execution | None:
        key = self._parent()
        if key is None:
            return None
        parent = view.execution(key)
        if parent is None:
            raise NotFound("execution", key.execution_id, reason=Reason.PARENT_NOT_FOUND)
        if self.lease is not None and not self.lease.is_live(parent, view.now):
            raise FailedPrecondition(
                "the lease that starts this execution is lost",
                reason=Reason.LEASE_LOST,
                subject=key.execution_id,
            )
        if parent.done or stopping(parent):
            raise FailedPrecondition(
                f"parent {key.execution_id!r} is {parent.status} and starts nothing more",
                reason=Reason.PARENT_NOT_ACTIVE,
                subject=key.execution_id,
            )
        return parent

    def _place(self, parent: Execution | None) -> Place:
        if parent is None:
            return Place(self.workspace_id, self.execution_id, batch_id=self.batch_id)
        return Place(
            self.workspace_id,
            self.execution_id,
            (*parent.spec.ancestor_execution_ids, parent.spec.execution_id),
            self.batch_id,
        )


def missing_workflow(ref: WorkflowRef) -> NotFound:
    """Return the error for a workflow, or a version of one, that does not exist."""
    message = f"there is no version {ref.version} of workflow {ref.workflow_id!r}"
    return NotFound("workflow", ref.workflow_id, message if ref.version else "")


def _grow_tree(changes: Changes, view: View, execution: Execution, limits: Limits) -> None:
    """Count a child at its root; raise if the tree, or the budget above, has no room for it."""
    spec = execution.spec
    if not spec.parent_execution_id:
        return
    root = changes.execution(Key(spec.workspace_id, spec.root_execution_id))
    if len(spec.ancestor_execution_ids) >= limits.tree_depth or (
        root and root.tree_size >= limits.tree_size
    ):
        raise FailedPrecondition(
            f"the tree of {spec.root_execution_id!r} would exceed {limits.tree_depth} levels or "
            f"{limits.tree_size} executions",
            reason=Reason.TREE_TOO_LARGE,
            subject=spec.root_execution_id,
        )
    for ancestor in changes.ancestors(execution):
        if over_budget(ancestor) is not None:
            raise FailedPrecondition(
                f"the budget of {ancestor.spec.execution_id!r} is used up",
                reason=Reason.BUDGET_EXCEEDED,
                subject=ancestor.spec.execution_id,
            )
    if root is not None:
        changes.renew(msgspec.structs.replace(root, tree_size=root.tree_size + 1))


def _answered(earlier: Answered) -> Started:
    first = msgspec.json.decode(earlier.answer, type=Started)
    return msgspec.structs.replace(first, created=False, revision=earlier.revision)


def _existing(child: Execution) -> Started:
    return Started(
        child.spec.execution_id,
        child.workflow.workflow_id,
        child.status,
        created=False,
        revision=child.revision,
    )
