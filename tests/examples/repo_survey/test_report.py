"""The report tells both earlier phases' figures in Markdown that reads well."""

from pathlib import Path

from tests.examples.repo_survey.conftest import Done, Survey
from tests.examples.repository import Repository

REPORT = """\
# Survey of project

Files are those of commit `{commit}`. The history is that of all its commits.

## Overview

|  |  |
| --- | ---: |
| Files | 4 |
| Lines | 1,206 |
| Size | 2.9 KiB |
| Binary files | 1 |
| Symbolic links | 0 |
| Submodules | 0 |
| Commits | 5 |
| Authors | 2 |
| First commit | 2025-11-30 |
| Last commit | 2026-02-01 |

## Languages

| Language | Files | Lines | Share | Size |
| --- | ---: | ---: | ---: | ---: |
| Python | 2 | 1,201 | 99.6% | 2.9 KiB |
| Markdown | 1 | 5 | 0.4% | 13 B |
| Image | 1 | 0 | 0.0% | 4 B |

## Busiest months

```text
2025-12  3  ████████████████████████████████████████
2025-11  1  █████████████
2026-02  1  █████████████
```

## Authors

| Author | Commits | Share | Added | Deleted | Last commit |
| --- | ---: | ---: | ---: | ---: | --- |
| First | 4 | 80.0% | 1,207 | 3 | 2026-02-01 |
| Second\\_\\|x | 1 | 20.0% | 2 | 0 | 2025-12-01 |

## Most changed files

| File | Commits | Added | Deleted |
| --- | ---: | ---: | ---: |
| `README.md` | 4 | 8 | 3 |
| `a.png` | 1 | 0 | 0 |
| `b\\|c.py` | 1 | 1,200 | 0 |
| `d.py` | 1 | 1 | 0 |

## Largest files

| File | Language | Size |
| --- | --- | ---: |
| `b\\|c.py` | Python | 2.9 KiB |
| `README.md` | Markdown | 13 B |
| `a.png` | Image | 4 B |
| `d.py` | Python | 2 B |
"""


def whole(survey: Survey, repository: Path, max_commits: str = "5000") -> Done:
    """Run all phases, and return what the last one left."""
    for phase_id in ("inventory", "history"):
        assert survey.run(phase_id, repository, max_commits).status == 0
    return survey.run("report", repository, max_commits)


def test_the_report_tells_all_figures(survey: Survey, repository: Repository) -> None:
    repository.commit({"README.md": b"# A\n"}, day="2025-11-30")
    repository.commit(
        {"README.md": b"# A\n\nB\n"}, day="2025-12-01", author="Second_|x <s@example.org>"
    )
    repository.commit({"README.md": b"1\n2\n3\n4\n", "a.png": b"\0\1\2\3"}, day="2025-12-02")
    repository.commit(
        {"b|c.py": b"x=1\n\n" * 600, "README.md": b"1\n2\n3\n4\nlast\n"}, day="2025-12-31"
    )
    repository.commit({"d.py": b"1\n"}, day="2026-02-01")
    report = whole(survey, repository.path)
    commit = repository.git("rev-parse", "HEAD")[:12]
    assert report.artifacts == {"report.md": REPORT.format(commit=commit)}


def test_the_output_is_the_report_in_two_sentences(survey: Survey, repository: Repository) -> None:
    repository.commit({"a.py": b"1\n2\n", "b.qqq": b"\n"}, day="2025-12-30")
    repository.commit({"c.md": b"1\n"}, day="2026-01-02")
    assert whole(survey, repository.path).output == (
        "project has 3 files and 4 lines, mostly in Python, Markdown. 2 commits by 1 author were"
        " read, from 2025-12-30 to 2026-01-02."
    )


def test_a_commit_without_files_has_a_report(survey: Survey, repository: Repository) -> None:
    repository.commit({})
    report = whole(survey, repository.path)
    assert report.output.startswith("project has 0 files and 0 lines. 1 commit by 1 author")
    assert "## Largest files" in report.artifacts["report.md"]


def test_a_report_of_the_newest_commits_says_so(survey: Survey, repository: Repository) -> None:
    for _ in range(3):
        repository.commit({})
    text = whole(survey, repository.path, max_commits="2").artifacts["report.md"]
    assert "The history is that of the newest 2 of 3 commits.\n" in text


def test_a_report_of_a_shallow_clone_says_so(
    survey: Survey, repository: Repository, tmp_path: Path
) -> None:
    for _ in range(2):
        repository.commit({})
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.path}", str(clone))
    assert "The clone is shallow" in whole(survey, clone).artifacts["report.md"]


def test_names_cannot_pretend_to_be_markup(survey: Survey, repository: Repository) -> None:
    repository.commit(
        {"`a` | <b>\n# c.py": b"1\n", "\u202etxt.exe": b""}, author="[x](y) *z* <z@example.org>"
    )
    text = whole(survey, repository.path).artifacts["report.md"]
    assert "| \\[x\\](y) \\*z\\* | 1 |" in text
    assert "| `` `a` \\| <b>\\n# c.py `` | 1 |" in text
    assert "| `\\u202etxt.exe` | 1 |" in text
