"""Whatever is sent, the answer is a proper one: it names the field, and the server goes on."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from phaseline.rpc.methods import METHODS, Method
from phaseline.serve import running
from phaseline.settings import Settings, load
from phaseline.v1 import workflow_pb2, workflow_service_pb2, workflow_service_pb2_grpc
from phaseline.wire.status import error_of

#: Beyond it no answer is waited for: a watch, or a poll that finds nothing, is a proper answer.
_PATIENCE = 0.25
_DEPTH = 4
_PROPER = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
_TEXTS = (
    "",
    "w",
    "e",
    "p",
    "\0",
    "..",
    "x" * 300,
    "{{p}}$ARGUMENTS{{",
    "é☃\U0001f600",
    "-1",
    "1e9",
    "999999999.999999999",
    "' OR 1=1 --",
)
_NUMBERS = (0, 1, -1, 2, 50, 101, 2**31 - 1, -(2**31))
_LARGE = (2**63 - 1, -(2**63), 315_576_000_000, -315_576_000_001)
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}
_WIDE = {FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64}


class Garbage:
    """Makes requests that nobody would send."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def request(self, method: Method) -> bytes:
        """Return bytes for *method*: of a message, of a broken one, or of none."""
        draw = self._random.random()
        if draw < 0.1:
            return self._random.randbytes(self._random.randrange(60))
        body = self.message(method.request.DESCRIPTOR, 0).SerializeToString()
        if draw < 0.3 and body:
            at = self._random.randrange(len(body))
            return bytes(body[:at] + self._random.randbytes(1) + body[at + 1 :])
        return bytes(body)

    def message(self, kind: Descriptor, depth: int) -> Any:
        message = GetMessageClass(kind)()
        for field in kind.fields:
            if self._random.random() < 0.35:
                self._set(message, field, depth)
        return message

    def _set(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            if value.message_type is None:
                getattr(message, field.name)[self._random.choice(_TEXTS)] = self._value(value, 0)
            return
        if field.message_type is not None:
            if depth < _DEPTH:
                inner = self.message(field.message_type, depth + 1)
                target = getattr(message, field.name)
                (target.add() if field.is_repeated else target).MergeFrom(inner)
        elif field.is_repeated:
            values = [self._value(field, depth) for _ in range(self._random.randrange(4))]
            getattr(message, field.name).extend(values)
        else:
            setattr(message, field.name, self._value(field, depth))

    def _value(self, field: FieldDescriptor, depth: int) -> Any:
        if field.cpp_type in _INTEGERS:
            numbers = _NUMBERS + (_LARGE if field.cpp_type in _WIDE else ())
            if field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64):
                return abs(self._random.choice(_NUMBERS))
            return self._random.choice(numbers)
        if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            return self._random.choice((0, 1, 2, 99, -1))
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return self._random.random() < 0.5
        if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
            return self._random.choice((0.0, -1.5, 2.0, 1e300, float("nan"), float("inf")))
        text = self._random.choice(_TEXTS)
        return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(listen="127.0.0.1:0", db=str(tmp_path / "phaseline.db"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rounds", [100, pytest.param(1000, marks=pytest.mark.long)])
async def test_garbage_gets_a_proper_answer(settings: Settings, rounds: int) -> None:
    async with (
        running(settings) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        await _apply(channel)
        garbage = Garbage(seed=7)
        for _ in range(rounds):
            calls = [(method, garbage.request(method)) for method in METHODS]
            answers = await asyncio.gather(*(_ask(channel, *call) for call in calls))
            assert [answer for answer in answers if answer] == []
        await _apply(channel)


async def _ask(channel: grpc.aio.Channel, method: Method, body: bytes) -> str:
    """Return what is wrong with the answer; empty if nothing is."""
    stream: Any = channel.unary_stream(method.path)
    unary: Any = channel.unary_unary(method.path)
    try:
        if method.is_stream:
            await stream(body, timeout=_PATIENCE).read()
        else:
            await unary(body, timeout=_PATIENCE)
    except grpc.aio.AioRpcError as error:
        if error.code() not in _PROPER:
            return f"{method.path} answers {error.code()} {error.details()} to {body!r}"
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            told = error_of(error)
            if not told.violations and "the request is no" not in told.message:
                return f"{method.path} names no field: {told.message}"
    return ""


async def _apply(channel: grpc.aio.Channel) -> None:
    """Store the workflow that some of the garbage names; also shows that the server is alive."""
    workflow = workflow_pb2.Workflow(
        workflow_id="w", phases=[workflow_pb2.PhaseSpec(phase_id="p", handler="h")]
    )
    stub = workflow_service_pb2_grpc.WorkflowServiceStub(channel)
    await stub.ApplyWorkflow(workflow_service_pb2.ApplyWorkflowRequest(workflow=workflow))
