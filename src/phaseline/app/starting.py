"""Starting executions: what is checked, and the command for one."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from phaseline.app.consequences import Changes
from phaseline.app.idempotency import Idempotency
from phaseline.app.leasing import LeaseRef, LeaseTokens
from phaseline.app.limits import Limits
from phaseline.app.ports import Answered, Child, Decision, Needs, View, WorkflowRef
from phaseline.domain.budget import over_budget
from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Reason,
    ResourceExhausted,
)
from phaseline.domain.execution import Content, Execution
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.domain.start import Place, StartRequest, check_inputs, start
from phaseline.domain.workflow import Workflow


class Started(msgspec.Struct, frozen=True, tag="started"):
    """What became of a start."""

    execution_id: str
    workflow_id: str
    status: ExecutionStatus
    #: False for a repeat.
    created: bool = True
    #: Of the execution; 0 until it is known, with the commit.
    revision: int = 0


class Candidate(msgspec.Struct, frozen=True):
    """An execution that is to be started."""

    workspace_id: str
    #: Chosen by the caller, or by us.
    execution_id: str
    request: StartRequest
    limits: Limits
    lease: LeaseRef | None = None
    batch_id: str = ""

    def needs(self) -> Needs:
        """Return what `start` will look at."""
        parent, step = self._parent, self.request.step_key
        return Needs(
            executions=tuple(self._known_keys()),
            workflows=(self._workflow,),
            children=(Child(parent, step),) if parent and step else (),
        )

    def start(self, changes: Changes, view: View) -> tuple[Started, Content | None]:
        """
        Put the new execution into *changes*, and return what it was given, if anything.

        Raises a `PhaselineError` if it cannot be started; *changes* is then as it was.
        """
        parent = self._leased_parent(changes, view)
        if parent is not None:
            child = self._child_of(parent, changes)
            if child is not None:
                return _existing(child), None
            check_parent(parent)
        workflow = self._checked_workflow(view)
        self._check_free(changes)
        execution, content = start(self.request, workflow, self._place(parent), view.now)
        if parent is not None:
            self._check_tree(changes, execution)
            _grow_tree(changes, execution)
        changes.start(execution)
        execution = changes.execution(execution.key) or execution
        started = Started(self.execution_id, workflow.workflow_id, execution.status)
        return started, content if execution.spec.has_content else None

    @property
    def key(self) -> Key:
        return Key(self.workspace_id, self.execution_id)

    @property
    def _parent(self) -> Key | None:
        if self.request.parent_execution_id:
            return Key(self.workspace_id, self.request.parent_execution_id)
        return None if self.lease is None else self.lease.slot.key

    @property
    def _workflow(self) -> WorkflowRef:
        return WorkflowRef(
            self.workspace_id, self.request.workflow_id, self.request.workflow_version
        )

    def _known_keys(self) -> Iterator[Key]:
        # An id of our own making names nothing yet.
        if self.request.execution_id:
            yield self.key
        if self._parent is not None:
            yield self._parent

    def _leased_parent(self, changes: Changes, view: View) -> Execution | None:
        """Return the parent, with the authority of the lease checked if one is given."""
        key = self._parent
        if key is None:
            return None
        if self.lease is not None and self.lease.slot.key != key:
            raise InvalidArgument.of("lease_token", "must be of a phase of parent_execution_id")
        parent = changes.execution(key)
        if parent is None:
            raise NotFound("execution", key.execution_id, reason=Reason.PARENT_NOT_FOUND)
        if self.lease is not None and not self.lease.is_live(parent, view.now):
            raise FailedPrecondition(
                "the lease that starts this execution is lost",
                reason=Reason.LEASE_LOST,
                subject=key.execution_id,
            )
        return parent

    def _child_of(self, parent: Execution, changes: Changes) -> Execution | None:
        """Return the execution that *parent* has started in this step already."""
        step = self.request.step_key
        return changes.child(Child(parent.key, step)) if step else None

    def _checked_workflow(self, view: View) -> Workflow:
        workflow = view.workflow(self._workflow)
        if workflow is None:
            raise missing_workflow(self._workflow)
        check_inputs(self.request, workflow)
        return workflow

    def _check_free(self, changes: Changes) -> None:
        if self.request.execution_id and changes.execution(self.key):
            raise AlreadyExists("execution", self.request.execution_id)
        check_active(changes, self.workspace_id, self.limits)

    def _check_tree(self, changes: Changes, child: Execution) -> None:
        """Raise if the tree has no room for *child*, or no money."""
        spec, limits = child.spec, self.limits
        root = changes.execution(Key(spec.workspace_id, spec.root_execution_id))
        if len(spec.ancestor_execution_ids) >= limits.tree_depth or (
            root is not None and root.tree_size >= limits.tree_size
        ):
            raise FailedPrecondition(
                f"the tree of {spec.root_execution_id!r} would exceed {limits.tree_depth} levels "
                f"or {limits.tree_size} executions",
                reason=Reason.TREE_TOO_LARGE,
                subject=spec.root_execution_id,
            )
        check_budgets(changes, child)

    def _place(self, parent: Execution | None) -> Place:
        above: tuple[str, ...] = ()
        if parent is not None:
            above = (*parent.spec.ancestor_execution_ids, parent.spec.execution_id)
        return Place(self.workspace_id, self.execution_id, above, self.batch_id)


class Start(msgspec.Struct, frozen=True):
    """Start one execution."""

    candidate: Candidate
    idempotency: Idempotency

    def needs(self) -> Needs:
        return msgspec.structs.replace(self.candidate.needs(), requests=self.idempotency.needs)

    def decide(self, view: View) -> Decision[Started]:
        earlier = self.idempotency.earlier(view)
        if earlier is not None:
            return Decision(_answered(earlier))
        changes = Changes(view)
        answer, content = self.candidate.start(changes, view)
        changed, renewed = changes.versions()
        return Decision(
            answer,
            executions=changed,
            renewals=renewed,
            contents=() if content is None else ((self.candidate.key, content),),
            remembered=self.idempotency.remember(msgspec.json.encode(answer)),
        )


def lease_of(request: StartRequest, tokens: LeaseTokens, workspace_id: str) -> LeaseRef | None:
    """Return the lease that *request* is made with; raise `FailedPrecondition` if it is none."""
    if not request.lease_token:
        return None
    lease = tokens.read(request.lease_token, workspace_id)
    if lease is None:
        raise FailedPrecondition(
            "the lease that starts this execution is unknown", reason=Reason.LEASE_LOST
        )
    return lease


def missing_workflow(ref: WorkflowRef) -> NotFound:
    """Return the error for a workflow, or a version of one, that does not exist."""
    message = f"there is no version {ref.version} of workflow {ref.workflow_id!r}"
    return NotFound("workflow", ref.workflow_id, message if ref.version else "")


def check_active(changes: Changes, workspace_id: str, limits: Limits) -> None:
    """Raise `ResourceExhausted` if the workspace has no room for one more active execution."""
    if changes.active_count(workspace_id) >= limits.active_executions:
        raise ResourceExhausted(
            f"workspace {workspace_id!r} has {limits.active_executions} active executions, which "
            "is its limit",
            reason=Reason.TOO_MANY_EXECUTIONS,
            subject=f"workspace:{workspace_id}",
        )


def check_parent(parent: Execution) -> None:
    """Raise `FailedPrecondition` if *parent* has ended, or is about to."""
    if parent.done or parent.stopping:
        raise FailedPrecondition(
            f"parent {parent.spec.execution_id!r} is {parent.status} and starts nothing more",
            reason=Reason.PARENT_NOT_ACTIVE,
            subject=parent.spec.execution_id,
        )


def check_budgets(changes: Changes, execution: Execution) -> None:
    """Raise `FailedPrecondition` if a budget above *execution* is used up."""
    for ancestor in changes.ancestors(execution):
        failure = over_budget(ancestor)
        if failure is not None:
            raise FailedPrecondition(
                f"budget of execution {ancestor.spec.execution_id!r}: {failure.message}",
                reason=Reason.BUDGET_EXCEEDED,
                subject=ancestor.spec.execution_id,
            )


def _grow_tree(changes: Changes, child: Execution) -> None:
    """Count a child at its root."""
    root = changes.execution(Key(child.spec.workspace_id, child.spec.root_execution_id))
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
