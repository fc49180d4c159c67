"""What is asked of a list: which, in what order, and which page."""

from __future__ import annotations

from typing import Protocol

import msgspec

from phaseline.app.queries import ExecutionFilter, Order
from phaseline.domain.ids import ID_LENGTH
from phaseline.v1 import artifact_service_pb2, execution_service_pb2, workflow_service_pb2
from phaseline.wire.enums import ORDERS
from phaseline.wire.filters import read_optional_filter
from phaseline.wire.reading import Checks
from phaseline.wire.views import read_view

_LARGEST_PAGE = 100
_PAGE_SIZE = 50
_ACTIVE_PAGE_SIZE = 20
_LARGEST_OPERATIONS_PAGE = 1000
_OPERATIONS_PAGE_SIZE = 200
_LAST_PAGE = 2**31 - 1
_TOKEN_LENGTH = 4096


class AskedPage(msgspec.Struct, frozen=True):
    """One page of a list."""

    size: int
    token: str


class AskedExecutions(msgspec.Struct, frozen=True):
    """One page of executions, by token or else by number."""

    matching: ExecutionFilter
    order: Order
    page: AskedPage
    number: int = 1


class AskedOperations(msgspec.Struct, frozen=True):
    """One page of the operations of an execution, or of one of its phases."""

    execution_id: str
    phase_id: str
    page: AskedPage
    full: bool


class AskedArtifacts(msgspec.Struct, frozen=True):
    """One page of the artifacts of an execution, or of one of its phases."""

    execution_id: str
    phase_id: str
    page: AskedPage


class _Paged(Protocol):
    @property
    def page_size(self) -> int: ...
    @property
    def page_token(self) -> str: ...


def read_list(message: execution_service_pb2.ListRequest) -> AskedExecutions:
    """Read a ListRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedExecutions(
        matching=read_optional_filter(message, checks),
        order=checks.choice("order_by", message.order_by, ORDERS, Order.CREATED_AT_DESC),
        page=_page(message, checks),
        number=checks.number("page", message.page, least=1, most=_LAST_PAGE, default=1),
    )
    if message.page and message.page_token:
        checks.note("page", "must not be set together with page_token")
    checks.conclude()
    return asked


def read_list_active(message: execution_service_pb2.ListActiveRequest) -> AskedExecutions:
    """Read a ListActiveRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedExecutions(
        matching=msgspec.structs.replace(read_optional_filter(message, checks), active_only=True),
        order=Order.CREATED_AT_DESC,
        page=AskedPage(
            checks.number(
                "limit", message.limit, least=1, most=_LARGEST_PAGE, default=_ACTIVE_PAGE_SIZE
            ),
            checks.text("page_token", message.page_token, _TOKEN_LENGTH),
        ),
    )
    checks.conclude()
    return asked


def read_list_operations(message: execution_service_pb2.ListOperationsRequest) -> AskedOperations:
    """Read a ListOperationsRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedOperations(
        checks.id("execution_id", message.execution_id),
        checks.text("phase_id", message.phase_id, ID_LENGTH),
        _page(message, checks, most=_LARGEST_OPERATIONS_PAGE, default=_OPERATIONS_PAGE_SIZE),
        read_view(message.view, checks, full=False),
    )
    checks.conclude()
    return asked


def read_list_artifacts(message: artifact_service_pb2.ListArtifactsRequest) -> AskedArtifacts:
    """Read a ListArtifactsRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedArtifacts(
        checks.id("execution_id", message.execution_id),
        checks.text("phase_id", message.phase_id, ID_LENGTH),
        _page(message, checks),
    )
    checks.conclude()
    return asked


def read_list_workflows(message: workflow_service_pb2.ListWorkflowsRequest) -> AskedPage:
    """Read a ListWorkflowsRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = _page(message, checks)
    checks.conclude()
    return asked


def _page(
    message: _Paged, checks: Checks, *, most: int = _LARGEST_PAGE, default: int = _PAGE_SIZE
) -> AskedPage:
    return AskedPage(
        checks.number("page_size", message.page_size, least=1, most=most, default=default),
        checks.text("page_token", message.page_token, _TOKEN_LENGTH),
    )
