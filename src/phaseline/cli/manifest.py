"""Reads workflows from YAML files, and writes them as such."""

import difflib
import re
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from google.api import field_behavior_pb2 as behavior
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from ruamel.yaml.nodes import Node

from phaseline.cli import yaml12
from phaseline.cli.yaml12 import Data, Misread, Position, below, wrong
from phaseline.domain.duration import format_duration, parse_duration
from phaseline.domain.errors import FieldViolation, InvalidArgument
from phaseline.v1.workflow_pb2 import Workflow

_INT32 = range(-(2**31), 2**31)
_EXACT = 2**53  #: above it, not every integer is a double
_STEP = re.compile(r"\[([^\]]*)\]|([^.\[]+)")
_REQUEST_FIELD = "workflow"  #: where ApplyWorkflowRequest has it
_HINTED = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class ManifestError(InvalidArgument):
    """
    A manifest says what no workflow can be. Correct *path* in *line*, at *column*, from 1.

    *field* is the path of the field, such as `phases[1].timeout`, empty if it is not about one.
    """

    def __init__(self, path: str, line: int, column: int, field: str, message: str) -> None:
        violation = FieldViolation(field, message)
        super().__init__(f"{path}:{line}:{column}: {violation}", violations=[violation])
        self.path = path
        self.line = line
        self.column = column
        self.field = field


class Loaded(NamedTuple):
    """A workflow, and where it is written: *path* is that of the file."""

    workflow: Workflow
    path: str
    document: Node

    def errors(self, refused: InvalidArgument) -> Iterator[ManifestError]:
        """Yield what a server finds wrong with the workflow, each where it is written."""
        for violation in refused.violations:
            field = violation.field.removeprefix(_REQUEST_FIELD).removeprefix(".")
            where = yaml12.position(_at(self.document, field))
            yield ManifestError(self.path, *where, field, violation.description)


def load(source: Path | str, *, name: str = "<text>") -> list[Workflow]:
    """Return the workflows of *source* as `read` does, without where they are written."""
    return [loaded.workflow for loaded in read(source, name=name)]


def read(source: Path | str, *, name: str = "<text>") -> list[Loaded]:
    """
    Return the workflows of *source*: the path of a file, or the YAML itself, called *name*.

    There is one for each document, and at least one. Raise `ManifestError` for the first thing
    wrong, and `OSError` if the file cannot be read. What only the server can judge, such as a
    placeholder, is left to it.
    """
    try:
        if isinstance(source, Path):
            name = str(source)
            source = _decoded(source.read_bytes())
        found = [
            Loaded(_workflow(document), name, document) for document in yaml12.documents(source)
        ]
        if not found:
            raise Misread(Position(1, 1), "", "there is no workflow here")
    except Misread as error:
        raise ManifestError(name, *error.position, error.field, error.message) from None
    return found


def dump(workflow: Workflow) -> str:
    """Return *workflow* as YAML, without what the server sets, so that it can be applied again."""
    return yaml12.write(_data(workflow))


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = error.start - before.rfind(b"\n")
        raise Misread(Position(before.count(b"\n") + 1, column), "", "must be UTF-8") from None


def _workflow(document: Node) -> Workflow:
    workflow = Workflow()
    _fill(workflow, document, "")
    return workflow


def _at(node: Node, field: str) -> Node:
    """Return what *field* is below *node*, or the nearest that holds it and is written."""
    for index, name in _STEP.findall(field):
        inner = yaml12.inside(node, index or name)
        if inner is None:
            break
        node = inner
    return node


def _fill(message: Message, node: Node, path: str) -> None:
    """Set the fields of *message* that *node* gives."""
    fields, given = _fields(message), set[str]()
    for key, value in yaml12.pairs(node, path):
        name = key.value
        if name not in fields or _is_output(fields[name]):
            raise wrong(key, below(path, name), _not_a_field(name, fields))
        if not yaml12.is_null(value):
            _set(message, fields[name], value, below(path, name))
            given.add(name)
    for name, field in fields.items():
        if behavior.REQUIRED in _behavior(field) and name not in given:
            raise wrong(node, below(path, name), "is required")


def _fields(message: Message) -> Mapping[str, FieldDescriptor]:
    return cast(Mapping[str, FieldDescriptor], message.DESCRIPTOR.fields_by_name)


def _behavior(field: FieldDescriptor) -> Container[int]:
    behaviors: Container[int] = field.GetOptions().Extensions[cast(Any, behavior.field_behavior)]
    return behaviors


