"""Somebody who watches one thing, stream after stream, and what must be true of what they saw."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from phaseline.app.changes import Entry
from phaseline.app.queries import ExecutionFilter
from phaseline.domain.ids import Key
from phaseline.watch.cursor import ActiveCursor, TreeCursor
from phaseline.watch.scope import Scope
from phaseline.watch.token import Tokens
from tests.support import guarantees
from tests.support.guarantees import Frame, Version
from tests.watch.serving import Reader
from tests.watch.world import WORKSPACE, Ledger


class Server(Protocol):
    """What followers need of a process."""

    tokens: Tokens
    ledger: Ledger
    bookmark_interval: timedelta

    def watch(self, execution_id: str, **asked: object) -> Reader: ...

    def watch_active(self, matching: ExecutionFilter | None = None, **asked: object) -> Reader: ...


class Follower:
    """Somebody who watches one thing, stream after stream."""

    def __init__(self, process: Server, began: int | None) -> None:
        self.process = process
        #: The revision of the first token; None if it began with a snapshot.
        self.began = began
        self.history: list[list[Frame]] = []
        self.synced_at: int | None = None
        self.is_over = self.is_slow = False
        token = "" if began is None else self.token_at(began)
        self.reader = self.open(process, token)

    def open(self, process: Server, token: str) -> Reader:
        raise NotImplementedError

    def token_at(self, revision: int) -> str:
        raise NotImplementedError

    def revision_of(self, token: str) -> int:
        """Return up to where everything was sent."""
        raise NotImplementedError

    def check(self, ledger: Ledger) -> None:
        raise NotImplementedError

    def turn(self) -> bool:
        """Read what has come, and return whether anything had. After a right error, begin anew."""
        reader = self.reader
        reader.is_slow = self.is_slow
        took = reader.take()
        if reader.error is not None:
            self._expired(reader)
        elif reader.is_over and not self.is_over:
            guarantees.closing(reader.stream, "COMPLETED")
            self.is_over = True
            self.pause()
        return took

    async def move(self, process: Server) -> None:
        """Break the stream, and go on with another one."""
        if self.is_over:
            return
        await self.reader.cut()
        token = self.pause()
        self.process = process
        self.reader = self.open(process, token)

    def pause(self) -> str:
        """Keep what was seen in this stream, and return where to go on."""
        stream = self.reader.stream
        if stream:
            self.history.append(stream)
        if self.synced_at is None:
            self.synced_at = self.reader.synced_at
        if self.history:
            return self.history[-1][-1].token
        return "" if self.began is None else self.token_at(self.began)

    def _expired(self, reader: Reader) -> None:
        token = self.pause()
        after = self.revision_of(token)
        assert reader.error is not None
        # There may have been another trimming since it was told.
        oldest = int(reader.error.metadata.get("oldest_revision", 0))
        assert oldest <= self.process.ledger.trimmed_revision + 1
        guarantees.trimmed(reader.error, after=after, oldest=oldest)
        self.began, self.synced_at, self.history = None, None, []
        self.reader = self.open(self.process, "")


class TreeFollower(Follower):
    def __init__(self, process: Server, began: int | None, key: Key, descendants: bool) -> None:
        self.key, self.descendants = key, descendants
        super().__init__(process, began)

    def open(self, process: Server, token: str) -> Reader:
        return process.watch(
            self.key.execution_id,
            resume_token=token,
            descendants=self.descendants,
            bookmark_interval=process.bookmark_interval,
        )

    def token_at(self, revision: int) -> str:
        return self.process.tokens.of_execution(self.key, revision)

    def revision_of(self, token: str) -> int:
        return self._cursor(token).after

    def check(self, ledger: Ledger) -> None:
        log = ledger.log(self._is_watched)
        if self.is_over:
            end = self._cursor(self.history[-1][-1].token).after
            log = [version for version in log if version.revision <= end]
            guarantees.closes_after_the_last_version(self.history, (self.key.execution_id,))
        guarantees.resumable(self.history, log, after=self.began)
        guarantees.in_commit_order(self.history)
        first = [version for version in log if version.revision <= (self.began or 0)]
        guarantees.kinds_fit(self.history, {version.id for version in first})

    def _cursor(self, token: str) -> TreeCursor:
        return self.process.tokens.read_tree(token, self.key, self.descendants)

    def _is_watched(self, entry: Entry) -> bool:
        assert entry.execution is not None, "nothing is deleted"
        above = entry.execution.spec.ancestor_execution_ids
        return entry.key == self.key or (self.descendants and self.key.execution_id in above)


class ActiveFollower(Follower):
    def __init__(self, process: Server, began: int | None, matching: ExecutionFilter) -> None:
        self.scope = Scope(WORKSPACE, matching)
        super().__init__(process, began)

    def open(self, process: Server, token: str) -> Reader:
        return process.watch_active(
            self.scope.matching, resume_token=token, bookmark_interval=process.bookmark_interval
        )

    def token_at(self, revision: int) -> str:
        return self.process.tokens.of_active(self.scope, ActiveCursor(revision))

    def revision_of(self, token: str) -> int:
        return self.process.tokens.read_active(token, self.scope).after

    def check(self, ledger: Ledger) -> None:
        log = ledger.log_of(self.scope)
        had = _wanted_at(log, self.began or 0)
        after = self.synced_at if self.began is None else self.began
        assert after is not None, "was never synced"
        guarantees.ordered(self.history)
        guarantees.unique(self.history)
        guarantees.kinds_fit(self.history, had)
        guarantees.newest_versions(self.history, log, after=after, had=had)


def _wanted_at(log: list[Version], revision: int) -> dict[guarantees.Id, int]:
    newest = {version.id: version for version in log if version.revision <= revision}
    return {id: version.revision for id, version in newest.items() if version.is_wanted}
