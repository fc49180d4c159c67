"""The third phase: a report of the survey, in Markdown."""

import json
from collections.abc import Iterable, Iterator

from phaseline.examples.repo_survey import phase
from phaseline.examples.repo_survey.history import History
from phaseline.examples.repo_survey.inventory import Inventory
from phaseline.examples.repo_survey.languages import OTHER
from phaseline.examples.repo_survey.markdown import bars, code, count, plain, share, size, table

_ROWS = 15
_MONTHS = 12


def write_report() -> str:
    """Keep the report as the artifact `report.md`, and return it in two sentences."""
    inventory: Inventory = json.loads(phase.output_of("inventory"))
    history: History = json.loads(phase.output_of("history"))
    phase.keep("report.md", "\n".join(_report(inventory, history)))
    return _summary(inventory, history)


def _report(inventory: Inventory, history: History) -> Iterator[str]:
    yield f"# Survey of {plain(inventory['repository'])}\n"
    yield f"{_scope(inventory, history)}\n"
    sections = {
        "Overview": _overview(inventory, history),
        "Languages": _languages(inventory),
        "Busiest months": _months(history),
        "Authors": _authors(history),
        "Most changed files": _changed_files(history),
        "Largest files": _largest_files(inventory),
    }
    for title, lines in sections.items():
        yield f"## {title}\n"
        yield from lines
        yield ""


def _summary(inventory: Inventory, history: History) -> str:
    languages = [of["language"] for of in inventory["languages"] if of["language"] != OTHER][:3]
    return (
        f"{inventory['repository']} has {count(inventory['files'], 'file')} and"
        f" {count(inventory['lines'], 'line')}"
        f"{', mostly in ' if languages else ''}{', '.join(languages)}."
        f" {count(history['commits'], 'commit')} by {count(history['author_count'], 'author')}"
        f" were read, from {history['first_day']} to {history['last_day']}."
    )


def _scope(inventory: Inventory, history: History) -> str:
    """Say which commits the figures are of."""
    files = f"Files are those of commit {code(inventory['commit'][:12])}."
    if history["shallow"]:
        return f"{files} The clone is shallow: what lies before its oldest commit is not counted."
    if history["commits"] < history["all_commits"]:
        read, commits = f"{history['commits']:,}", count(history["all_commits"], "commit")
        return f"{files} The history is that of the newest {read} of {commits}."
    return f"{files} The history is that of all its commits."


def _overview(inventory: Inventory, history: History) -> Iterable[str]:
    figures = {
        "Files": f"{inventory['files']:,}",
        "Lines": f"{inventory['lines']:,}",
        "Size": size(inventory["bytes"]),
        "Binary files": f"{inventory['binary_files']:,}",
        "Symbolic links": f"{inventory['symbolic_links']:,}",
        "Submodules": f"{inventory['submodules']:,}",
        "Commits": f"{history['commits']:,}",
        "Authors": f"{history['author_count']:,}",
        "First commit": history["first_day"],
        "Last commit": history["last_day"],
    }
    return table(("", ">"), figures.items())


def _languages(inventory: Inventory) -> Iterable[str]:
    return table(
        ("Language", ">Files", ">Lines", ">Share", ">Size"),
        (
            (
                plain(of["language"]),
                f"{of['files']:,}",
                f"{of['lines']:,}",
                share(of["lines"], inventory["lines"]),
                size(of["bytes"]),
            )
            for of in inventory["languages"][:_ROWS]
        ),
    )


def _months(history: History) -> Iterable[str]:
    months = sorted(history["commits_by_month"].items(), key=lambda of: (-of[1], of[0]))
    return bars(months[:_MONTHS])


def _authors(history: History) -> Iterable[str]:
    return table(
        ("Author", ">Commits", ">Share", ">Added", ">Deleted", "Last commit"),
        (
            (
                plain(of["name"]),
                f"{of['commits']:,}",
                share(of["commits"], history["commits"]),
                f"{of['added_lines']:,}",
                f"{of['deleted_lines']:,}",
                of["last_day"],
            )
            for of in history["authors"][:_ROWS]
        ),
    )


def _changed_files(history: History) -> Iterable[str]:
    return table(
        ("File", ">Commits", ">Added", ">Deleted"),
        (
            (
                code(of["path"]),
                f"{of['commits']:,}",
                f"{of['added_lines']:,}",
                f"{of['deleted_lines']:,}",
            )
            for of in history["changed_files"][:_ROWS]
        ),
    )


def _largest_files(inventory: Inventory) -> Iterable[str]:
    return table(
        ("File", "Language", ">Size"),
        (
            (code(of["path"]), plain(of["language"]), size(of["bytes"]))
            for of in inventory["largest_files"][:_ROWS]
        ),
    )


if __name__ == "__main__":
    phase.run(write_report)
