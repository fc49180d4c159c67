"""The hot queries go along indexes, on tables of which SQLite knows nothing but the indexes."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Executable, create_engine, select, text
from sqlalchemy.sql import ClauseElement

from phaseline.app.queries import ExecutionFilter, ExecutionQuery, Order, Position
from phaseline.domain.execution import ExecutionSpec
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.store import tables
from phaseline.store.folding import last_versions
from phaseline.store.listing import Listing
from phaseline.store.nesting import is_below
from phaseline.store.sqlite_text import sizes, text_for
from phaseline.store.statements import ORDER, Action, Statement

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALONE = {
    "nothing": (ExecutionFilter(), "ix_executions_created_at"),
    "a status": (ExecutionFilter(statuses=(ExecutionStatus.FAILED,)), "ix_executions_status"),
    "statuses": (
        ExecutionFilter(statuses=(ExecutionStatus.FAILED, ExecutionStatus.PAUSED)),
        "ix_executions_status",
    ),
    "active": (ExecutionFilter(active_only=True), "ix_executions_status"),
    "a workflow": (ExecutionFilter(workflow_ids=("a",)), "ix_executions_workflow_id"),
    "workflows": (ExecutionFilter(workflow_ids=("a", "b")), "ix_executions_workflow_id"),
    "a responder": (ExecutionFilter(responder_ids=("a",)), "ix_executions_responder_id"),
    "responders": (ExecutionFilter(responder_ids=("a", "b")), "ix_executions_responder_id"),
    "a session": (ExecutionFilter(session_ids=("a",)), "ix_executions_session_id"),
    "sessions": (ExecutionFilter(session_ids=("a", "b", "c")), "ix_executions_session_id"),
    "a user": (ExecutionFilter(user_ids=("a",)), "ix_executions_user_id"),
    "users": (ExecutionFilter(user_ids=("a", "b")), "ix_executions_user_id"),
    "a message": (ExecutionFilter(chat_message_id="a"), "ix_executions_chat_message_id"),
    "a batch": (ExecutionFilter(batch_id="a"), "ix_executions_batch_id"),
    "a parent": (ExecutionFilter(parent_execution_id="a"), "ix_executions_parent_execution_id"),
    "a root": (ExecutionFilter(root_execution_id="a"), "ix_executions_root_execution_id"),
    "a queue": (ExecutionFilter(queue_names=("a",)), "ix_executions_queue_name"),
    "queues": (ExecutionFilter(queue_names=("a", "b")), "ix_executions_queue_name"),
    "a repository": (ExecutionFilter(repos=("a",)), "execution_repos"),
    "repositories": (ExecutionFilter(repos=("a", "b")), "execution_repos"),
    "a label": (ExecutionFilter(labels={"a": "b"}), "execution_labels"),
    "labels": (ExecutionFilter(labels={"a": "b", "c": "d"}), "execution_labels"),
    "a time": (ExecutionFilter(created_after=NOON), "ix_executions_created_at"),
    "a day": (
        ExecutionFilter(created_after=NOON, created_before=NOON),
        "ix_executions_created_at",
    ),
    "an id": (ExecutionFilter(id_prefix="01"), "ix_executions_created_at"),
    "a user's failures": (
        ExecutionFilter(user_ids=("a",), statuses=(ExecutionStatus.FAILED,)),
        "ix_executions_user_id",
    ),
    "a label's failures": (
        ExecutionFilter(labels={"a": "b"}, statuses=(ExecutionStatus.FAILED,)),
        "execution_labels",
    ),
}
FIGURES = {
    Order.UPDATED_AT_DESC: "ix_executions_revision",
    Order.COST_USD_DESC: "ix_executions_cost_nanos",
    Order.TOTAL_TOKENS_DESC: "ix_executions_total_tokens",
}
BY_CREATION = (Order.CREATED_AT_DESC, Order.CREATED_AT_ASC)
PAST = (None, Position(5, "a"))
filters = pytest.mark.parametrize(("matching", "index"), ALONE.values(), ids=ALONE)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    tables.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def plan(connection: Connection, statement: ClauseElement | Executable | str) -> list[str]:
    """Return the steps that SQLite takes, with the tables and indexes of each."""
    sql = statement
    if not isinstance(sql, str):
        assert isinstance(statement, ClauseElement)
        sql = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
    return [step.detail for step in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]


def scanned(steps: list[str]) -> list[str]:
    """Return the steps that look at every row of a table."""
    names = "|".join(table.name for table in tables.metadata.sorted_tables)
    return [step for step in steps if re.match(rf"SCAN ({names})\b", step)]


def looked_up(steps: list[str], index: str) -> list[str]:
    """Return the steps that search along an index, or along the table of that name."""
    pattern = rf"SEARCH (\w+ USING (COVERING )?INDEX {index}|{index} USING PRIMARY KEY) \("
    return [step for step in steps if re.match(pattern, step)]


@filters
@pytest.mark.parametrize("after", PAST, ids=["first page", "next page"])
@pytest.mark.parametrize("order", BY_CREATION)
def test_a_page_by_creation_goes_along_the_index_of_its_filter(
    connection: Connection,
    matching: ExecutionFilter,
    index: str,
    order: Order,
    after: Position | None,
) -> None:
    query = ExecutionQuery("w", matching, order, 50, after=after)
    steps = plan(connection, Listing(query).page(few=False))
    assert scanned(steps) == []
    assert looked_up(steps, index)
    # Sorted are the rows of the page, and nothing before they are looked up: what is in order
    # already by walk, or merged from several, is no more than a page each.
    first = steps.index("USE TEMP B-TREE FOR ORDER BY")
    assert any(re.match("SCAN anon_", step) for step in steps[:first])


@filters
@pytest.mark.parametrize("after", PAST, ids=["first page", "next page"])
@pytest.mark.parametrize("order", FIGURES)
def test_many_are_walked_in_the_order_of_a_figure(
    connection: Connection,
    matching: ExecutionFilter,
    index: str,
    order: Order,
    after: Position | None,
) -> None:
    query = ExecutionQuery("w", matching, order, 50, after=after)
    steps = plan(connection, Listing(query).page(few=False))
    assert looked_up(steps[:1], FIGURES[order])
    assert "USE TEMP B-TREE FOR ORDER BY" not in steps
    assert scanned(steps) == []


@filters
@pytest.mark.parametrize("order", FIGURES)
def test_few_are_found_by_their_filter_and_sorted_by_a_figure(
    connection: Connection, matching: ExecutionFilter, index: str, order: Order
) -> None:
    query = ExecutionQuery("w", matching, order, 50)
    steps = plan(connection, Listing(query).page(few=True))
    assert scanned(steps) == []
    if matching == ExecutionFilter():
        assert looked_up(steps, FIGURES[order])
    else:
        expected = "sqlite_autoindex_executions_1" if matching.id_prefix else index
        assert looked_up(steps, expected)
        assert not looked_up(steps, FIGURES[order])


def test_few_ids_are_found_by_their_beginning(connection: Connection) -> None:
    query = ExecutionQuery("w", ExecutionFilter(id_prefix="01"), Order.CREATED_AT_DESC, 50)
    steps = plan(connection, Listing(query).page(few=True))
    assert looked_up(steps[1:2], "sqlite_autoindex_executions_1")


@filters
def test_counting_goes_along_the_same_index(
    connection: Connection, matching: ExecutionFilter, index: str
) -> None:
    query = ExecutionQuery("w", matching, Order.CREATED_AT_DESC, 50)
    exact = Listing(query).counted
    steps = plan(connection, Listing(query).count if exact is None else exact)
    assert scanned(steps) == []
    expected = "sqlite_autoindex_executions_1" if matching.id_prefix else index
    assert looked_up(steps, "execution_counts" if exact is not None else expected)


@filters
def test_several_filters_are_probed_along_their_indexes(
    connection: Connection, matching: ExecutionFilter, index: str
) -> None:
    probe = Listing(ExecutionQuery("w", matching, Order.CREATED_AT_DESC, 50)).probe
    if probe is not None:
        steps = plan(connection, probe)
        assert scanned(steps) == []
        assert looked_up(steps, index)


def test_the_filter_that_matches_fewest_leads(connection: Connection) -> None:
    matching = ExecutionFilter(
        user_ids=("a",), labels={"a": "b"}, statuses=(ExecutionStatus.FAILED,)
    )
    for at, index in enumerate(
        ("ix_executions_user_id", "execution_labels", "ix_executions_status")
    ):
        listing = Listing(ExecutionQuery("w", matching, Order.CREATED_AT_DESC, 50))
        listing = listing.led([0 if at == other else 1 for other in range(3)])
        assert looked_up(plan(connection, listing.page(few=False))[1:2], index)
        assert looked_up(plan(connection, listing.count), index)


def test_what_the_counters_know_is_not_counted() -> None:
    def is_exact(matching: ExecutionFilter) -> bool:
        query = ExecutionQuery("w", matching, Order.CREATED_AT_DESC, 50)
        return Listing(query).counted is not None

    assert {name for name, (matching, _) in ALONE.items() if is_exact(matching)} == {
        "nothing",
        "a status",
        "statuses",
        "active",
        "a workflow",
        "workflows",
    }


def test_active_executions_are_loaded_along_their_own_index(connection: Connection) -> None:
    active = select(tables.executions).where(text(tables.IS_ACTIVE))
    assert plan(connection, active) == ["SCAN executions USING INDEX ix_executions_active"]


def test_the_last_versions_of_a_range_are_found_along_the_log(connection: Connection) -> None:
    statement = last_versions("w", after=5, until=500, past=(7, "a"), limit=100)
    steps = plan(connection, statement)
    assert looked_up(steps, "sqlite_autoindex_changes_1")
    assert looked_up(steps, "ix_changes_execution_id") or any(
        "COVERING INDEX ix_changes_execution_id" in step for step in steps
    )
    assert "USE TEMP B-TREE FOR ORDER BY" not in steps


@pytest.mark.parametrize("above", [(), ("r",)], ids=["a root", "below a root"])
def test_what_is_below_an_execution_is_found_in_its_tree(
    connection: Connection, above: tuple[str, ...]
) -> None:
    root = above[0] if above else "e"
    spec = ExecutionSpec("w", "e", NOON, "".join(above), root, above)
    steps = plan(connection, select(tables.executions).where(*is_below(spec)))
    assert looked_up(steps, "ix_executions_root_execution_id")


@pytest.mark.parametrize("statement", ORDER, ids=lambda one: f"{one.action.value} {one.table}")
def test_the_writer_finds_its_rows_by_their_keys(
    connection: Connection, statement: Statement
) -> None:
    (rows,) = {max(sizes(statement, 64))}
    sql = text_for(statement, rows)
    bound = f"EXPLAIN QUERY PLAN {sql}"
    values = tuple([1] * sql.count("?"))
    steps = [step.detail for step in connection.exec_driver_sql(bound, values)]
    assert scanned(steps) == []
    if statement.action in (Action.UPDATE, Action.SUBTRACT, Action.DELETE):
        assert [step for step in steps if step.startswith(f"SEARCH {statement.table.name}")]