def _is_output(field: FieldDescriptor) -> bool:
    return behavior.OUTPUT_ONLY in _behavior(field)


def _not_a_field(name: str, fields: Mapping[str, FieldDescriptor]) -> str:
    if name in fields:
        return "is set by the server and must be left out"
    known = [at for at, field in fields.items() if not _is_output(field)]
    if close := difflib.get_close_matches(name, known, n=1):
        return f"is not known; did you mean {close[0]!r}?"
    return f"is not known; known are {', '.join(known)}"


def _set(message: Message, field: FieldDescriptor, node: Node, path: str) -> None:
    """Set *field* of *message*, be it one value, a list or a map."""
    current = getattr(message, field.name)
    if _is_map(field):
        for key, value in yaml12.pairs(node, path):
            current[key.value] = _text(value, f"{path}[{key.value}]")
    elif field.is_repeated and field.message_type:
        for at, item in yaml12.items(node, path):
            _MESSAGES.get(field.message_type.full_name, _fill)(current.add(), item, at)
    elif field.is_repeated:
        current.extend(_SCALARS[field.type](item, at) for at, item in yaml12.items(node, path))
    elif field.message_type:
        current.SetInParent()
        _MESSAGES.get(field.message_type.full_name, _fill)(current, node, path)
    else:
        setattr(message, field.name, _SCALARS[field.type](node, path))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _text(node: Node, path: str) -> str:
    """Return the text as it stands: no for "no", 2.50 for "2.50"."""
    if yaml12.scalar(node, path) is None:
        raise wrong(node, path, "must be text, is empty")
    return str(node.value)


def _boolean(node: Node, path: str) -> bool:
    value = yaml12.scalar(node, path)
    if not isinstance(value, bool):
        meant = _HINTED.get(str(value).lower())
        hint = f"; in YAML 1.2 write {meant}" if meant else ""
        raise wrong(node, path, f"must be true or false, is {yaml12.kind(node)}{hint}")
    return value


def _integer(node: Node, path: str) -> int:
    value = yaml12.scalar(node, path)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(node, path, f"must be a whole number, is {yaml12.kind(node)}")
    if value not in _INT32:
        raise wrong(node, path, f"must be at most {_INT32[-1]} either way, is {value}")
    return value


def _number(node: Node, path: str) -> float:
    value = yaml12.scalar(node, path)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong(node, path, f"must be a number, is {yaml12.kind(node)}")
    return float(value)


def _fill_duration(message: Message, node: Node, path: str) -> None:
    assert isinstance(message, Duration)
    try:
        message.FromTimedelta(parse_duration(_text(node, path)))
    except ValueError as error:
        raise wrong(node, path, f"{error}, is {yaml12.kind(node)}") from None


def _fill_struct(message: Message, node: Node, path: str) -> None:
    assert isinstance(message, Struct)
    value = yaml12.data(node, path)
    if not isinstance(value, dict):
        raise wrong(node, path, f"must be a mapping, is {yaml12.kind(node)}")
    message.update(value)


#: How to read each kind of field that the contract has; a test walks all of them.
_SCALARS: Mapping[int, Callable[[Node, str], object]] = {
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_INT32: _integer,
    FieldDescriptor.TYPE_DOUBLE: _number,
}

#: Messages that are not written field by field.
_MESSAGES: Mapping[str, Callable[[Message, Node, str], None]] = {
    Duration.DESCRIPTOR.full_name: _fill_duration,
    Struct.DESCRIPTOR.full_name: _fill_struct,
}


def _data(message: Message) -> Data:
    if isinstance(message, Duration):
        return format_duration(message.ToTimedelta())
    if isinstance(message, Struct):
        return {key: _value(value) for key, value in sorted(message.fields.items())}
    return {
        field.name: _field_data(field, value)
        for field, value in message.ListFields()
        if not _is_output(field)
    }


def _field_data(field: FieldDescriptor, value: Any) -> Data:
    if _is_map(field):
        return dict(sorted(value.items()))
    if field.is_repeated:
        return [_data(item) if field.message_type else item for item in value]
    return _data(value) if field.message_type else value


def _value(value: Value) -> Data:
    match value.WhichOneof("kind"):
        case "struct_value":
            return _data(value.struct_value)
        case "list_value":
            return [_value(item) for item in value.list_value.values]
        case "number_value" if abs(value.number_value) < _EXACT and value.number_value.is_integer():
            return int(value.number_value)
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
    return None
