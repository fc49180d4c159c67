"""Reads YAML 1.2, with the place of everything, and writes YAML that reads alike everywhere."""

import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import (
    DoubleQuotedScalarString,
    LiteralScalarString,
    SingleQuotedScalarString,
)
from ruamel.yaml.tag import Tag

Scalar = None | bool | int | float | str
Data = Scalar | list["Data"] | dict[str, "Data"]

_DEPTH = 100
_TAG = "tag:yaml.org,2002:"
_TEXT = f"{_TAG}str"
_NULL = f"{_TAG}null"

# The core schema, where "no" is text and 010 is ten.
_CORE: Mapping[str, tuple[re.Pattern[str], Callable[[str], Scalar]]] = {
    _NULL: (re.compile(r"~|null|Null|NULL|"), lambda _: None),
    f"{_TAG}bool": (
        re.compile(r"true|True|TRUE|false|False|FALSE"),
        lambda text: text.lower() == "true",
    ),
    f"{_TAG}int": (
        re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,250}"),
        # Base 0 reads the prefixes, but refuses 010.
        lambda text: int(text, 0) if text[:2] in ("0o", "0x") else int(text),
    ),
    f"{_TAG}float": (
        re.compile(
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
            r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
        ),
        lambda text: math.nan if text[-1] in "fFnN" else float(text),
    ),
    _TEXT: (re.compile(r".*", re.DOTALL), str),
}

# Text without quotes that others, and YAML 1.1, take for a truth value, a number or a time.
_QUOTED = re.compile(
    r"|~|null|true|false|y|yes|n|no|on|off|[-+]?\.(inf|nan)"
    r"|[-+.0-9][-+.0-9_:eETtZz ]*|[-+]?0[xob][0-9a-f_]*|[=<]+",
    re.IGNORECASE,
)


class Position(NamedTuple):
    """A place in a file, both numbers from 1."""

    line: int
    column: int


class Misread(Exception):
    """The file does not say what was wanted: what is wrong with *field*, and where."""

    def __init__(self, position: Position, field: str, message: str) -> None:
        super().__init__(message)
        self.position = position
        self.field = field
        self.message = message


def documents(text: str) -> list[Node]:
    """Return the documents of *text* that are not empty; raise `Misread`."""
    try:
        with warnings.catch_warnings():
            # An anchor may be used again in YAML 1.2.
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            # Not "rt", whose folded text has a mark for each fold in it.
            yaml = YAML(typ="safe", pure=True)
            yaml.Resolver = _CoreResolver
            nodes = list(yaml.compose_all(text))
    except YAMLError as error:
        raise _syntax(error, text) from None
    return [node for node in nodes if not is_null(node)]


def position(node: Node) -> Position:
    """Return where *node* begins, for an alias where its anchor is."""
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def pairs(node: Node, field: str) -> Iterator[tuple[ScalarNode, Node]]:
    """Yield the keys and values of the mapping *node*; raise `Misread` unless it is one."""
    if not isinstance(node, MappingNode):
        raise wrong(node, field, f"must be a mapping, is {kind(node)}")
    seen: dict[str, ScalarNode] = {}
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            raise wrong(key, field, f"must have text as keys, has {kind(key)}")
        path = below(field, key.value)
        if key.value == "<<" and not key.style:
            raise wrong(key, path, "is a merge key, which YAML 1.2 does not have")
        if earlier := seen.get(key.value):
            raise wrong(key, path, f"is given twice, first in line {position(earlier).line}")
        seen[key.value] = key
        yield key, value


def items(node: Node, field: str) -> Iterator[tuple[str, Node]]:
    """Yield the items of the list *node* with their paths; raise `Misread` unless it is one."""
    if not isinstance(node, SequenceNode):
        raise wrong(node, field, f"must be a list, is {kind(node)}")
    for index, item in enumerate(node.value):
        yield f"{field}[{index}]", item


def inside(node: Node, name: str) -> Node | None:
    """Return the value of the key *name*, or the item with the index *name*; None without one."""
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == name), None)
    if isinstance(node, SequenceNode) and name.isdecimal() and int(name) < len(node.value):
        item: Node = node.value[int(name)]
        return item
    return None


