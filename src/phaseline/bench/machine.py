"""What the figures were measured on: processor, disk, versions."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("phaseline", "grpcio", "protobuf", "SQLAlchemy", "msgspec")
_FLUSHES = 40
_PAGE = b"\0" * 4096


def machine(directory: Path) -> dict[str, str]:
    """Return what a reader of the figures wants to know; databases are in *directory*."""
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "disk": f"{_filesystem(directory)}, {_flush(directory) * 1000:.2f} ms to flush 4 KiB",
        "system": f"{platform.system()} {platform.release()}",
        "versions": ", ".join(
            (f"python {platform.python_version()}", *(f"{one} {version(one)}" for one in _PACKAGES))
        ),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _filesystem(directory: Path) -> str:
    """Return the kind of file system: in memory, for one, flushing costs nothing."""
    path = directory.resolve()
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    above = [(len(mount[1]), mount[2]) for mount in mounts if path.is_relative_to(mount[1])]
    return max(above)[1] if above else "unknown"


def _flush(directory: Path) -> float:
    """Return the seconds that the disk takes to make a page durable."""
    taken = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(_FLUSHES):
            file.write(_PAGE)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)
