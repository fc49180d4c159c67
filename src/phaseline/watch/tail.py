"""The newest commits in memory, so that watchers which keep up read no database."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any

import msgspec

from phaseline.app.changes import Commit, Entry, Folded, Part
from phaseline.domain.ids import Key

MAX_REVISIONS = 16_384
MAX_BYTES = 32 * 1024 * 1024

#: About what the objects around the bytes of an entry and of a part take.
_ENTRY_SIZE = 600
_PART_SIZE = 150
#: What is let go at once: little by little it would cost more, and all at once a pause.
_SHARE_LET_GO = 16

_revision = attrgetter("revision")
_execution_id = attrgetter("key.execution_id")
_place = attrgetter("revision", "key.execution_id")


class Tail:
    """
    The stretch of the log that ends at `head`, complete past `floor`.

    Whoever needs more than that reads the log itself. What is in here is shared by all watchers,
    and bounded in revisions and bytes whatever they do.
    """

    def __init__(
        self, head: int, *, max_revisions: int = MAX_REVISIONS, max_bytes: int = MAX_BYTES
    ) -> None:
        self.head = self.floor = head
        #: Rises when what was in here must not be used any more.
        self.generation = 0
        self._max_revisions, self._max_bytes = max_revisions, max_bytes
        self._size = 0
        #: Of each commit what it holds, and the size of that.
        self._commits: deque[tuple[list[Entry], int]] = deque()
        self._by_workspace: dict[str, list[Entry]] = {}
        self._by_execution: dict[Key, list[Entry]] = {}
        #: Of all that is below a root, the root itself left out: most executions are alone.
        self._below_root: dict[Key, list[Entry]] = {}

    def append(self, commit: Commit) -> None:
        """Take in the commit after the head. One further on leaves a gap, which lifts the floor."""
        if commit.revision <= self.head:
            return
        # What a purge erased must be gone from here, too: the log knows what is left of it.
        if commit.revision != self.head + 1 or any(map(_is_purge, commit.entries)):
            self.restart(commit.revision - 1)
        entries = sorted(commit.entries, key=_execution_id)
        size = sum([self._add(entry) for entry in entries])
        self._commits.append((entries, size))
        self._size += size
        self.head = commit.revision
        if len(self._commits) > self._max_revisions or self._size > self._max_bytes:
            self._let_go()

    def restart(self, head: int) -> None:
        """Go on from *head*, and know nothing of what led there."""
        self._commits.clear()
        self._size = 0
        for lists in (self._by_workspace, self._by_execution, self._below_root):
            lists.clear()
        self.head = self.floor = head
        self.generation += 1

    def last_revision(self, key: Key) -> int:
        """Return the newest revision in here that changed the execution; 0 if none did."""
        entries = self._by_execution.get(key)
        return entries[-1].revision if entries else 0

    def holds(self, after: int, until: int) -> bool:
        """Whether all that happened past *after* up to *until* is in here."""
        return self.floor <= after and until <= self.head

    def version(self, key: Key, revision: int) -> Part | None:
        """Return that version of the execution, if it is its newest and in here."""
        entries = self._by_execution.get(key)
        return entries[-1].parts[0] if entries and entries[-1].revision == revision else None

    def entries_of(
        self, key: Key, *, root_execution_id: str = "", after: int, until: int, limit: int
    ) -> Sequence[Entry]:
        """
        Return what `History.entries_of` does.

        The root is that of *key*, and is given if what is below *key* is wanted, too.
        """
        entries: Iterable[Entry] = _between(self._by_execution.get(key, []), after, until)
        if root_execution_id:
            below = self._below_root.get(Key(key.workspace_id, root_execution_id), [])
            found = (entry for entry in _between(below, after, until) if _is_below(entry, key))
            entries = merge(entries, found, key=_place)
        return _whole_commits(entries, limit)

    def folded(
        self, workspace_id: str, *, after: int, until: int, past: tuple[int, str]
    ) -> Iterator[Folded]:
        """Yield what `History.folded` returns, of all executions. Use it up before any await."""
        entries = self._by_workspace.get(workspace_id, [])
        start = bisect_right(entries, max(after, past[0] - 1), key=_revision)
        for entry in islice(entries, start, None):
            if entry.revision > until:
                return
            versions = self._by_execution[entry.key]
            if versions[-1] is not entry and versions[_last_up_to(versions, until)] is not entry:
                continue
            if _place(entry) > past:
                yield _fold(versions, after, entry)

    def _add(self, entry: Entry) -> int:
        """Take in one entry, and return about how much room it takes."""
        workspace_id, execution_id = key = entry.key
        versions = self._by_execution.get(key)
        if versions is None:
            versions = self._by_execution[key] = []
        elif versions[-1].execution is not None:
            # One for all versions: only what never changes of it is looked at, and the phases of
            # every version would take more room than all else in here.
            entry = msgspec.structs.replace(entry, execution=versions[-1].execution)
        versions.append(entry)
        self._by_workspace.setdefault(workspace_id, []).append(entry)
        if entry.root_execution_id != execution_id:
            root = Key(workspace_id, entry.root_execution_id)
            self._below_root.setdefault(root, []).append(entry)
        size = _ENTRY_SIZE
        for part in entry.parts:
            size += _PART_SIZE + len(part.body) + len(part.extra)
        return size

    def _lists_of(self, entry: Entry) -> Iterator[tuple[dict[Any, list[Entry]], Any]]:
        workspace_id, execution_id = entry.key
        yield self._by_workspace, workspace_id
        yield self._by_execution, entry.key
        if entry.root_execution_id != execution_id:
            yield self._below_root, Key(workspace_id, entry.root_execution_id)

    def _let_go(self) -> None:
        revisions = self._max_revisions - self._max_revisions // _SHARE_LET_GO
        most = self._max_bytes - self._max_bytes // _SHARE_LET_GO
        touched = {}
        while self._commits and (len(self._commits) > revisions or self._size > most):
            entries, size = self._commits.popleft()
            self._size -= size
            self.floor += 1
            for entry in entries:
                for lists, name in self._lists_of(entry):
                    touched[id(lists), name] = lists
        for (_, name), lists in touched.items():
            del lists[name][: bisect_right(lists[name], self.floor, key=_revision)]
            if not lists[name]:
                del lists[name]


def _between(entries: list[Entry], after: int, until: int) -> Iterator[Entry]:
    start = bisect_right(entries, after, key=_revision)
    for entry in islice(entries, start, None):
        if entry.revision > until:
            return
        yield entry


def _is_purge(entry: Entry) -> bool:
    return entry.execution is not None and entry.execution.is_purged


def _is_below(entry: Entry, key: Key) -> bool:
    if entry.root_execution_id == key.execution_id:
        return True
    execution = entry.execution
    return execution is not None and key.execution_id in execution.spec.ancestor_execution_ids


def _whole_commits(entries: Iterable[Entry], limit: int) -> Sequence[Entry]:
    """Return the first *limit* entries, and the rest of the commit that the last is of."""
    taken: list[Entry] = []
    for entry in entries:
        if len(taken) >= limit and entry.revision != taken[-1].revision:
            break
        taken.append(entry)
    return taken


def _last_up_to(versions: list[Entry], until: int) -> int:
    return bisect_right(versions, until, key=_revision) - 1


def _fold(versions: list[Entry], after: int, last: Entry) -> Folded:
    """Return what happened past *after* up to *last*."""
    if len(versions) == 1 or (versions[-1] is last and versions[-2].revision <= after):
        return Folded(last, last.status_before)
    first = bisect_right(versions, after, key=_revision)
    older = versions[first : _last_up_to(versions, last.revision)]
    return Folded(
        entry=last,
        status_before=(older[0] if older else last).status_before,
        passed=frozenset(entry.status_after for entry in older),
        left_out=len(older),
    )
