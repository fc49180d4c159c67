"""A watch goes on behind whichever frame was read last, without a gap and without a repeat."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from phaseline.watch.shared import Sizes
from tests.support import guarantees
from tests.watch.serving import Process, Reader
from tests.watch.world import COMPLETED, RUNNING, Database, change

#: So small that every commit is cut.
SIZES = Sizes(changes=1, log_page=2, executions=1, operations=1, look=1)
BELOW = {"ancestor_execution_ids": ("a",)}

Open = Callable[[Process, str], Reader]


def tree(process: Process, token: str) -> Reader:
    return process.watch("a", resume_token=token, descendants=True)


def active(process: Process, token: str) -> Reader:
    return process.watch_active(resume_token=token)


def write(process: Process) -> None:
    """Commit what fills several frames."""
    for at in range(3):
        process.commit(
            change("a", RUNNING, phases=[0], operations=range(2 * at, 2 * at + 2)),
            change("c", RUNNING, operations=[at], spec=BELOW),
        )
    process.commit(change("a", COMPLETED, phases=[0]), change("c", COMPLETED, spec=BELOW))


async def frames_of(process: Process, open_: Open, token: str = "") -> Reader:
    reader = open_(process, token)
    await process.settle()
    process.readers.remove(reader)
    await reader.cut()
    return reader


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("open_", [tree, active])
async def test_it_goes_on_behind_every_frame(open_: Open, in_memory: bool) -> None:
    process = Process(Database(), sizes=SIZES, max_revisions=1000 if in_memory else 1)
    process.commit(change("a"), change("c", spec=BELOW))
    first = open_(process, "")
    await process.settle()
    write(process)
    await process.settle()
    process.readers.remove(first)
    await first.cut()
    log = process.ledger.log(lambda entry: True)
    assert len([frame for frame in first.stream if frame.changes]) > 3
    for cut in range(1, len(first.stream) + 1):
        read = first.stream[:cut]
        rest = await frames_of(process, open_, read[-1].token)
        history = [read, rest.stream]
        guarantees.ordered(history)
        guarantees.unique(history)
        if open_ is tree:
            guarantees.every_version(history, log)
        else:
            executions = [version for version in log if len(version.id) == 1]
            guarantees.newest_versions(history, executions, after=1)
