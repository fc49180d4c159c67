"""Lists of executions and operations, by page or whole."""

from collections.abc import AsyncGenerator
from typing import TypeAlias

from phaseline.client import rpcs
from phaseline.client.calls import Calls, pages
from phaseline.v1 import execution_pb2, execution_service_pb2

_View: TypeAlias = execution_pb2.ExecutionView.ValueType
_Order: TypeAlias = execution_service_pb2.ExecutionOrder.ValueType
_Filter = execution_service_pb2.ExecutionFilter


class Listing:
    """The part of a client that lists. Those named iter_ read page after page as they go."""

    _calls: Calls

    async def list(
        self,
        *,
        filter: _Filter | None = None,
        order_by: _Order = execution_service_pb2.EXECUTION_ORDER_UNSPECIFIED,
        page_size: int = 0,
        page_token: str = "",
        page: int = 0,
    ) -> execution_service_pb2.ListResponse:
        """List executions, newest first if no order is given."""
        request = execution_service_pb2.ListRequest(
            filter=filter,
            order_by=order_by,
            page_size=page_size,
            page_token=page_token,
            page=page,
        )
        return await self._calls.call(rpcs.LIST, request)

    async def iter_executions(
        self,
        *,
        filter: _Filter | None = None,
        order_by: _Order = execution_service_pb2.EXECUTION_ORDER_UNSPECIFIED,
        page_size: int = 100,
    ) -> AsyncGenerator[execution_pb2.Execution, None]:
        """Yield all executions that match."""
        async for page in pages(
            lambda page_token: self.list(
                filter=filter,
                order_by=order_by,
                page_size=page_size,
                page_token=page_token,
            )
        ):
            for execution in page.executions:
                yield execution

    async def list_active(
        self,
        *,
        filter: _Filter | None = None,
        limit: int = 0,
        page_token: str = "",
    ) -> execution_service_pb2.ListActiveResponse:
        """List the executions that are not terminal, newest first."""
        request = execution_service_pb2.ListActiveRequest(
            filter=filter, limit=limit, page_token=page_token
        )
        return await self._calls.call(rpcs.LIST_ACTIVE, request)

    async def list_operations(
        self,
        execution_id: str,
        *,
        phase_id: str = "",
        view: _View = execution_pb2.EXECUTION_VIEW_UNSPECIFIED,
        page_size: int = 0,
        page_token: str = "",
    ) -> execution_service_pb2.ListOperationsResponse:
        """List the operations of an execution, or of one phase, in the order first recorded."""
        request = execution_service_pb2.ListOperationsRequest(
            execution_id=execution_id,
            phase_id=phase_id,
            view=view,
            page_size=page_size,
            page_token=page_token,
        )
        return await self._calls.call(rpcs.LIST_OPERATIONS, request)

    async def iter_operations(
        self,
        execution_id: str,
        *,
        phase_id: str = "",
        view: _View = execution_pb2.EXECUTION_VIEW_UNSPECIFIED,
        page_size: int = 1000,
    ) -> AsyncGenerator[execution_pb2.Operation, None]:
        """Yield all operations of an execution, or of one phase."""
        async for page in pages(
            lambda page_token: self.list_operations(
                execution_id,
                phase_id=phase_id,
                view=view,
                page_size=page_size,
                page_token=page_token,
            )
        ):
            for operation in page.operations:
                yield operation

    async def get_nesting(
        self,
        execution_id: str = "",
        *,
        chat_message_id: str = "",
    ) -> execution_service_pb2.GetNestingResponse:
        """Read an execution with all its descendants; its id, or the chat message it answers."""
        request = (
            execution_service_pb2.GetNestingRequest(chat_message_id=chat_message_id)
            if chat_message_id
            else execution_service_pb2.GetNestingRequest(execution_id=execution_id)
        )
        return await self._calls.call(rpcs.GET_NESTING, request)
