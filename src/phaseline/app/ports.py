"""What the use-cases need from the outside world, as protocols and the values that cross them."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from phaseline.app.queries import (
    ExecutionPage,
    ExecutionQuery,
    Nesting,
    OperationPage,
    OperationQuery,
)
from phaseline.domain.closing import Closing
from phaseline.domain.execution import Artifact, Content, Execution, Operation
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.domain.recording import Recorded
from phaseline.domain.report import LeaseRequest
from phaseline.domain.usage import ModelUsage
from phaseline.domain.workflow import Workflow

T = TypeVar("T")


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, UTC."""


class Entropy(Protocol):
    """Draws what must not be guessed, or must differ."""

    def bits(self) -> int:
        """Return 74 random bits."""

    def fraction(self) -> float:
        """Return a number in [0, 1)."""


class Prices(Protocol):
    """Knows what tokens cost."""

    def cost_nanos(self, usage: ModelUsage) -> int | None:
        """Return what *usage* costs in nano-dollars, or None when its model has no known price."""

    async def learn(self, models: Collection[str]) -> None:
        """Look up *models*, so that `cost_nanos` need not wait for anything."""


class Slot(msgspec.Struct, frozen=True):
    """A phase of an execution."""

    key: Key
    position: int


class OperationsOf(msgspec.Struct, frozen=True):
    """Operations that one attempt may have reported before."""

    slot: Slot
    epoch: int
    operation_ids: tuple[str, ...]


class Answered(msgspec.Struct, frozen=True):
    """What an earlier write with the same request_id was, and how it was answered."""

    method: str
    digest: bytes
    answer: bytes
    revision: int


class Remembered(msgspec.Struct, frozen=True):
    """
    A write to remember by its request_id.

    With *key* the answer is that execution as the commit leaves it, encoded.
    """

    workspace_id: str
    request_id: str
    method: str
    digest: bytes
    answer: bytes = b""
    key: Key | None = None


class WorkflowRef(msgspec.Struct, frozen=True):
    """A version of a workflow; 0 means the latest."""

    workspace_id: str
    workflow_id: str
    version: int = 0


class Group(NamedTuple):
    """Executions that share a concurrency limit."""

    workspace_id: str
    workflow_id: str
    concurrency_key: str

    @classmethod
    def of(cls, execution: Execution) -> Group:
        """Return the group that *execution* is in."""
        spec = execution.spec
        return cls(spec.workspace_id, execution.workflow.workflow_id, spec.concurrency_key)


class Child(msgspec.Struct, frozen=True):
    """The execution that a parent starts in one of its steps."""

    parent: Key
    step_key: str


class Needs(msgspec.Struct, frozen=True):
    """What a command looks at, so that a whole batch is loaded at once."""

    executions: tuple[Key, ...] = ()
    #: With all that is active below them.
    trees: tuple[Key, ...] = ()
    workflows: tuple[WorkflowRef, ...] = ()
    requests: tuple[tuple[str, str], ...] = ()
    children: tuple[Child, ...] = ()
    operations: tuple[OperationsOf, ...] = ()
    #: About to be purged, which rewrites what the change log tells of them.
    purges: tuple[Key, ...] = ()
    #: Attempts whose open operations end, which the batch adds by itself.
    closings: tuple[tuple[Slot, Closing], ...] = ()


