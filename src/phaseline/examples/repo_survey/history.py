"""The second phase: who changed the repository, when, and which files most."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypedDict

from phaseline.examples.repo_survey import phase
from phaseline.examples.repo_survey.git import Git, surveyed, text

_AUTHORS = 50
_FILES = 50

# The name comes last: it is the one that may have a tab in it.
_FORMAT = "--format=tformat:commit%x09%as%x09%aE%x09%aN"
_COMMIT = b"commit\t"

#: What git itself shows for a commit whose date is broken.
_NO_DAY = "1970-01-01"


class Author(TypedDict):
    """A person, told apart by the e-mail address, `.mailmap` being heeded."""

    name: str
    commits: int
    added_lines: int
    deleted_lines: int
    first_day: str
    last_day: str


class ChangedFile(TypedDict):
    """A file by its present name: changes under earlier names count as its own."""

    path: str
    commits: int
    added_lines: int
    deleted_lines: int


class History(TypedDict):
    """The output of the phase: figures of the newest commits, merges changing no files."""

    commits: int
    all_commits: int
    shallow: bool
    first_day: str
    last_day: str
    author_count: int
    authors: list[Author]
    commits_by_month: dict[str, int]
    changed_files: list[ChangedFile]


@dataclass
class _Commit:
    day: str
    email: str
    name: str
    changes: list["_Change"] = field(default_factory=list)


@dataclass
class _Change:
    added: int
    deleted: int
    path: bytes
    earlier_path: bytes


@dataclass
class _Tally:
    """What has been counted so far."""

    days: tuple[str, str] = ("", "")
    authors: dict[str, Author] = field(default_factory=dict)
    months: Counter[str] = field(default_factory=Counter)
    files: dict[bytes, ChangedFile] = field(default_factory=dict)
    #: Present path of each path that was renamed.
    renamed: dict[bytes, bytes] = field(default_factory=dict)


def read_history() -> str:
    """Return the `History` as JSON."""
    git, tally = surveyed(), _Tally()
    commit, limit = git.head(), _limit()
    all_commits = int(git.output("rev-list", "--count", commit))
    total = min(limit, all_commits)
    for each in phase.following(_commits(git, commit, limit), total, "reading commits"):
        _count(tally, each)
    return json.dumps(_history(git, tally, all_commits), indent=2)


def _limit() -> int:
    limit = phase.given("max_commits")
    if not limit.isascii() or not limit.isdecimal() or int(limit) == 0:
        raise phase.PhaseFailed(f"max_commits must be a whole number above 0, not {limit!r}")
    return int(limit)


def _commits(git: Git, commit: str, limit: int) -> Iterator[_Commit]:
    """Yield the newest *limit* commits, newest first."""
    arguments = ("-z", "--numstat", "-M", "--no-ext-diff", "--no-textconv", "--encoding=UTF-8")
    records = git.records("log", *arguments, _FORMAT, f"--max-count={limit}", commit)
    current: _Commit | None = None
    for record in records:
        if record.startswith(_COMMIT):
            if current is not None:
                yield current
            current = _commit(record)
        elif current is not None:
            current.changes.append(_change(record, records))
    if current is not None:
        yield current


def _commit(record: bytes) -> _Commit:
    _, day, email, name = text(record).split("\t", 3)
    return _Commit(day if day[:1].isdecimal() else _NO_DAY, email, name)


def _change(record: bytes, following: Iterator[bytes]) -> _Change:
    added, deleted, path = record.lstrip(b"\n").split(b"\t", 2)
    # A rename has no path here but two records after this: the earlier one, then the later.
    earlier, path = (path, path) if path else (next(following), next(following))
    return _Change(_lines(added), _lines(deleted), path, earlier)


def _lines(number: bytes) -> int:
    """Return *number*, and 0 for the "-" of a binary file."""
    return 0 if number == b"-" else int(number)


def _count(tally: _Tally, commit: _Commit) -> None:
    tally.days = _spanned(tally.days, commit.day)
    tally.months[commit.day.rpartition("-")[0]] += 1
    author = tally.authors.setdefault(commit.email.casefold() or commit.name, _author(commit))
    author["commits"] += 1
    author["first_day"], author["last_day"] = _spanned(
        (author["first_day"], author["last_day"]), commit.day
    )
    for change in commit.changes:
        author["added_lines"] += change.added
        author["deleted_lines"] += change.deleted
        _count_file(tally, change)


def _count_file(tally: _Tally, change: _Change) -> None:
    present = tally.renamed.get(change.path, change.path)
    if change.earlier_path != change.path:
        # Newest first: what lies before this commit happened to the earlier path.
        tally.renamed[change.earlier_path] = present
    file = tally.files.setdefault(present, _changed_file(present))
    file["commits"] += 1
    file["added_lines"] += change.added
    file["deleted_lines"] += change.deleted


def _spanned(days: tuple[str, str], day: str) -> tuple[str, str]:
    first, last = days
    return min(first or day, day), max(last, day)


def _author(commit: _Commit) -> Author:
    return Author(
        name=commit.name,
        commits=0,
        added_lines=0,
        deleted_lines=0,
        first_day=commit.day,
        last_day=commit.day,
    )


def _changed_file(path: bytes) -> ChangedFile:
    return ChangedFile(path=text(path), commits=0, added_lines=0, deleted_lines=0)


def _history(git: Git, tally: _Tally, all_commits: int) -> History:
    authors = sorted(tally.authors.values(), key=lambda of: (-of["commits"], of["name"]))
    files = sorted(tally.files.values(), key=lambda of: (-of["commits"], of["path"]))
    return History(
        commits=tally.months.total(),
        all_commits=all_commits,
        shallow=git.output("rev-parse", "--is-shallow-repository") == "true",
        first_day=tally.days[0],
        last_day=tally.days[1],
        author_count=len(authors),
        authors=authors[:_AUTHORS],
        commits_by_month=dict(sorted(tally.months.items())),
        changed_files=files[:_FILES],
    )


if __name__ == "__main__":
    phase.run(read_history)
