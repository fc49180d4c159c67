"""What the full view adds."""

from msgspec.structs import replace

from phaseline.app.changes import Entry
from phaseline.app.ports import Slot
from phaseline.domain.execution import Content
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.v1 import execution_pb2
from phaseline.watch.payloads import StoredPayloads
from phaseline.wire.frames import Frames
from tests.watch.world import COMPLETED, WORKSPACE, Change, Database, change

KEY = Key(WORKSPACE, "a")
DONE = Payload(data=b"done", media_type="text/plain")


def given(id: str, *, has_content: bool = True) -> Change:
    spec = {"has_content": has_content}
    return change(id, COMPLETED, phase_count=2, operations=(0, 3, 250), spec=spec)


def entry_with_payloads(database: Database, *, has_payload: bool = True) -> Entry:
    [entry] = database.commit(given("a")).entries
    parts = tuple(replace(part, has_payload=has_payload) for part in entry.parts)
    return replace(entry, parts=parts)


async def test_each_part_gets_its_own() -> None:
    database = Database()
    entry = entry_with_payloads(database)
    database.contents[KEY] = Content(task="survey")
    database.stored_outputs[Slot(KEY, 1)] = DONE
    added = await StoredPayloads(database, Frames()).of_entry(entry)
    execution = execution_pb2.Execution.FromString(entry.parts[0].body + added[0])
    assert (execution.task, execution.result.data) == ("survey", b"done")
    assert execution.execution_id == "a", "it goes behind what was there"
    assert added[1] == b"", "the first phase has produced nothing"
    assert execution_pb2.Phase.FromString(added[2]).output.data == b"done"
    assert [execution_pb2.Operation.FromString(each).input.data for each in added[3:]] == [
        b"in",
        b"in",
        b"in",
    ]


async def test_a_version_without_payloads_is_not_looked_up() -> None:
    """A phase that failed has an older output for another attempt to go by; it must not show."""
    database = Database()
    entry = entry_with_payloads(database, has_payload=False)
    database.stored_outputs[Slot(KEY, 1)] = DONE
    added = await StoredPayloads(database, Frames()).of_entry(entry)
    assert b"".join(added) == b""


async def test_what_was_given_nothing_is_not_looked_up() -> None:
    database = Database()
    [entry] = database.commit(given("a", has_content=False)).entries
    database.contents[KEY] = Content(task="of another")
    assert (await StoredPayloads(database, Frames()).of_entry(entry))[0] == b""


async def test_what_is_gone_is_left_out() -> None:
    database = Database()
    entry = entry_with_payloads(database)
    database.stored_operations.clear()
    added = await StoredPayloads(database, Frames()).of_entry(replace(entry, execution=None))
    assert b"".join(added) == b""