class View(Protocol):
    """The state that one command decides on: all before it in its batch is in it already."""

    @property
    def now(self) -> datetime:
        """The one moment at which the whole batch happens."""

    def execution(self, key: Key) -> Execution | None:
        """Return the execution with its phases. Its ancestors can be asked for, too."""

    def child(self, child: Child) -> Execution | None:
        """Return the execution that was started in that step."""

    def active_below(self, key: Key) -> Sequence[Execution]:
        """Return the active descendants, parents before children."""

    def active_count(self, workspace_id: str) -> int:
        """Return how many executions of the workspace are not terminal."""

    def admitted_count(self, group: Group) -> int:
        """Return how many executions hold a slot of a concurrency limit."""

    def waiting(self, group: Group, limit: int) -> Sequence[Execution]:
        """
        Return executions that wait for a slot, higher priority first, then older.

        Those alone that `Execution.wants_slot` tells.
        """

    def leased_count(self, workspace_id: str, queue_name: str) -> int:
        """Return how many phases of the queue are leased."""

    def workflow(self, ref: WorkflowRef) -> Workflow | None:
        """Return that version of a workflow."""

    def answered(self, workspace_id: str, request_id: str) -> Answered | None:
        """Return the earlier write with that request_id."""

    def recorded(self, slot: Slot, epoch: int) -> Mapping[str, Recorded]:
        """Return those operations of an attempt, by id, that are on record already."""

    def ready(self, workspace_id: str, request: LeaseRequest) -> Iterable[Slot]:
        """Return phases that the worker may lease, in the order in which it should get them."""

    def leased(self, workspace_id: str, request: LeaseRequest) -> Sequence[Slot]:
        """Return the phases that this very request leased and still holds."""

    def due(self, limit: int) -> Sequence[Key]:
        """Return executions that time alone changes by now."""


class Decision(msgspec.Struct, Generic[T], frozen=True):
    """What a command answers, and everything that is stored before it does."""

    answer: T
    #: New versions, which watchers will see.
    executions: tuple[Execution, ...] = ()
    #: New versions that differ in nothing a caller can see, such as renewed leases.
    renewals: tuple[Execution, ...] = ()
    contents: tuple[tuple[Key, Content], ...] = ()
    operations: tuple[Operation, ...] = ()
    #: What ends with its attempt: operations of this decision, and those that are on record.
    closings: tuple[tuple[Slot, Closing], ...] = ()
    outputs: tuple[tuple[Slot, Payload], ...] = ()
    checkpoints: tuple[tuple[Slot, Payload], ...] = ()
    artifacts: tuple[tuple[Artifact, bytes | None], ...] = ()
    workflows: tuple[Workflow, ...] = ()
    remembered: tuple[Remembered, ...] = ()
    #: Erase their content, payloads, operations and artifacts. The change log keeps of each earlier
    #: version what `domain.purge.as_logged` makes of it, and of phases and operations nothing.
    purged: tuple[Key, ...] = ()
    #: Delete them and all that is theirs, but in the change log, which only trimming shortens.
    deleted: tuple[Key, ...] = ()
    #: Forget the change log up to and with this revision.
    trimmed_to: int = 0
    #: Forget these writes, by workspace_id and request_id.
    forgotten: tuple[tuple[str, str], ...] = ()


class Command(Protocol[T]):
    """One write: pure, decided within a batch, stored with it or not at all."""

    def needs(self) -> Needs:
        """Return what `decide` will look at."""

    def decide(self, view: View) -> Decision[T]:
        """Return what happens. Raise a `PhaselineError` to refuse, which leaves no trace."""


class StandingCommand(Protocol[T]):
    """A write that waits until there is a phase to lease."""

    @property
    def workspace_id(self) -> str:
        """The workspace that it waits in."""

    @property
    def request(self) -> LeaseRequest:
        """Which phases it waits for: it is asked when it is new, and while one of them is ready."""

    def decide(self, view: View) -> Decision[T] | None:
        """Return what happens, or None to be asked again."""


class Committed(msgspec.Struct, Generic[T], frozen=True):
    """An answer, with the revision that holds what it tells."""

    answer: T
    revision: int


class Standing(Protocol[T]):
    """A standing command that waits."""

    async def answer(self) -> Committed[T]:
        """Return the answer once there is one; raise `Withdrawn` after `withdraw`."""

    def withdraw(self) -> bool:
        """Stop waiting. False if it is being decided: `answer` then returns before long."""