def scalar(node: Node, field: str) -> Scalar:
    """Return what the scalar *node* says; raise `Misread` if it is none, or infinite."""
    if not isinstance(node, ScalarNode):
        raise wrong(node, field, f"must be a single value, is {kind(node)}")
    pattern, convert = _CORE.get(node.tag or "", (None, str))
    if pattern is None or not pattern.fullmatch(node.value):
        raise wrong(node, field, f"has the tag {node.tag!r}, which does not fit")
    value = convert(node.value)
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong(node, field, f"must be a finite number, is {node.value}")
    return value


def data(node: Node, field: str, depth: int = 0) -> Data:
    """Return all that *node* says, its numbers as good as doubles; raise `Misread`."""
    if depth > _DEPTH:
        raise wrong(node, field, f"must be nested at most {_DEPTH} deep")
    if isinstance(node, MappingNode):
        return {
            key.value: data(value, below(field, key.value), depth + 1)
            for key, value in pairs(node, field)
        }
    if isinstance(node, SequenceNode):
        return [data(item, path, depth + 1) for path, item in items(node, field)]
    value = scalar(node, field)
    if isinstance(value, int) and int(float(value)) != value:
        raise wrong(node, field, f"is not exact as a double: put {node.value} in quotes")
    return value


def is_null(node: Node) -> bool:
    """Return whether *node* says that there is nothing."""
    return isinstance(node, ScalarNode) and node.tag == _NULL


def kind(node: Node) -> str:
    """Return what *node* is, for people."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if is_null(node):
        return "empty"
    return f"{node.value!r}" if len(node.value) <= 40 else f"{node.value[:40]!r}..."


def below(field: str, name: str) -> str:
    """Return the path of the field *name* of *field*."""
    return f"{field}.{name}" if field else name


def wrong(node: Node, field: str, message: str) -> Misread:
    """Return the error that says what is wrong with *node*."""
    return Misread(position(node), field, message)


def write(value: Data) -> str:
    """Return *value* as a document."""
    yaml = YAML(typ="rt", pure=True)
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = sys.maxsize
    stream = StringIO()
    yaml.dump(_styled(value), stream)
    return stream.getvalue()


class _CoreResolver(VersionedResolver):
    """
    Gives a scalar without a tag the one that the core schema says.

    The resolver of ruamel.yaml knows timestamps and 1_000 besides, and goes back to YAML 1.1 where
    a file asks for it.
    """

    def resolve(self, kind: type[Node], value: str, implicit: Any) -> Tag:
        # For a scalar a pair: stands without quotes, and with them; else a single truth value.
        if kind is ScalarNode and implicit[0]:
            return Tag(suffix=next(tag for tag in _CORE if _CORE[tag][0].fullmatch(value)))
        tag: Tag = super().resolve(kind, value, implicit)
        return tag


def _styled(value: Data) -> Data:
    if isinstance(value, dict):
        return {_text(key): _styled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_styled(item) for item in value]
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    style: type[str] = str
    if "\n" in text and _is_block(text):
        style = LiteralScalarString
    elif not text.isprintable():
        style = DoubleQuotedScalarString
    elif _QUOTED.fullmatch(text):
        style = SingleQuotedScalarString
    return style(text)


def _is_block(text: str) -> bool:
    """Return whether *text* reads well as lines, without escapes and indentation marks."""
    lines = text.removesuffix("\n").split("\n")
    return (
        all(line.isprintable() and not line.endswith(" ") for line in lines)
        and not text.startswith((" ", "\n"))
        and lines[-1] != ""
    )


def _syntax(error: YAMLError, text: str) -> Misread:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        context = f" {error.context}" if error.context else ""
        return Misread(Position(mark.line + 1, mark.column + 1), "", f"{error.problem}{context}")
    if isinstance(error, ReaderError):
        before = text[: error.position]
        where = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        return Misread(
            where, "", f"has the character {chr(error.character)!r}, which is not allowed"
        )
    return Misread(Position(1, 1), "", str(error))
