"""The files of a SQLite database: who may use them, and whether they are still where they were."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from phaseline.store.failures import DatabaseInUse, StoreFailed


class FileLock:
    """Keeps a second server off a database file, for as long as this process lives."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock, or raise `DatabaseInUse` naming the process that has it."""
        # By its true name, or a link to the database would have a lock of its own.
        true = self._database.resolve()
        # Opened to append: the holder's number must survive our attempt.
        file = true.with_name(true.name + ".lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise DatabaseInUse(
                f"{self._database} is in use by process {holder or 'unknown'}: one server at a "
                "time can use a SQLite file; stop that one first"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let others have it; the file stays, since removing it would race with them."""
        if self._file is not None:
            self._file.close()
            self._file = None


class OpenFiles:
    """
    Tells whether the files that a connection has open are still those at their paths.

    SQLite goes on writing to a file that was removed or replaced, and all of that would be lost
    when the process ends.
    """

    def __init__(self, database: Path) -> None:
        # What is in the log is not in the database yet, and the index holds both together.
        self._paths = [
            str(database.with_name(database.name + suffix)) for suffix in ("", "-wal", "-shm")
        ]
        self._seen: list[tuple[int, int]] = []

    def remember(self) -> None:
        """Take note of the files; a connection must have all of them open."""
        self._seen = [_inode(path) for path in self._paths]

    def check(self) -> None:
        """Raise `StoreFailed` if one of the files is gone or is another one."""
        for path, seen in zip(self._paths, self._seen, strict=True):
            if _inode(path) != seen:
                raise StoreFailed(f"{path} is not the file that was opened: it was replaced")

    @property
    def database_is_there(self) -> bool:
        """Whether at least the database itself is where it was."""
        try:
            return _inode(self._paths[0]) == self._seen[0]
        except StoreFailed:
            return False


def _inode(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise StoreFailed(f"{path} cannot be found: {error.strerror}") from error
    return found.st_dev, found.st_ino
