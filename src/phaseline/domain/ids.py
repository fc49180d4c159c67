"""Ids: what they are made of, and how the server makes its own."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

ID_LENGTH = 128
EXECUTION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
WORKFLOW_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
PHASE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class Key(NamedTuple):
    """What names an execution in the whole store."""

    workspace_id: str
    execution_id: str


def uuid7(now: datetime, entropy: int) -> str:
    """Return the UUIDv7 of *now* whose 74 free bits are the low ones of *entropy*."""
    milliseconds = int(now.timestamp() * 1000) & (1 << 48) - 1
    high = milliseconds << 16 | 0x7 << 12 | (entropy >> 62) & 0xFFF
    low = 0b10 << 62 | entropy & (1 << 62) - 1
    digits = f"{high << 64 | low:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
