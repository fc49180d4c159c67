"""Storing and reading workflows."""

from __future__ import annotations

import msgspec

from phaseline.app.caller import Caller
from phaseline.app.idempotency import Idempotency
from phaseline.app.limits import Limits
from phaseline.app.ports import Decision, Needs, Reads, View, WorkflowPage, WorkflowRef, Writer
from phaseline.app.schemas import check_schema
from phaseline.app.starting import missing_workflow
from phaseline.app.tokens import Signer
from phaseline.domain.checks import check_workflow
from phaseline.domain.errors import FieldViolation, InvalidArgument, Reason
from phaseline.domain.workflow import Workflow, WorkflowSpec


class Applied(msgspec.Struct, frozen=True):
    """The workflow as stored, and whether it is a new version."""

    workflow: Workflow
    changed: bool


class ListedWorkflows(msgspec.Struct, frozen=True):
    """One page, with the token of the next; empty on the last."""

    page: WorkflowPage
    next_page_token: str


class Apply(msgspec.Struct, frozen=True):
    """Store a workflow, as its next version if it differs from the latest."""

    workspace_id: str
    spec: WorkflowSpec
    idempotency: Idempotency
    validate_only: bool = False

    def needs(self) -> Needs:
        return Needs(workflows=(self._latest(),), requests=self.idempotency.needs)

    def decide(self, view: View) -> Decision[Applied]:
        earlier = self.idempotency.earlier(view)
        latest = view.workflow(self._latest())
        if earlier is not None:
            version = int.from_bytes(earlier.answer[1:])
            first = view.workflow(WorkflowRef(self.workspace_id, self.spec.workflow_id, version))
            return Decision(
                Applied(first or latest or self._next(view, None), bool(earlier.answer[0]))
            )
        if latest is not None and latest.spec == self.spec:
            return self._decision(latest, changed=False)
        return self._decision(self._next(view, latest), changed=True)

    def _decision(self, workflow: Workflow, *, changed: bool) -> Decision[Applied]:
        if self.validate_only:
            return Decision(Applied(workflow, changed))
        answer = bytes([changed]) + workflow.version.to_bytes(4)
        return Decision(
            Applied(workflow, changed),
            workflows=(workflow,) if changed else (),
            remembered=self.idempotency.remember(answer),
        )

    def _latest(self) -> WorkflowRef:
        return WorkflowRef(self.workspace_id, self.spec.workflow_id)

    def _next(self, view: View, latest: Workflow | None) -> Workflow:
        return Workflow(
            workspace_id=self.workspace_id,
            version=1 if latest is None else latest.version + 1,
            spec=self.spec,
            created_at=view.now if latest is None else latest.created_at,
            updated_at=view.now,
        )


class Workflows:
    """The use-cases around workflows."""

    def __init__(self, writer: Writer, reads: Reads, *, signer: Signer, limits: Limits) -> None:
        self._writer, self._reads = writer, reads
        self._signer, self._limits = signer, limits

    async def apply(
        self,
        caller: Caller,
        spec: WorkflowSpec,
        *,
        validate_only: bool = False,
        request_id: str = "",
        digest: bytes = b"",
    ) -> Applied:
        """Store *spec*, or only check it. An unchanged one changes nothing."""
        self._check(spec)
        idempotency = Idempotency(
            caller.workspace_id, "ApplyWorkflow", "" if validate_only else request_id, digest
        )
        command = Apply(caller.workspace_id, spec, idempotency, validate_only)
        return (await self._writer.post(command)).answer

    async def get(self, caller: Caller, workflow_id: str, version: int = 0) -> Workflow:
        """Return a version of a workflow; 0 means the latest."""
        ref = WorkflowRef(caller.workspace_id, workflow_id, version)
        workflow = await self._reads.workflow(ref)
        if workflow is None:
            raise missing_workflow(ref)
        return workflow

    async def list(
        self, caller: Caller, *, page_size: int, page_token: str = ""
    ) -> ListedWorkflows:
        """Return one page of latest versions, by workflow_id."""
        after = read_name_token(self._signer, page_token, "W", caller.workspace_id)
        page = await self._reads.workflows(caller.workspace_id, after=after, limit=page_size)
        token = ""
        if page.has_more:
            last = page.workflows[-1].workflow_id
            token = self._signer.sign(("W", caller.workspace_id, last))
        return ListedWorkflows(page, token)

    def _check(self, spec: WorkflowSpec) -> None:
        found = list(check_workflow(spec, max_phases=self._limits.phases_per_workflow))
        wrong = check_schema(spec.output_schema) if spec.output_schema else None
        if wrong is not None:
            found.append(
                FieldViolation(
                    "output_schema", f"must be a JSON Schema: {wrong}", Reason.INVALID_SCHEMA
                )
            )
        size = len(msgspec.json.encode(spec))
        if size > self._limits.workflow:
            found.append(
                FieldViolation(
                    "",
                    f"must have at most {self._limits.workflow} bytes, has {size}",
                    Reason.PAYLOAD_TOO_LARGE,
                )
            )
        if found:
            raise InvalidArgument.all_of(violation.under("workflow") for violation in found)


def read_name_token(signer: Signer, token: str, mark: str, scope: str) -> str:
    """Return the name at which the page before *token* ended; empty for the first page."""
    if not token:
        return ""
    try:
        found, of, name = signer.read(token, tuple[str, str, str])
    except ValueError as error:
        raise InvalidArgument.of("page_token", str(error), Reason.PAGE_TOKEN_INVALID) from None
    if (found, of) != (mark, scope):
        raise InvalidArgument.of("page_token", "is of another list", Reason.PAGE_TOKEN_INVALID)
    return name
