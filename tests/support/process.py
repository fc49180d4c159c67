"""What real processes are up to."""

import asyncio
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has reaped does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


async def until_gone(pid: int) -> None:
    """Return once a process has ended."""
    while is_alive(pid):  # noqa: ASYNC110 - nobody tells of the end of a grandchild
        await asyncio.sleep(0.01)


async def until_there(path: Path) -> str:
    """Return what is in a file, once it ends with a line."""
    while not (text := _read(path)).endswith("\n"):  # noqa: ASYNC110 - nor of what is in a file
        await asyncio.sleep(0.01)
    return text


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
