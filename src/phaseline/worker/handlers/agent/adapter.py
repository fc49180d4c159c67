"""What there is to know about one kind of agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import msgspec

from phaseline.domain.usage import ModelUsage
from phaseline.worker.handlers.agent.events import Event
from phaseline.worker.handlers.agent.journal import Journal
from phaseline.worker.handlers.agent.reader import Fault, Reader


class Access(StrEnum):
    """What an agent may do without being asked, which is all that it can do: nobody is there."""

    READ = "read"  #: read files
    EDIT = "edit"  #: edit files in its working directory as well
    FULL = "full"  #: anything, programs included


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is to do, besides its prompt."""

    #: Its vendor's name; empty leaves the choice to the agent.
    model: str = ""
    access: Access = Access.EDIT
    #: None means no limit.
    max_turns: int | None = None
    #: US dollars; empty means no limit.
    budget_usd: str = ""
    #: Session of the agent to take up again; empty begins one.
    session_id: str = ""
    #: Arguments of the caller's own.
    args: tuple[str, ...] = ()


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run before its stream begins."""

    #: Model that it was asked to use; empty if that is not known.
    model: str = ""
    #: What the session had consumed that it takes up again.
    before: Sequence[ModelUsage] = ()


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of agent is started and understood."""

    name: str
    #: What is run, unless the phase or the worker names something else. Empty: they must.
    program: tuple[str, ...]
    #: Arguments that follow the program, for it to read its prompt from standard input.
    arguments: Callable[[Order], list[str]]
    #: Variables of the worker that it may see; with a "*" at the end all that begin alike.
    environment: tuple[str, ...] = ()
    #: Variables that it gets when it runs in a directory of ours.
    in_own_directory: Mapping[str, str] = {}
    #: Whether it can be told how many turns it may take.
    takes_max_turns: bool = False
    reader: Callable[[Journal, Beginning], Reader]
    #: Whether an event is one of this agent's.
    recognises: Callable[[Event], bool]
    #: What it means that the program ends with a code and has told no result.
    exit_codes: Mapping[int, Fault] = {}
