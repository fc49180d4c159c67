"""Tools learn the contract from the server, whichever version of reflection they speak."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from phaseline.rpc.methods import SERVICES
from phaseline.rpc.reflection import NAMES
from tests.support.rpc import Api, serving


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving({}) as served:
        yield served


async def ask(api: Api, name: str, **question: Any) -> ServerReflectionResponse:
    method = api.channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )
    stream = method()
    await stream.write(ServerReflectionRequest(**question))
    await stream.done_writing()
    answer = await stream.read()
    assert isinstance(answer, ServerReflectionResponse)
    return answer


@pytest.mark.parametrize("name", NAMES)
async def test_all_services_are_listed(api: Api, name: str) -> None:
    answer = await ask(api, name, list_services="")
    listed = {each.name for each in answer.list_services_response.service}
    assert listed == {*SERVICES, "grpc.health.v1.Health", *NAMES}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", NAMES)
async def test_each_service_of_ours_is_described(api: Api, name: str, service: str) -> None:
    answer = await ask(api, name, file_containing_symbol=service)
    files = [
        FileDescriptorProto.FromString(file)
        for file in answer.file_descriptor_response.file_descriptor_proto
    ]
    described = {f"{file.package}.{each.name}" for file in files for each in file.service}
    assert service in described
