"""Builds git repositories whose every figure a test knows."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

#: Nothing of the machine's own settings, so that the same commands make the same repository.
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C.UTF-8",
}


class Repository:
    """A repository at *path*, empty until something is committed."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def git(self, *arguments: str, given: bytes = b"", day: str = "", author: str = "") -> str:
        """Run git; *day* and *author* ("name <address>") are those of the commits it makes."""
        done = subprocess.run(
            ["git", "-C", self.path, *arguments],
            input=given,
            env={**ENVIRONMENT, **_identity(author or "First <first@example.org>", day)},
            capture_output=True,
            check=True,
        )
        return done.stdout.decode(errors="backslashreplace").strip()

    def commit(
        self,
        files: Mapping[str | bytes, bytes | None],
        *,
        day: str = "2026-01-01",
        author: str = "",
    ) -> None:
        """Commit *files*, by path: what each contains from now on, or None to delete it."""
        for name, content in files.items():
            path = os.path.join(os.fsencode(self.path), os.fsencode(name))
            if content is None:
                os.remove(path)
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            Path(os.fsdecode(path)).write_bytes(content)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--message=change", day=day, author=author)

    def enter(self, mode: str, object_id: str, path: str) -> None:
        """Enter *path* into the index, to be committed with the next files."""
        self.git("update-index", "--add", "--cacheinfo", f"{mode},{object_id},{path}")


def _identity(author: str, day: str) -> dict[str, str]:
    name, _, address = author.removesuffix(">").partition(" <")
    date = f"{day or '2026-01-01'}T12:00:00+0000"
    return {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in {"NAME": name, "EMAIL": address, "DATE": date}.items()
    }
