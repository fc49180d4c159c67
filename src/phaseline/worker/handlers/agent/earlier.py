"""What is known of the agent's session from the attempt before."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from phaseline.domain.usage import ModelUsage
from phaseline.worker.context import Context
from phaseline.worker.handlers.agent.config import Resume


class Earlier(msgspec.Struct, frozen=True):
    """A session of the agent, as it was when its last run ended."""

    agent_session_id: str = ""
    #: What it had consumed, by model.
    agent_usage: tuple[ModelUsage, ...] = ()


def earlier_of(context: Context, resume: Resume) -> Earlier:
    """Return the session that a run is to take up again, if it is to take up one."""
    if resume is Resume.NEVER:
        return Earlier()
    saved = _saved(context)
    if saved.agent_session_id or resume is Resume.RETRY:
        return saved
    return Earlier(context.session_id)


def save(context: Context, session_id: str, usage: Sequence[ModelUsage]) -> None:
    """Keep what the next attempt needs to take up the session."""
    context.save_checkpoint(Earlier(session_id, tuple(usage)))


def _saved(context: Context) -> Earlier:
    data = context.checkpoint.data if context.checkpoint else None
    try:
        return msgspec.json.decode(data or b"{}", type=Earlier)
    except msgspec.MsgspecError:
        return Earlier()  # of another handler, or of another release
