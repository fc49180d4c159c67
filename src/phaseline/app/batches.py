"""Starting many executions in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from phaseline.app.caller import Caller
from phaseline.app.consequences import Changes
from phaseline.app.idempotency import Idempotency
from phaseline.app.leasing import LeaseTokens
from phaseline.app.limits import Limits
from phaseline.app.ports import Answered, Clock, Decision, Entropy, Needs, View, Writer
from phaseline.app.refusals import Refusal
from phaseline.app.starting import Candidate, Started, lease_of
from phaseline.app.tokens import Signer
from phaseline.domain.errors import FieldViolation, InvalidArgument, PhaselineError
from phaseline.domain.execution import Content
from phaseline.domain.ids import EXECUTION_ID, Key, uuid7
from phaseline.domain.start import StartRequest, check_start


class BatchStarted(msgspec.Struct, frozen=True):
    """What became of a batch: for each start, in order, the execution or why there is none."""

    batch_id: str
    results: tuple[Started | Refusal, ...]


class StartBatch(msgspec.Struct, frozen=True):
    """Start many executions: all or none, or each that can be."""

    batch_id: str
    #: What is refused already has its refusal.
    candidates: tuple[Candidate | Refusal, ...]
    idempotency: Idempotency
    allow_partial: bool

    def needs(self) -> Needs:
        needs = [one.needs() for one in self.candidates if isinstance(one, Candidate)]
        return Needs(
            executions=tuple({key for each in needs for key in each.executions}),
            workflows=tuple({ref for each in needs for ref in each.workflows}),
            children=tuple({child for each in needs for child in each.children}),
            requests=self.idempotency.needs,
        )

    def decide(self, view: View) -> Decision[BatchStarted]:
        earlier = self.idempotency.earlier(view)
        if earlier is not None:
            return Decision(_answered(earlier))
        changes = Changes(view)
        contents: list[tuple[Key, Content]] = []
        results: list[Started | Refusal] = []
        for at, one in enumerate(self.candidates):
            if isinstance(one, Refusal):
                results.append(one)
                continue
            try:
                started, content = one.start(changes, view)
            except PhaselineError as error:
                if not self.allow_partial:
                    raise located(error, at) from None
                results.append(Refusal.of(error))
                continue
            results.append(started)
            if content is not None:
                contents.append((one.key, content))
        answer = BatchStarted(self.batch_id, tuple(results))
        changed, renewed = changes.versions()
        return Decision(
            answer,
            executions=changed,
            renewals=renewed,
            contents=tuple(contents),
            remembered=self.idempotency.remember(msgspec.json.encode(answer)),
        )


class Batches:
    """The use-case of callers that start many executions at once."""

    def __init__(
        self, writer: Writer, *, clock: Clock, entropy: Entropy, signer: Signer, limits: Limits
    ) -> None:
        self._writer, self._clock, self._entropy = writer, clock, entropy
        self._lease_tokens, self._limits = LeaseTokens(signer), limits

    async def execute(
        self,
        caller: Caller,
        requests: Sequence[StartRequest],
        *,
        batch_id: str = "",
        allow_partial: bool = False,
        request_id: str = "",
        digest: bytes = b"",
    ) -> BatchStarted:
        """
        Start *requests* in one transaction: all or none, or with *allow_partial* each that can be.

        Raises what `Executions.execute` raises, for the first that cannot be started; its fields
        are those of "executions[3]". With *allow_partial* only for the batch as a whole.
        """
        self._check(requests, batch_id)
        batch_id = batch_id or self._new_id()
        candidates = tuple(self._candidates(caller, requests, batch_id))
        refused = [
            (at, one.error()) for at, one in enumerate(candidates) if isinstance(one, Refusal)
        ]
        if refused and not allow_partial:
            raise _together(refused)
        committed = await self._writer.post(
            StartBatch(
                batch_id,
                candidates,
                Idempotency(caller.workspace_id, "ExecuteBatch", request_id, digest),
                allow_partial,
            ),
            weight=len(candidates),
        )
        return _revised(committed.answer, committed.revision)

    def _check(self, requests: Sequence[StartRequest], batch_id: str) -> None:
        """Raise `InvalidArgument` for what is wrong with the batch itself."""
        found = []
        if not 1 <= len(requests) <= self._limits.batch:
            found.append(
                FieldViolation(
                    "executions", f"must be 1 to {self._limits.batch}, there are {len(requests)}"
                )
            )
        if batch_id and not EXECUTION_ID.fullmatch(batch_id):
            found.append(
                FieldViolation(
                    "batch_id", 'must be 1 to 128 letters, digits, ".", "_", ":" and "-"'
                )
            )
        found.extend(
            FieldViolation(f"executions[{at}].request_id", "must be empty, the batch has its own")
            for at, request in enumerate(requests)
            if request.request_id
        )
        if found:
            raise InvalidArgument.all_of(found)

    def _candidates(
        self, caller: Caller, requests: Sequence[StartRequest], batch_id: str
    ) -> Iterator[Candidate | Refusal]:
        for request in requests:
            try:
                check_start(request, self._limits.start)
                lease = lease_of(request, self._lease_tokens, caller.workspace_id)
            except PhaselineError as error:
                yield Refusal.of(error)
                continue
            yield Candidate(
                workspace_id=caller.workspace_id,
                execution_id=request.execution_id or self._new_id(),
                request=request,
                limits=self._limits,
                lease=lease,
                batch_id=batch_id,
            )

    def _new_id(self) -> str:
        return uuid7(self._clock.now(), self._entropy.bits())


def located(error: PhaselineError, at: int) -> PhaselineError:
    """Return *error* as one that tells which start of a batch it is about."""
    field = f"executions[{at}]"
    if isinstance(error, InvalidArgument):
        return error.under(field)
    error.metadata = {**error.metadata, "field": field}
    return error


def _together(refused: Sequence[tuple[int, PhaselineError]]) -> PhaselineError:
    """Return one error for all that is wrong with the fields, or the first other one."""
    errors = [located(error, at) for at, error in refused]
    violations = [
        violation
        for error in errors
        if isinstance(error, InvalidArgument)
        for violation in error.violations
    ]
    return InvalidArgument.all_of(violations) if violations else errors[0]


def _answered(earlier: Answered) -> BatchStarted:
    first = msgspec.json.decode(earlier.answer, type=BatchStarted)
    repeated = tuple(
        msgspec.structs.replace(one, created=False) if isinstance(one, Started) else one
        for one in first.results
    )
    return _revised(msgspec.structs.replace(first, results=repeated), earlier.revision)


def _revised(answer: BatchStarted, revision: int) -> BatchStarted:
    """Return *answer* with the revision where it was not known before the commit."""
    results = tuple(
        msgspec.structs.replace(one, revision=revision)
        if isinstance(one, Started) and not one.revision
        else one
        for one in answer.results
    )
    return msgspec.structs.replace(answer, results=results)
