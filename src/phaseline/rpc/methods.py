"""Every RPC of the contract, as the descriptors tell it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from phaseline.domain.errors import InvalidArgument
from phaseline.v1 import (
    artifact_service_pb2,
    execution_service_pb2,
    worker_service_pb2,
    workflow_service_pb2,
)


class Method(NamedTuple):
    """One RPC."""

    service: str
    name: str
    request: type[Any]
    is_stream: bool

    @property
    def path(self) -> str:
        """How a call names it."""
        return f"/{self.service}/{self.name}"

    def read(self, body: bytes) -> Any:
        """Return the request in *body*; raise `InvalidArgument` if there is none."""
        try:
            return self.request.FromString(body)
        except DecodeError:
            name = self.request.DESCRIPTOR.full_name
            raise InvalidArgument(f"the request is no {name}") from None


def methods_of(service: ServiceDescriptor) -> Iterator[Method]:
    """Yield the RPCs of *service*."""
    for method in service.methods:
        request = GetMessageClass(method.input_type)
        yield Method(service.full_name, method.name, request, method.server_streaming)


METHODS = tuple(
    method
    for file in (
        execution_service_pb2,
        workflow_service_pb2,
        worker_service_pb2,
        artifact_service_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in methods_of(service)
)
SERVICES = tuple(dict.fromkeys(method.service for method in METHODS))
