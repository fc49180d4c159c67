"""A tree of executions as a message."""

from __future__ import annotations

from datetime import datetime

from phaseline.app.trees import Node, Tree
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.wire.executions import fill_basic


def nesting_message(tree: Tree, now: datetime) -> pb.GetNestingResponse:
    """Return *tree* as it stands at *now*."""
    message = pb.GetNestingResponse(truncated=tree.truncated)
    _fill(message.nesting, tree.top, now)
    return message


def _fill(message: pb.ExecutionNode, node: Node, now: datetime) -> None:
    fill_basic(message.execution, node.execution, now)
    for child in node.children:
        _fill(message.children.add(), child, now)
