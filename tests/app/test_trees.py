"""Reading trees: every descendant once, the older first, cut where there are too many."""

from collections.abc import Iterator

import pytest

from phaseline.app.trees import Node
from phaseline.domain.errors import InvalidArgument, NotFound
from tests.support import make
from tests.support.app import App
from tests.support.make import SECOND


def _names(node: Node) -> object:
    return (node.execution.spec.execution_id, [_names(child) for child in node.children])


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)


async def _family(app: App) -> None:
    await app.apply()
    for name, parent in (("root", ""), ("b", "root"), ("a", "root"), ("c", "b"), ("d", "a")):
        await app.start(
            name, parent_execution_id=parent, chat_message_id="m1" if not parent else ""
        )
        await app.clock.advance(SECOND)


async def test_a_tree_has_every_descendant_in_its_place(app: App) -> None:
    await _family(app)
    tree = await app.trees.get(app.caller, execution_id="root")
    assert _names(tree.top) == ("root", [("b", [("c", [])]), ("a", [("d", [])])])
    assert not tree.truncated


async def test_a_tree_may_begin_anywhere(app: App) -> None:
    await _family(app)
    tree = await app.trees.get(app.caller, execution_id="a")
    assert _names(tree.top) == ("a", [("d", [])])
    tree = await app.trees.get(app.caller, execution_id="d")
    assert _names(tree.top) == ("d", [])


async def test_a_tree_is_found_by_its_newest_chat_message(app: App) -> None:
    await _family(app)
    await app.start("second", chat_message_id="m1")
    tree = await app.trees.get(app.caller, chat_message_id="m1")
    assert tree.top.execution.spec.execution_id == "second"


async def test_a_tree_shows_its_usage_at_every_node(app: App) -> None:
    await _family(app)
    for assigned in await app.lease(9):
        await app.report(assigned, make.DONE, usage_by_model=make.spent(1))
    tree = await app.trees.get(app.caller, execution_id="root")
    spent = {node.execution.spec.execution_id: node.execution for node in _all(tree.top)}
    assert {name: one.tree_usage.cost_nanos for name, one in spent.items()} == {
        "root": 5,
        "a": 2,
        "b": 2,
        "c": 1,
        "d": 1,
    }


async def test_a_tree_is_cut_at_the_deepest_and_newest(app: App) -> None:
    await app.apply()
    await app.start("root")
    await app.start("first", parent_execution_id="root")
    await app.clock.advance(SECOND)
    await app.batches.execute(
        app.caller, [make.start_request(parent_execution_id="root") for _ in range(998)]
    )
    await app.clock.advance(SECOND)
    await app.start("deep1", parent_execution_id="first")
    tree = await app.trees.get(app.caller, execution_id="root")
    assert (tree.truncated, sum(1 for _ in _all(tree.top))) == (False, 1001)
    await app.clock.advance(SECOND)
    await app.start("deep2", parent_execution_id="first")
    tree = await app.trees.get(app.caller, execution_id="root")
    assert (tree.truncated, sum(1 for _ in _all(tree.top))) == (True, 1001)
    first = tree.top.children[0]
    assert _names(first) == ("first", [("deep1", [])])
    await app.start("late", parent_execution_id="root")
    tree = await app.trees.get(app.caller, execution_id="root")
    # What is less deep goes first, however new it is.
    assert tree.truncated
    assert tree.top.children[-1].execution.spec.execution_id == "late"
    assert _names(tree.top.children[0]) == ("first", [])


async def test_a_tree_of_nobody_is_not_found(app: App) -> None:
    await _family(app)
    with pytest.raises(NotFound, match="there is no execution 'nobody'"):
        await app.trees.get(app.caller, execution_id="nobody")
    with pytest.raises(NotFound, match="chat message 'm9'"):
        await app.trees.get(app.caller, chat_message_id="m9")
    app.caller = type(app.caller)("other")
    with pytest.raises(NotFound):
        await app.trees.get(app.caller, execution_id="root")


async def test_a_tree_must_be_asked_for(app: App) -> None:
    with pytest.raises(InvalidArgument, match="execution_id or chat_message_id is required"):
        await app.trees.get(app.caller)
