"""The first phase: the files of the repository, by language and by size."""

import heapq
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

from phaseline.examples.repo_survey import phase
from phaseline.examples.repo_survey.git import Git, surveyed, text
from phaseline.examples.repo_survey.languages import language

_LARGEST = 20
_SYMBOLIC_LINK = b"120000"
_SUBMODULE = b"160000"


class Language(TypedDict):
    """The files in one language; a binary file has no lines."""

    language: str
    files: int
    lines: int
    bytes: int


class LargeFile(TypedDict):
    """One of the largest files."""

    path: str
    language: str
    bytes: int


class Inventory(TypedDict):
    """The output of the phase: figures of one commit, without symbolic links and submodules."""

    repository: str
    commit: str
    files: int
    lines: int
    bytes: int
    binary_files: int
    symbolic_links: int
    submodules: int
    languages: list[Language]
    largest_files: list[LargeFile]


class _Entry(NamedTuple):
    """A line of `git ls-tree`."""

    mode: bytes
    size: int
    path: bytes


@dataclass
class _Tally:
    """What has been counted so far."""

    languages: dict[str, Language] = field(default_factory=dict)
    binary_files: int = 0
    #: Paths that are no files of this repository, by mode.
    others: dict[bytes, set[bytes]] = field(
        default_factory=lambda: {_SYMBOLIC_LINK: set(), _SUBMODULE: set()}
    )

    def of(self, path: bytes) -> Language:
        name = language(text(path))
        return self.languages.setdefault(name, Language(language=name, files=0, lines=0, bytes=0))

    @property
    def files(self) -> int:
        return sum(figures["files"] for figures in self.languages.values())


def take_inventory() -> str:
    """Return the `Inventory` as JSON."""
    git, tally = surveyed(), _Tally()
    commit = git.head()
    largest = heapq.nlargest(
        _LARGEST, _count_files(git, commit, tally), key=lambda entry: (entry.size, entry.path)
    )
    _count_lines(git, commit, tally)
    return json.dumps(_inventory(git, commit, tally, largest), indent=2)


def _count_files(git: Git, commit: str, tally: _Tally) -> Iterator[_Entry]:
    """Count the files into *tally*, and yield them."""
    phase.tell_progress(0, "counting files")
    for record in git.records("ls-tree", "-r", "-l", "-z", "--full-tree", commit):
        entry = _entry(record)
        if entry.mode in tally.others:
            tally.others[entry.mode].add(entry.path)
            continue
        figures = tally.of(entry.path)
        figures["files"] += 1
        figures["bytes"] += entry.size
        yield entry


def _entry(record: bytes) -> _Entry:
    facts, path = record.split(b"\t", 1)
    mode, _, _, size = facts.split()
    return _Entry(mode, 0 if size == b"-" else int(size), path)


def _count_lines(git: Git, commit: str, tally: _Tally) -> None:
    """
    Count the lines into *tally*.

    The comparison with nothing lets git count: it knows binary files, and no content passes here.
    """
    nothing = git.output("hash-object", "-t", "tree", "/dev/null")
    comparison = ("diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv")
    others = set[bytes]().union(*tally.others.values())
    records = git.records(*comparison, nothing, commit)
    for record in phase.following(records, tally.files + len(others), "counting lines"):
        added, _, path = record.split(b"\t", 2)
        if path in others:
            continue
        if added == b"-":
            tally.binary_files += 1
        else:
            tally.of(path)["lines"] += int(added)


def _inventory(git: Git, commit: str, tally: _Tally, largest: list[_Entry]) -> Inventory:
    languages = sorted(
        tally.languages.values(), key=lambda of: (-of["lines"], -of["bytes"], of["language"])
    )
    return Inventory(
        repository=_name(git),
        commit=commit,
        files=tally.files,
        lines=sum(of["lines"] for of in languages),
        bytes=sum(of["bytes"] for of in languages),
        binary_files=tally.binary_files,
        symbolic_links=len(tally.others[_SYMBOLIC_LINK]),
        submodules=len(tally.others[_SUBMODULE]),
        languages=languages,
        largest_files=[_large_file(entry) for entry in largest],
    )


def _large_file(entry: _Entry) -> LargeFile:
    path = text(entry.path)
    return LargeFile(path=path, language=language(path), bytes=entry.size)


def _name(git: Git) -> str:
    """Return the name of the directory that the repository is in, without ".git"."""
    top = (git.path / git.output("rev-parse", "--show-cdup")).resolve()
    return text(os.fsencode(top.name.removesuffix(".git") or top.parent.name))


if __name__ == "__main__":
    phase.run(take_inventory)
