"""A server with scripted answers, over real gRPC, for whatever calls one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from phaseline.v1 import (
    artifact_service_pb2,
    execution_service_pb2,
    worker_service_pb2,
    workflow_service_pb2,
)
from phaseline.wire.status import status_of

_SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for module in (
        artifact_service_pb2,
        execution_service_pb2,
        worker_service_pb2,
        workflow_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)

#: A message, an error, or a function of the request that gives one of them.
Answer = Message | Exception | Callable[[Any], "Message | Exception"]
#: What a stream sends, one after the other; an error ends it.
Stream = Iterable[Message | Exception]


class FakeService:
    """
    Answers each method as it was told, the last answer again and again; keeps all requests.

    A context manager: inside, `address` is where it listens.
    """

    def __init__(self) -> None:
        self._answers: dict[str, list[Answer]] = {}
        self._streams: dict[str, list[Stream]] = {}
        self._requests: dict[str, list[Any]] = defaultdict(list)
        self.metadata: list[dict[str, str | bytes]] = []
        self.address = ""
        self._health = health.HealthServicer()
        self._server: grpc.Server | None = None

    def answer(self, method: str, *answers: Answer) -> None:
        """Let *method*, such as "Execute", answer each of *answers* in turn."""
        self._answers[method] = list(answers)

    def stream(self, method: str, *streams: Stream) -> None:
        """Let each call of *method* send the next of *streams*."""
        self._streams[method] = list(streams)

    def requests(self, method: str) -> list[Any]:
        """Return the requests that *method* got."""
        return self._requests[method]

    def drain(self) -> None:
        """Let the whole server say that it does not serve."""
        self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    def __enter__(self) -> Self:
        server = grpc.server(ThreadPoolExecutor(8))
        for service in _SERVICES:
            handlers = {one.name: self._handler(one) for one in service.methods}
            server.add_registered_method_handlers(service.full_name, handlers)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        self._server = server
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.stop(None).wait()

    def _handler(self, method: Any) -> grpc.RpcMethodHandler[Any, Any]:
        request_class = GetMessageClass(method.input_type)

        def unary(request: Message, context: grpc.ServicerContext) -> Message:
            self._note(method.name, request, context)
            answers = self._answers[method.name]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            return _sent(answer(request) if callable(answer) else answer, context)

        def stream(request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
            self._note(method.name, request, context)
            streams = self._streams[method.name]
            for message in streams.pop(0) if len(streams) > 1 else streams[0]:
                yield _sent(message, context)

        def serialize(message: Message) -> bytes:
            return message.SerializeToString()

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, request_class.FromString, serialize)
        return grpc.unary_unary_rpc_method_handler(unary, request_class.FromString, serialize)

    def _note(self, method: str, request: Message, context: grpc.ServicerContext) -> None:
        self._requests[method].append(request)
        self.metadata.append(dict(context.invocation_metadata()))


def _sent(answer: Message | Exception, context: grpc.ServicerContext) -> Message:
    if isinstance(answer, Exception):
        context.abort_with_status(rpc_status.to_status(status_of(answer)))
    assert isinstance(answer, Message)
    return answer
