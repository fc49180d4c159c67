"""
The contract only grows: what the last release offered is there, and means the same.

`released.binpb` is the descriptor set that the last release shipped. A release replaces it:

    cp src/phaseline/v1/phaseline.binpb tests/rpc/released.binpb
"""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool


def surface(descriptors: FileDescriptorSet) -> set[str]:
    """Return a line for each thing of ours that a caller can depend on."""
    return {line for file in _ours(descriptors) for line in _file_lines(file)}


def test_the_contract_only_grows(released: FileDescriptorSet, current: FileDescriptorSet) -> None:
    assert surface(released) - surface(current) == set()


def test_the_shipped_descriptors_need_no_other_file(current: FileDescriptorSet) -> None:
    pool = DescriptorPool()
    for file in current.file:
        pool.AddSerializedFile(file.SerializeToString())
    assert [pool.FindFileByName(file.name).package for file in _ours(current)]


def test_an_addition_is_allowed(released: FileDescriptorSet, current: FileDescriptorSet) -> None:
    added = _message(current, "Usage").field.add(name="new", number=1000)
    added.type = FieldDescriptorProto.TYPE_STRING
    assert surface(released) - surface(current) == set()


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("name", "renamed"),
        ("number", 1000),
        ("type", FieldDescriptorProto.TYPE_STRING),
        ("label", FieldDescriptorProto.LABEL_REPEATED),
        ("json_name", "renamed"),
        ("proto3_optional", True),
    ],
)
def test_a_changed_field_is_noticed(
    current: FileDescriptorSet, attribute: str, value: object
) -> None:
    before = surface(current)
    setattr(_message(current, "Usage").field[0], attribute, value)
    assert before - surface(current) != set()


def test_a_method_that_is_no_longer_idempotent_is_noticed(current: FileDescriptorSet) -> None:
    before = surface(current)
    service = next(file for file in _ours(current) if file.service).service[0]
    service.method[0].options.ClearField("idempotency_level")
    assert before - surface(current) != set()


@pytest.fixture
def released() -> FileDescriptorSet:
    """Return what the last release shipped."""
    return FileDescriptorSet.FromString(Path(__file__).with_name("released.binpb").read_bytes())


@pytest.fixture
def current() -> FileDescriptorSet:
    """Return what this tree ships."""
    shipped = resources.files("phaseline.v1").joinpath("phaseline.binpb")
    return FileDescriptorSet.FromString(shipped.read_bytes())


def _ours(descriptors: FileDescriptorSet) -> list[FileDescriptorProto]:
    return [file for file in descriptors.file if file.package == "phaseline.v1"]


def _message(descriptors: FileDescriptorSet, name: str) -> DescriptorProto:
    messages = (message for file in _ours(descriptors) for message in file.message_type)
    return next(message for message in messages if message.name == name)


def _file_lines(file: FileDescriptorProto) -> Iterator[str]:
    options = file.options
    yield f"{file.name}: {options.go_package} {options.java_package} {options.csharp_namespace}"
    for message in file.message_type:
        yield from _message_lines(f"{file.name}: {message.name}", message)
    for enum in file.enum_type:
        yield from _enum_lines(f"{file.name}: {enum.name}", enum)
    for service in file.service:
        yield from _service_lines(f"{file.name}: {service.name}", service)


def _message_lines(path: str, message: DescriptorProto) -> Iterator[str]:
    yield path
    for field in message.field:
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        shape = f"{field.type} {field.type_name} {field.label} {field.proto3_optional}"
        yield f"{path}.{field.name} = {field.number}: {shape} {oneof} {field.json_name}"
    for nested in message.nested_type:
        yield from _message_lines(f"{path}.{nested.name}", nested)
    for enum in message.enum_type:
        yield from _enum_lines(f"{path}.{enum.name}", enum)


def _enum_lines(path: str, enum: EnumDescriptorProto) -> Iterator[str]:
    yield path
    yield from (f"{path}.{value.name} = {value.number}" for value in enum.value)


def _service_lines(path: str, service: ServiceDescriptorProto) -> Iterator[str]:
    yield path
    for method in service.method:
        types = f"{method.input_type} {method.client_streaming}"
        answers = f"{method.output_type} {method.server_streaming}"
        yield f"{path}.{method.name}: {types} {answers} {method.options.idempotency_level}"
