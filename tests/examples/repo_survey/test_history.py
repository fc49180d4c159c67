"""The history tells who changed what and when, of all commits or of the newest ones."""

from pathlib import Path

import pytest

from tests.examples.repo_survey.conftest import Survey
from tests.examples.repository import Repository

SECOND = "Second <second@example.org>"


def test_commits_are_counted_by_author_month_and_file(
    survey: Survey, repository: Repository
) -> None:
    repository.commit({"a.py": b"1\n2\n3\n", "b.png": b"\0"}, day="2025-11-30")
    repository.commit({"a.py": b"1\n2\n"}, day="2025-12-01", author=SECOND)
    repository.commit({"a.py": b"0\n2\n", "b.png": b"\0\0"}, day="2025-12-31")
    repository.commit({"b.png": None}, day="2026-02-01")
    assert survey.run("history", repository.path).figures == {
        "commits": 4,
        "all_commits": 4,
        "shallow": False,
        "first_day": "2025-11-30",
        "last_day": "2026-02-01",
        "author_count": 2,
        "authors": [
            {
                "name": "First",
                "commits": 3,
                "added_lines": 4,
                "deleted_lines": 1,
                "first_day": "2025-11-30",
                "last_day": "2026-02-01",
            },
            {
                "name": "Second",
                "commits": 1,
                "added_lines": 0,
                "deleted_lines": 1,
                "first_day": "2025-12-01",
                "last_day": "2025-12-01",
            },
        ],
        "commits_by_month": {"2025-11": 1, "2025-12": 2, "2026-02": 1},
        "changed_files": [
            {"path": "a.py", "commits": 3, "added_lines": 4, "deleted_lines": 2},
            {"path": "b.png", "commits": 3, "added_lines": 0, "deleted_lines": 0},
        ],
    }


def test_changes_count_for_the_present_name_of_a_file(
    survey: Survey, repository: Repository
) -> None:
    lines = b"".join(b"%d\n" % number for number in range(20))
    repository.commit({"old.py": lines, "other.py": b"x\n"}, day="2026-01-01")
    repository.commit({"old.py": None, "mid\tdle.py": lines + b"20\n"}, day="2026-01-02")
    repository.commit({"mid\tdle.py": None, b"n\xe9w.py": lines}, day="2026-01-03")
    repository.commit({"old.py": b"another\n"}, day="2026-01-04")
    assert survey.run("history", repository.path).figures["changed_files"] == [
        {"path": "n\\xe9w.py", "commits": 3, "added_lines": 21, "deleted_lines": 1},
        {"path": "old.py", "commits": 1, "added_lines": 1, "deleted_lines": 0},
        {"path": "other.py", "commits": 1, "added_lines": 1, "deleted_lines": 0},
    ]


def test_a_single_commit_is_a_history(survey: Survey, repository: Repository) -> None:
    repository.commit({}, day="2026-01-01")
    figures = survey.run("history", repository.path).figures
    assert (figures["commits"], figures["author_count"], figures["changed_files"]) == (1, 1, [])
    assert (figures["first_day"], figures["last_day"]) == ("2026-01-01", "2026-01-01")


def test_the_newest_commits_are_read_and_all_are_counted(
    survey: Survey, repository: Repository
) -> None:
    for day in range(1, 8):
        repository.commit({f"{day}.py": b"1\n"}, day=f"2026-01-0{day}")
    figures = survey.run("history", repository.path, max_commits="3").figures
    assert (figures["commits"], figures["all_commits"]) == (3, 7)
    assert (figures["first_day"], figures["last_day"]) == ("2026-01-05", "2026-01-07")
    assert [file["path"] for file in figures["changed_files"]] == ["5.py", "6.py", "7.py"]


@pytest.mark.parametrize("limit", ["0", "-1", "2.5", "many", "", "٣"])
def test_a_limit_that_is_no_count_is_refused(
    survey: Survey, repository: Repository, limit: str
) -> None:
    repository.commit({})
    done = survey.run("history", repository.path, max_commits=limit)
    assert done.status == 1
    assert done.complaint == f"max_commits must be a whole number above 0, not {limit!r}\n"


