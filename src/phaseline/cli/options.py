"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phaseline.cli.parsing import pairs, past
from phaseline.domain.lifecycle import ExecutionStatus

if TYPE_CHECKING:
    from phaseline.v1.execution_service_pb2 import ExecutionFilter

CONNECTION = "Connection"
FILTER = "Filter"

ExecutionId = Annotated[
    str, typer.Argument(metavar="EXECUTION", help="Its id, or a beginning that only it has.")
]
RequestId = Annotated[
    str, typer.Option(metavar="KEY", help="Idempotency key: repeated with it, nothing is done.")
]


class Form(StrEnum):
    """How a command prints what it was answered."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class Order(StrEnum):
    """Order of a list."""

    CREATED_AT_DESC = "created_at_desc"
    CREATED_AT_ASC = "created_at_asc"
    UPDATED_AT_DESC = "updated_at_desc"
    COST_USD_DESC = "cost_usd_desc"
    TOTAL_TOKENS_DESC = "total_tokens_desc"


@dataclass(frozen=True)
class Shared:
    """Options of every command: none. Those of subclasses are named as the settings they set."""


FormOption = Annotated[
    Form | None,
    typer.Option(
        "--output",
        "-o",
        help="Form; PHASELINE_OUTPUT or table by default.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Printed(Shared):
    """The form of what is printed, where no server is called."""

    output: FormOption = None


@dataclass(frozen=True)
class Connection(Shared):
    """Which server, and how to reach it."""

    server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Server; PHASELINE_SERVER or 127.0.0.1:7171 by default.",
            show_default=False,
            rich_help_panel=CONNECTION,
        ),
    ] = None
    token: Annotated[
        str | None,
        typer.Option(
            help="Bearer token; better in PHASELINE_TOKEN, where others do not see it.",
            show_default=False,
            rich_help_panel=CONNECTION,
        ),
    ] = None
    tls: Annotated[
        bool | None,
        typer.Option(
            "--tls",
            help="Use TLS, trusting the certificates of the system.",
            show_default=False,
            rich_help_panel=CONNECTION,
        ),
    ] = None
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Use TLS, trusting the certificates in this PEM file.",
            show_default=False,
            rich_help_panel=CONNECTION,
        ),
    ] = None


@dataclass(frozen=True)
class Printing(Connection):
    """The connection, and the form of what is printed."""

    output: FormOption = None


@dataclass(frozen=True)
class Logging:
    """What a process that goes on writes to its log."""

    log_level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="debug, info, warning or error; info by default.",
            show_default=False,
        ),
    ] = None
    log_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORM",
            help="console or json; auto, the default, is console on a terminal.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class Filter:
    """Which executions; what can be repeated matches any of its values."""

    status: Annotated[
        list[ExecutionStatus] | None,
        typer.Option(help="With this status; repeatable.", rich_help_panel=FILTER),
    ] = None
    workflow_id: Annotated[
        list[str] | None,
        typer.Option(
            "--workflow-id",
            "--workflow",
            help="Of this workflow; repeatable.",
            rich_help_panel=FILTER,
        ),
    ] = None
    responder_id: Annotated[
        list[str] | None,
        typer.Option(help="With this responder; repeatable.", rich_help_panel=FILTER),
    ] = None
    session_id: Annotated[
        list[str] | None,
        typer.Option(help="Of this session; repeatable.", rich_help_panel=FILTER),
    ] = None
    user_id: Annotated[
        list[str] | None,
        typer.Option(help="Of this user; repeatable.", rich_help_panel=FILTER),
    ] = None
    chat_message_id: Annotated[
        str, typer.Option(help="For this chat message.", rich_help_panel=FILTER)
    ] = ""
    batch_id: Annotated[str, typer.Option(help="Of this batch.", rich_help_panel=FILTER)] = ""
    parent_execution_id: Annotated[
        str,
        typer.Option(
            "--parent-execution-id",
            "--parent",
            help="Children of this execution.",
            rich_help_panel=FILTER,
        ),
    ] = ""
    root_execution_id: Annotated[
        str,
        typer.Option(
            "--root-execution-id",
            "--root",
            help="In the tree of this root.",
            rich_help_panel=FILTER,
        ),
    ] = ""
    queue_name: Annotated[
        list[str] | None,
        typer.Option(
            "--queue-name", "--queue", help="In this queue; repeatable.", rich_help_panel=FILTER
        ),
    ] = None
    repo: Annotated[
        list[str] | None,
        typer.Option(help="Working on this repository; repeatable.", rich_help_panel=FILTER),
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="With this label; repeated, with all of them.",
            rich_help_panel=FILTER,
        ),
    ] = None
    created_after: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Created then or later: RFC 3339, or how long ago, as 2h.",
            rich_help_panel=FILTER,
        ),
    ] = ""
    created_before: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Created earlier than then, written alike.",
            rich_help_panel=FILTER,
        ),
    ] = ""
    id_prefix: Annotated[
        str, typer.Option(help="Whose execution_id begins so.", rich_help_panel=FILTER)
    ] = ""

    def message(self, now: datetime, *, active_only: bool = False) -> ExecutionFilter:
        """Return the filter as the contract has it; raise `Refused` for what cannot be read."""
        from phaseline.client.requests import timestamp
        from phaseline.v1 import execution_service_pb2 as service
        from phaseline.v1.execution_pb2 import ExecutionStatus as Wire

        after = past(self.created_after, now, "--created-after")
        before = past(self.created_before, now, "--created-before")
        return service.ExecutionFilter(
            statuses=[Wire.Value(f"EXECUTION_STATUS_{one.name}") for one in self.status or ()],
            active_only=active_only,
            workflow_ids=self.workflow_id,
            responder_ids=self.responder_id,
            session_ids=self.session_id,
            user_ids=self.user_id,
            chat_message_id=self.chat_message_id,
            batch_id=self.batch_id,
            parent_execution_id=self.parent_execution_id,
            root_execution_id=self.root_execution_id,
            queue_names=self.queue_name,
            repos=self.repo,
            labels=pairs(self.label or (), "--label"),
            created_after=timestamp("created_after", after),
            created_before=timestamp("created_before", before),
            id_prefix=self.id_prefix,
        )
