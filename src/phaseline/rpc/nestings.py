"""A tree of executions as a message."""

from __future__ import annotations

from datetime import datetime

from phaseline.app.trees import Node, Tree
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.wire.executions import basic_message


def nesting_message(tree: Tree, now: datetime) -> pb.GetNestingResponse:
    """Return *tree* as it stands at *now*."""
    message = pb.GetNestingResponse(truncated=tree.truncated)
    _fill(message.nesting, tree.top, now)
    return message


def _fill(message: pb.ExecutionNode, node: Node, now: datetime) -> None:
    # In place: a node that is put into its parent when it is made is copied at every level.
    message.execution.CopyFrom(basic_message(node.execution, now))
    for child in node.children:
        _fill(message.children.add(), child, now)
