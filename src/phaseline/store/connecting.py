"""How connections to PostgreSQL are made: what stays prepared on them, and what ends a wait."""

from __future__ import annotations

import socket
from typing import Any

import asyncpg
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

#: Seconds until there is a connection, or none.
CONNECT_SECONDS = 5
#: Of any one statement; longer the network or the server is not to be waited for.
STATEMENT_SECONDS = 30

# What a commit does together makes many texts, of which all in use stay prepared.
_PREPARED = 300

# Without a word the other side is asked after so many seconds, and then so often in these steps.
_IDLE, _STEP, _TIMES = 5, 2, 3
# What was sent and not received for so long was sent into the void.
_LOST_MILLISECONDS = 10_000
_KEEPALIVE = {
    "TCP_KEEPIDLE": _IDLE,
    "TCP_KEEPINTVL": _STEP,
    "TCP_KEEPCNT": _TIMES,
    "TCP_USER_TIMEOUT": _LOST_MILLISECONDS,
}

# The same for the server's side, where what nobody waits for any more may hold locks.
_SETTINGS = {
    "tcp_keepalives_idle": str(_IDLE),
    "tcp_keepalives_interval": str(_STEP),
    "tcp_keepalives_count": str(_TIMES),
    "tcp_user_timeout": str(_LOST_MILLISECONDS),
    # This program gives up by itself; these are for one that stands still, or is out of reach.
    "lock_timeout": f"{STATEMENT_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{STATEMENT_SECONDS}s",
}
READING = {"statement_timeout": f"{STATEMENT_SECONDS}s"}


def engine_of(
    url: URL,
    *,
    is_shared: bool = False,
    prepares: bool = True,
    settings: dict[str, str] | None = None,
    **options: Any,
) -> AsyncEngine:
    """
    Return an engine for the database of *url*.

    Behind a pooler a connection *is_shared*, so that no *settings* of ours are made on it. One that
    gives it to others after each transaction may not keep what was prepared on it: then each
    statement is prepared, without a name, in the trip that runs it.
    """
    arguments: dict[str, Any] = {
        "timeout": CONNECT_SECONDS,
        "connection_class": WatchfulConnection,
        "prepared_statement_cache_size": _PREPARED if prepares else 0,
    }
    if not prepares:
        arguments |= {"statement_cache_size": 0, "prepared_statement_name_func": _no_name}
    if not is_shared:
        arguments["server_settings"] = settings_of(settings)
    return create_async_engine(url, connect_args=arguments, **options)


def settings_of(more: dict[str, str] | None = None) -> dict[str, str]:
    """Return what a connection of our own asks of the server, with *more*."""
    return _SETTINGS | (more or {})


class WatchfulConnection(asyncpg.Connection):  # type: ignore[misc]  # it comes without types
    """A connection that notices within seconds when the other side is out of reach."""

    def __init__(self, protocol: Any, transport: Any, *others: Any) -> None:
        super().__init__(protocol, transport, *others)
        ours = transport.get_extra_info("socket")
        if ours is not None and ours.family in (socket.AF_INET, socket.AF_INET6):
            keep_alive(ours)


def keep_alive(ours: Any) -> None:
    """Have the system end the connection of a socket that leads nowhere."""
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        # Not every system has all of them.
        if hasattr(socket, name):
            ours.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _no_name() -> str:
    return ""
