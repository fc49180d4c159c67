"""Finds an execution by the beginning of its id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from phaseline.cli.failures import Refused
from phaseline.domain.errors import NotFound

if TYPE_CHECKING:
    from phaseline.client import Client

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_CANDIDATES = 10


async def execution_id(client: Client, text: str) -> str:
    """
    Return the execution_id that *text* is, or that alone begins so.

    Raises `NotFound` if there is none and `Refused`, naming some, if there are several, or if
    *text* is empty.
    """
    from phaseline.v1.execution_service_pb2 import ExecutionFilter

    if not text:
        raise Refused("an execution id must not be empty", hint="`phaseline list` shows them")
    if _UUID.fullmatch(text):
        return text
    found = await client.list(filter=ExecutionFilter(id_prefix=text), page_size=_CANDIDATES)
    ids = [one.execution_id for one in found.executions]
    if text in ids:
        return text
    if not ids:
        raise NotFound("execution", text)
    if len(ids) == 1:
        return ids[0]
    if found.next_page_token and await _exists(client, text):
        return text
    raise _ambiguous(text, ids, more=bool(found.next_page_token))


async def _exists(client: Client, text: str) -> bool:
    try:
        await client.get_status(text)
    except NotFound:
        return False
    return True


def _ambiguous(text: str, ids: list[str], *, more: bool) -> Refused:
    named = "".join(f"\n  {one}" for one in ids) + ("\n  and more" if more else "")
    return Refused(
        f"{text!r} is the beginning of several execution ids:{named}", hint="give more of it"
    )
