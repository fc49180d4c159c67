"""Server reflection, by which tools learn the contract from the server itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from phaseline.rpc.interceptor import Handler

# The library has the older name only. Newer tools ask for the newer one first, which is the same
# service in all but the name.
NAMES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


def reflection_handlers(services: Iterable[str]) -> Mapping[str, Handler]:
    """Return the handlers, by path, that describe *services* and themselves."""
    servicer = reflection.aio.ReflectionServicer((*services, *NAMES))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return {f"/{name}/ServerReflectionInfo": handler for name in NAMES}
