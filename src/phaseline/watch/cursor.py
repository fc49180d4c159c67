"""Where a watch is: all that a watcher holds, and all that its token says."""

from __future__ import annotations

import msgspec

#: Before everything of an execution.
NOTHING = -1
#: Past all its operations, also those to come.
EVERYTHING = 3


class ActiveCursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a watch of active executions is."""

    #: Everything up to this revision was sent.
    after: int
    #: The snapshot was sent up to this execution_id; None once all of it was.
    snapshot: str | None = None
    #: End of the range that is being sent, folded; 0 if none is.
    until: int = 0
    #: The last version of that range that was sent: its revision and execution_id.
    past: tuple[int, str] = (0, "")


class Spot(msgspec.Struct, frozen=True, array_like=True, order=True):
    """
    A place in the snapshot of a tree, which is ordered as the fields are.

    What comes up to it was sent, and its changes are due; the rest comes with the snapshot.
    """

    #: Empty for the top, which so comes first.
    execution_id: str = ""
    #: A `Resource`, or NOTHING or EVERYTHING.
    resource: int = NOTHING
    ordinal: int = 0


class TreeCursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a watch of one execution is, with or without those below it."""

    #: Everything up to this revision was sent.
    after: int
    #: None once all of the snapshot was sent.
    snapshot: Spot | None = None
    #: Of the commit that comes next, what is before this execution was sent ...
    sent_id: str = ""
    #: ... and so many parts of it.
    sent_parts: int = 0