class Withdrawn(Exception):
    """The standing command was withdrawn before there was something to do."""


class Writer(Protocol):
    """Makes commands durable, many in one commit, in the order in which they are posted."""

    def post(self, command: Command[T], *, weight: int = 1) -> Awaitable[Committed[T]]:
        """
        Take *command* in. Awaited, give its answer once all that it changed is committed.

        *weight* is about how many rows it writes: fewer of the heavy ones share a commit.

        Raises what `decide` raised, or `Unavailable` if it could not be committed. A caller that
        stops waiting does not stop the command.
        """

    def stand(self, command: StandingCommand[T]) -> Standing[T]:
        """Take *command* in, to be tried now and after changes until it does something."""


class Detail(msgspec.Struct, frozen=True):
    """An execution with all that Get shows, read as of one moment."""

    execution: Execution
    content: Content
    #: By position.
    outputs: Mapping[int, Payload]
    operations: Sequence[Operation]
    revision: int


class WorkflowPage(msgspec.Struct, frozen=True):
    """Latest versions, by workflow_id."""

    workflows: Sequence[Workflow]
    total_size: int
    has_more: bool


class ArtifactPage(msgspec.Struct, frozen=True):
    """Artifacts without their bytes, oldest first."""

    artifacts: Sequence[Artifact]
    total_size: int
    has_more: bool


class Reads(Protocol):
    """Reads what is committed. Every read sees all writes that were answered before it."""

    async def status(self, key: Key) -> Execution | None:
        """Return the execution, perhaps without its phases: the cheapest read."""

    async def detail(
        self,
        key: Key,
        *,
        full: bool = True,
        operations: int = 0,
        phase_ids: Sequence[str] = (),
    ) -> Detail | None:
        """Return the execution with phases, and if *full* with content, outputs and operations."""

    async def executions(self, query: ExecutionQuery) -> ExecutionPage:
        """Return one page, newest first unless the query says otherwise."""

    async def operations(self, query: OperationQuery) -> OperationPage:
        """Return one page, in the order of first record."""

    async def nesting(
        self, workspace_id: str, *, execution_id: str = "", chat_message_id: str = "", limit: int
    ) -> Nesting | None:
        """
        Return an execution, or the newest for a chat message, with at most *limit* below it.

        The deepest of those below are left out first, and the newest among equally deep ones.
        """

    async def content(self, key: Key) -> Content:
        """Return what the execution was given; empty if nothing, or if purged."""

    async def outputs(self, slots: Sequence[Slot]) -> Mapping[Slot, Payload]:
        """Return the outputs that are stored."""

    async def checkpoint(self, slot: Slot) -> Payload | None:
        """Return the last checkpoint."""

    async def workflow(self, ref: WorkflowRef) -> Workflow | None:
        """Return that version."""

    async def workflows(self, workspace_id: str, *, after: str = "", limit: int) -> WorkflowPage:
        """Return one page of latest versions whose workflow_id is past *after*."""

    async def artifact(
        self, workspace_id: str, artifact_id: str
    ) -> tuple[Artifact, bytes | None] | None:
        """Return the artifact and its bytes; None for bytes that are elsewhere."""

    async def artifacts(
        self, key: Key, *, phase_id: str = "", after: str = "", limit: int
    ) -> ArtifactPage:
        """Return one page of the artifacts whose id is past *after*."""


class Encoder(Protocol):
    """Makes the bytes of a version, which every watcher of it is sent."""

    def execution(self, execution: Execution) -> bytes:
        """Return it without its phases and without what only the full view has."""

    def execution_extra(self, execution: Execution) -> bytes:
        """Return what the full view adds, payloads left out; appended, the two are one message."""

    def phase(self, execution: Execution, position: int) -> bytes:
        """Return a phase without its output, attempts and operations."""

    def operation(self, operation: Operation) -> bytes:
        """Return an operation without its input and output."""
