"""Figures come with what they were measured on."""

from __future__ import annotations

from pathlib import Path

from phaseline import __version__
from phaseline.bench.machine import machine


def test_the_machine_is_told_with_its_disk_and_the_versions(tmp_path: Path) -> None:
    told = machine(tmp_path)
    assert f"phaseline {__version__}" in told["versions"]
    assert told["disk"].endswith("ms to flush 4 KiB")
    assert told["processor"].endswith("cores")
