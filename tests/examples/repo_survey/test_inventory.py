"""The inventory counts what is in the checked out commit, whatever is in it."""

import os
from pathlib import Path

import pytest

from tests.examples.repo_survey.conftest import Survey
from tests.examples.repository import Repository

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def test_files_lines_and_bytes_are_counted_by_language(
    survey: Survey, repository: Repository
) -> None:
    repository.commit(
        {
            "tool.py": b"import os\nprint(os)\n",
            "lib/part.py": b"x = 1\n",
            "README.md": b"# Tool\n\nText without an end",
            "logo.png": PNG,
            "empty.py": b"",
            "strange.qqq": b"?\n",
        }
    )
    assert survey.run("inventory", repository.path).figures == {
        "repository": "project",
        "commit": repository.git("rev-parse", "HEAD"),
        "files": 6,
        "lines": 7,
        "bytes": 20 + 6 + 27 + len(PNG) + 2,
        "binary_files": 1,
        "symbolic_links": 0,
        "submodules": 0,
        "languages": [
            {"language": "Markdown", "files": 1, "lines": 3, "bytes": 27},
            {"language": "Python", "files": 3, "lines": 3, "bytes": 26},
            {"language": "Other", "files": 1, "lines": 1, "bytes": 2},
            {"language": "Image", "files": 1, "lines": 0, "bytes": len(PNG)},
        ],
        "largest_files": [
            {"path": "README.md", "language": "Markdown", "bytes": 27},
            {"path": "tool.py", "language": "Python", "bytes": 20},
            {"path": "logo.png", "language": "Image", "bytes": len(PNG)},
            {"path": "lib/part.py", "language": "Python", "bytes": 6},
            {"path": "strange.qqq", "language": "Other", "bytes": 2},
            {"path": "empty.py", "language": "Python", "bytes": 0},
        ],
    }


def test_only_the_twenty_largest_files_are_named(survey: Survey, repository: Repository) -> None:
    repository.commit({f"{size:02}.txt": b"x" * size for size in range(1, 31)})
    named = survey.run("inventory", repository.path).figures["largest_files"]
    assert [file["bytes"] for file in named] == list(range(30, 10, -1))


def test_links_and_submodules_are_no_files(survey: Survey, repository: Repository) -> None:
    repository.commit({"a.py": b"1\n"})
    (repository.path / "link.py").symlink_to("a.py")
    (repository.path / "part").mkdir()
    repository.git("init", "--quiet", "part")
    repository.git("-C", "part", "commit", "--quiet", "--allow-empty", "--message=part")
    repository.commit({})
    figures = survey.run("inventory", repository.path).figures
    assert (figures["files"], figures["lines"], figures["bytes"]) == (1, 1, 2)
    assert (figures["symbolic_links"], figures["submodules"]) == (1, 1)


def test_a_name_in_no_encoding_is_still_a_name(survey: Survey, repository: Repository) -> None:
    repository.commit({b"caf\xe9.py": b"1\n", "grün\n.py": b"22\n"})
    figures = survey.run("inventory", repository.path).figures
    assert [file["path"] for file in figures["largest_files"]] == ["grün\n.py", "caf\\xe9.py"]
    assert figures["languages"] == [{"language": "Python", "files": 2, "lines": 2, "bytes": 5}]


def test_a_directory_with_a_name_in_no_encoding_is_named(
    survey: Survey, repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a.py": b"1\n"})
    repository.path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    repository.path.symlink_to(os.fsdecode(b"caf\xe9"))
    assert survey.run("inventory", repository.path).figures["repository"] == "caf\\xe9"


def test_what_is_not_committed_does_not_count(survey: Survey, repository: Repository) -> None:
    repository.commit({"a.py": b"1\n"})
    (repository.path / "a.py").write_text("1\n2\n3\n")
    (repository.path / "b.py").write_text("1\n")
    figures = survey.run("inventory", repository.path).figures
    assert (figures["files"], figures["lines"]) == (1, 1)


def test_a_commit_without_files_has_none(survey: Survey, repository: Repository) -> None:
    repository.commit({})
    figures = survey.run("inventory", repository.path).figures
    assert (figures["files"], figures["languages"], figures["largest_files"]) == (0, [], [])


def test_a_directory_inside_stands_for_the_whole_repository(
    survey: Survey, repository: Repository
) -> None:
    repository.commit({"a.py": b"1\n", "deep/er/b.py": b"1\n"})
    figures = survey.run("inventory", repository.path / "deep" / "er").figures
    assert (figures["repository"], figures["files"]) == ("project", 2)


@pytest.mark.parametrize("name", ["bare.git", "bare/.git"])
def test_a_bare_repository_is_named_after_its_directory(
    survey: Survey, repository: Repository, tmp_path: Path, name: str
) -> None:
    repository.commit({"a.py": b"1\n"})
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / name))
    figures = survey.run("inventory", tmp_path / name).figures
    assert (figures["repository"], figures["lines"]) == ("bare", 1)