def test_a_merge_counts_as_a_commit_but_changes_no_files(
    survey: Survey, repository: Repository
) -> None:
    repository.commit({"a.py": b"1\n"}, day="2026-01-01")
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit({"b.py": b"1\n"}, day="2026-01-02", author=SECOND)
    repository.git("checkout", "--quiet", "main")
    repository.commit({"c.py": b"1\n"}, day="2026-01-03")
    repository.git("merge", "--quiet", "--no-ff", "--message=merge", "side", day="2026-01-04")
    figures = survey.run("history", repository.path).figures
    assert (figures["commits"], figures["last_day"]) == (4, "2026-01-04")
    assert {file["path"]: file["commits"] for file in figures["changed_files"]} == {
        "a.py": 1,
        "b.py": 1,
        "c.py": 1,
    }


def test_a_shallow_clone_tells_that_it_is_one(
    survey: Survey, repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a.py": b"1\n"}, day="2026-01-01")
    repository.commit({"a.py": b"1\n2\n"}, day="2026-01-02")
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.path}", str(clone))
    figures = survey.run("history", clone).figures
    assert (figures["shallow"], figures["commits"], figures["all_commits"]) == (True, 1, 1)
    assert figures["changed_files"][0]["added_lines"] == 2


def test_addresses_tell_authors_apart_and_the_mailmap_joins_them(
    survey: Survey, repository: Repository
) -> None:
    repository.commit({}, day="2026-01-01", author="Old name <first@example.org>")
    repository.commit({}, day="2026-01-02", author="First <FIRST@example.org>")
    repository.commit({}, day="2026-01-03", author="First <first@home.example.org>")
    repository.commit({}, day="2026-01-04", author="First <other@example.org>")
    (repository.path / ".mailmap").write_text("<first@example.org> <first@home.example.org>\n")
    figures = survey.run("history", repository.path).figures
    assert [(author["name"], author["commits"]) for author in figures["authors"]] == [
        ("First", 3),
        ("First", 1),
    ]


def test_an_author_s_name_is_read_in_the_encoding_of_the_commit(
    survey: Survey, repository: Repository
) -> None:
    repository.git("config", "i18n.commitEncoding", "ISO-8859-1")
    tree = repository.git("hash-object", "-w", "-t", "tree", "--stdin")
    person = b"Ren\xe9\tTwo <rene@example.org> 1767268800 +0000"
    commit = repository.git(
        "hash-object",
        *("-w", "-t", "commit", "--stdin"),
        given=b"tree %b\nauthor %b\ncommitter %b\nencoding ISO-8859-1\n\nx\n"
        % (tree.encode(), person, person),
    )
    repository.git("update-ref", "HEAD", commit)
    assert survey.run("history", repository.path).figures["authors"][0]["name"] == "René\tTwo"


def test_a_commit_with_a_broken_date_still_counts(survey: Survey, repository: Repository) -> None:
    tree = repository.git("hash-object", "-w", "-t", "tree", "--stdin")
    commit = repository.git(
        "hash-object",
        *("-w", "-t", "commit", "--stdin", "--literally"),
        given=b"tree %b\nauthor A <a@example.org>\ncommitter A <a@example.org>\n\nx\n"
        % tree.encode(),
    )
    repository.git("update-ref", "HEAD", commit)
    figures = survey.run("history", repository.path).figures
    assert (figures["commits"], figures["last_day"]) == (1, "1970-01-01")


def test_nobody_s_settings_change_the_history(survey: Survey, repository: Repository) -> None:
    repository.commit({"sub/a.py": b"1\n", "b.py": b"1\n"})
    for setting in ("log.showRoot=false", "log.showSignature=true", "diff.relative=true"):
        repository.git("config", *setting.split("="))
    figures = survey.run("history", repository.path / "sub").figures
    assert [file["path"] for file in figures["changed_files"]] == ["b.py", "sub/a.py"]


def test_only_the_busiest_authors_and_files_are_named(
    survey: Survey, repository: Repository
) -> None:
    for number in range(52):
        repository.commit({f"{number:02}.py": b""}, author=f"A <{number:02}@example.org>")
    figures = survey.run("history", repository.path).figures
    assert figures["author_count"] == 52
    assert (len(figures["authors"]), len(figures["changed_files"])) == (50, 50)


def test_reading_is_told_as_progress(survey: Survey, repository: Repository) -> None:
    for _ in range(4):
        repository.commit({})
    assert survey.run("history", repository.path).percents == [25, 50, 75, 100]


def test_an_empty_repository_is_refused(survey: Survey, repository: Repository) -> None:
    done = survey.run("history", repository.path)
    assert done.status == 1
    assert done.complaint == f"repository {str(repository.path)!r} has no commit to survey\n"
