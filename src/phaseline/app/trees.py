"""Reading executions with those that they started."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from phaseline.app.caller import Caller
from phaseline.app.ports import Reads
from phaseline.app.queries import Nesting
from phaseline.domain.errors import InvalidArgument, NotFound
from phaseline.domain.execution import Execution

_MOST_DESCENDANTS = 1000


class Node(msgspec.Struct, frozen=True):
    """An execution, without its phases, and those it started, the older first."""

    execution: Execution
    children: tuple[Node, ...]


class Tree(msgspec.Struct, frozen=True):
    """All of a tree, or its upper and older part if it was *truncated*."""

    top: Node
    truncated: bool


class Trees:
    """The use-case of callers that look at a whole tree."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def get(
        self, caller: Caller, *, execution_id: str = "", chat_message_id: str = ""
    ) -> Tree:
        """Return an execution, or the newest for a chat message, with its descendants."""
        if bool(execution_id) == bool(chat_message_id):
            raise InvalidArgument.of("execution_id", "or chat_message_id is required")
        nesting = await self._reads.nesting(
            caller.workspace_id,
            execution_id=execution_id,
            chat_message_id=chat_message_id,
            limit=_MOST_DESCENDANTS,
        )
        if nesting is None:
            message = f"there is no execution for chat message {chat_message_id!r}"
            raise NotFound("execution", execution_id, "" if execution_id else message)
        return Tree(_nested(nesting), nesting.truncated)


def _nested(nesting: Nesting) -> Node:
    children: defaultdict[str, list[Node]] = defaultdict(list)
    # From the bottom up: a node is made when all below it are.
    for execution in reversed(nesting.below):
        node = Node(execution, _taken(children, execution))
        children[execution.spec.parent_execution_id].append(node)
    return Node(nesting.top, _taken(children, nesting.top))


def _taken(children: defaultdict[str, list[Node]], execution: Execution) -> tuple[Node, ...]:
    return tuple(reversed(children.pop(execution.spec.execution_id, [])))