def test_a_repository_with_sha256_is_surveyed_as_well(survey: Survey, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "new", "--object-format=sha256")
    repository.commit({"a.py": b"1\n"})
    figures = survey.run("inventory", repository.path).figures
    assert (figures["lines"], len(figures["commit"])) == (1, 64)


def test_nobody_s_settings_change_the_figures(survey: Survey, repository: Repository) -> None:
    repository.commit({"a.py": b"1\n", "sub/b.py": b"1\n"})
    for setting in ("diff.relative=true", "color.ui=always", "diff.external=false"):
        repository.git("config", *setting.split("="))
    # As when the worker was started by a hook of another repository.
    survey.environment["GIT_DIR"] = "/nowhere"
    figures = survey.run("inventory", repository.path / "sub").figures
    assert (figures["files"], figures["lines"]) == (2, 2)


def test_a_repository_of_someone_else_is_refused_as_git_does(
    survey: Survey, repository: Repository
) -> None:
    repository.commit({"a.py": b"1\n"})
    survey.environment["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"
    complaint = survey.run("inventory", repository.path).complaint
    assert complaint.startswith("git rev-parse failed: fatal: detected dubious ownership")


def test_the_settings_that_the_worker_gives_git_stay(
    survey: Survey, repository: Repository
) -> None:
    repository.commit({"a.py": b"1\n"})
    survey.environment |= {
        "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    assert survey.run("inventory", repository.path).figures["files"] == 1


def test_every_run_of_git_is_told_when_it_begins_and_when_it_ends(
    survey: Survey, repository: Repository
) -> None:
    repository.commit({"a.py": b"1\n"})
    told = survey.run("inventory", repository.path).operations
    begun = {each["operation_id"]: each for each in told if "completed_at" not in each}
    ended = {each["operation_id"]: each for each in told if "completed_at" in each}
    assert list(begun) == list(ended) == [f"git-{number}" for number in range(1, 6)]
    for name, operation in begun.items():
        subcommand = operation["input"].removeprefix(f"git -C {repository.path} ").split()[0]
        tool = {"operation_type": "tool", "tool_name": f"git {subcommand}"}
        assert tool.items() <= operation.items()
        assert (operation | ended[name]) == ended[name]
        assert ended[name]["success"] is True
        assert operation["timestamp"] <= ended[name]["completed_at"]
    assert begun["git-2"]["tool_name"] == "git ls-tree"
    assert ended["git-1"]["output"] == repository.git("rev-parse", "HEAD") + "\n"


def test_an_operation_shows_the_beginning_of_a_long_output(
    survey: Survey, repository: Repository
) -> None:
    repository.commit({f"{number:0100}": b"" for number in range(100)})
    listing = survey.run("inventory", repository.path).operations[3]
    shown, _, rest = listing["output"].rpartition("\n")
    assert (len(shown), rest) == (2048, f"... {100 * 162} bytes in all")
    assert "\0" not in shown


def test_progress_only_rises_and_reaches_the_end(survey: Survey, repository: Repository) -> None:
    repository.commit({f"{number}.py": b"1\n" for number in range(250)})
    percents = survey.run("inventory", repository.path).percents
    assert percents == list(range(101))


def test_an_empty_repository_is_refused(survey: Survey, repository: Repository) -> None:
    done = survey.run("inventory", repository.path)
    assert done.status == 1
    assert done.complaint == f"repository {str(repository.path)!r} has no commit to survey\n"
    assert done.operations[-1]["success"] is False
    assert done.operations[-1]["error_message"] == "exit status 1"


def test_a_directory_that_is_no_repository_is_refused(survey: Survey, tmp_path: Path) -> None:
    survey.environment["GIT_CEILING_DIRECTORIES"] = str(tmp_path)
    done = survey.run("inventory", tmp_path)
    assert done.status == 1
    assert done.complaint.startswith("git rev-parse failed: fatal: not a git repository")
    assert done.operations[-1]["error_message"].startswith("fatal: not a git repository")


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("some/where", "repository must be an absolute path, not 'some/where'\n"),
        ("", "repository must be an absolute path, not ''\n"),
        ("/no/where", "there is no directory '/no/where' on the worker's machine\n"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(survey: Survey, path: str, complaint: str) -> None:
    done = survey.run("inventory", path)
    assert (done.status, done.complaint, done.operations) == (1, complaint, [])


def test_a_machine_without_git_is_named_as_the_reason(
    survey: Survey, repository: Repository, tmp_path: Path
) -> None:
    survey.environment["PATH"] = str(tmp_path)
    done = survey.run("inventory", repository.path)
    assert (done.status, done.complaint) == (1, "git is not installed on the worker's machine\n")
