"""
Filling a database with executions that have ended, to measure how it does when it has grown.

They are what real ones would have left: the domain ran a few, and the others are these with other
names, times and figures. Of all but the last the change log is trimmed, as it is of what is old.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, func, select, update

from phaseline.app.changes import Commit
from phaseline.app.ports import Clock, Decision, Encoder, Needs, Slot, View
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key, uuid7
from phaseline.domain.start import Place, StartRequest
from phaseline.domain.workflow import Workflow
from phaseline.faults import NoPoints
from phaseline.store import rows, samples, tables
from phaseline.store import statements as st
from phaseline.store.opening import Store, open_store
from phaseline.store.running import run_rows
from phaseline.store.samples import Variety, Version
from phaseline.store.statements import Statement

#: Executions of which the change log is kept.
LOGGED = 2_000

_OLD_AT_ONCE = 1_000
_LOGGED_AT_ONCE = 100
# Of each workflow so many executions were run for the others to be like.
_MODELS = 30
_SPACING = timedelta(seconds=1)
_AGE = timedelta(days=30)
# One in so many starts a batch, or is the root of a tree.
_BATCH_EVERY, _BATCH = 1_000, 100
_TREE_EVERY, _TREE = 100, 5
# A version each for the start, and for the lease and the end of every phase.
_VERSIONS = 1 + 2 * samples.PHASES


async def fill(
    url: str,
    executions: int,
    *,
    encoder: Encoder,
    clock: Clock,
    variety: Variety | None = None,
    logged: int = LOGGED,
) -> None:
    """
    Add so many ended executions to the database of *url*, which nobody may have open.

    Some thousands a second. Raises what `open_store` raises.
    """
    variety = variety or Variety()
    store = await open_store(url)
    try:
        plan = await store.database.read(lambda c: _Plan.of(c, variety, clock.now(), executions))
        await store.database.write(plan.add_workflows)
        await _add_old(store, plan, max(executions - logged, 0))
    finally:
        await store.close()
    store = await open_store(url)
    try:
        await _add_logged(store, plan, min(executions, logged), encoder, clock)
    finally:
        await store.close()


class _Plan:
    """Who starts what, and when."""

    def __init__(self, variety: Variety, first: datetime, spacing: timedelta, number: int) -> None:
        self.random = Random(number)
        self.workflows = {
            f"filled-{at}": samples.workflow(variety.workspace_id, at, first)
            for at in range(variety.workflows)
        }
        self._variety = variety
        self._moment, self._spacing, self._number = first, spacing, number

    @classmethod
    def of(cls, connection: Connection, variety: Variety, now: datetime, executions: int) -> _Plan:
        """Return what goes on behind the newest execution that there is."""
        e = tables.executions.c
        newest, number = connection.execute(
            select(func.max(e.created_at), func.count()).where(
                e.workspace_id == variety.workspace_id
            )
        ).one()
        first = max(now - _AGE, rows.moment(newest or 0))
        return cls(variety, first, min(_SPACING, (now - first) / (executions + 1)), number)

    def add_workflows(self, connection: Connection) -> None:
        """Apply the workflows that the database lacks."""
        known = set(connection.execute(select(tables.workflows.c.workflow_id)).scalars())
        lacking = [each for name, each in self.workflows.items() if name not in known]
        run_rows(connection, {st.ADD_WORKFLOW: [rows.workflow_row(each) for each in lacking]})

    def starts(self, count: int) -> Iterator[tuple[StartRequest, Place, datetime]]:
        """Yield what is said, where it stands and when it is, a root before those below it."""
        above = ""
        for _ in range(count):
            self._number += 1
            self._moment += self._spacing
            execution_id = uuid7(self._moment, self.random.getrandbits(74))
            in_tree = self._number % _TREE_EVERY
            if in_tree == 0:
                above = execution_id
            ancestors = (above,) if above and 0 < in_tree < _TREE else ()
            batch, in_batch = divmod(self._number, _BATCH_EVERY)
            batch_id = f"batch-{batch}" if in_batch < _BATCH else ""
            yield (
                self._variety.request(self._number, self.random),
                Place(self._variety.workspace_id, execution_id, ancestors, batch_id),
                self._moment,
            )


async def _add_old(store: Store, plan: _Plan, count: int) -> None:
    """Add executions whose changes are trimmed."""
    models = {
        name: [_last(plan, each) for _ in range(_MODELS)] for name, each in plan.workflows.items()
    }
    ended: dict[Key, Execution] = {}
    for request, place, now in plan.starts(count):
        model = plan.random.choice(models[request.workflow_id])
        made = samples.like(model, request, place, now, plan.random)
        if len(ended) >= _OLD_AT_ONCE and not place.ancestor_execution_ids:
            await store.database.write(partial(_store_old, list(ended.values())))
            ended.clear()
        ended[made.key] = made
        for above in place.ancestor_execution_ids:
            root = ended[Key(place.workspace_id, above)]
            ended[root.key] = replace(
                root, tree_size=root.tree_size + 1, below=root.below + made.usage
            )
    await store.database.write(partial(_store_old, list(ended.values())))


def _last(plan: _Plan, workflow: Workflow) -> Execution:
    """Return an execution of *workflow* as it ended."""
    place = Place(workflow.workspace_id, "model")
    request = StartRequest(workflow.workflow_id)
    *_, last = samples.life(request, workflow, place, workflow.created_at, plan.random)
    return last.execution


def _store_old(ended: Sequence[Execution], connection: Connection) -> None:
    c = tables.identity.c
    head = connection.execute(select(c.head)).scalar_one()
    table: defaultdict[Statement, list[rows.Row]] = defaultdict(list)
    counts: Counter[tuple[str, str, str]] = Counter()
    for bare in ended:
        # As many commits changed it, each of them some other execution as well or not.
        head += _VERSIONS
        phases = tuple(replace(phase, revision=head) for phase in bare.phases)
        execution = replace(bare, revision=head, phases=phases)
        key, spec = execution.key, execution.spec
        table[st.ADD_EXECUTION].append(rows.execution_row(execution))
        for position, phase in enumerate(phases):
            table[st.ADD_PHASE].append((*key, *rows.phase_part(position, phase)))
            if phase.output_size is not None:
                slot = Slot(key, position)
                table[st.PUT_PAYLOAD].append(rows.payload_row(slot, "output", samples.OUTPUT))
        table[st.ADD_LABEL].extend(rows.label_rows(spec))
        table[st.ADD_REPO].extend(rows.repo_rows(spec))
        counts[spec.workspace_id, execution.workflow.workflow_id, execution.status.value] += 1
    table[st.COUNT_MORE] = [(*name, count) for name, count in counts.items()]
    run_rows(connection, table)
    connection.execute(
        update(tables.identity).values(head=head, trimmed=head, commits=c.commits + 1)
    )


async def _add_logged(
    store: Store, plan: _Plan, count: int, encoder: Encoder, clock: Clock
) -> None:
    """Add executions version by version, as a server does."""
    writer = store.writer(_Nobody(), encoder, clock, NoPoints())
    running = asyncio.create_task(writer.run())
    starts = plan.starts(count)
    while some := list(itertools.islice(starts, _LOGGED_AT_ONCE)):
        lives = [
            samples.life(
                request, plan.workflows[request.workflow_id], _alone(place), now, plan.random
            )
            for request, place, now in some
        ]
        for versions in itertools.zip_longest(*lives):
            await writer.post(_Put(tuple(version for version in versions if version is not None)))
    writer.close()
    await running


def _alone(place: Place) -> Place:
    return msgspec.structs.replace(place, ancestor_execution_ids=())


class _Put(msgspec.Struct, frozen=True):
    """Store versions as they are."""

    versions: tuple[Version, ...]

    def needs(self) -> Needs:
        return Needs()

    def decide(self, view: View) -> Decision[None]:
        return Decision(
            None,
            executions=tuple(version.execution for version in self.versions),
            outputs=tuple(output for version in self.versions for output in version.outputs),
        )


class _Nobody:
    """`Announcer` of a database that nobody watches."""

    def committed(self, commit: Commit) -> None:
        return

    def advance(self, head: int) -> None:
        return
