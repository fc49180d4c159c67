"""Prints answers: tables for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from phaseline.cli.frame import UNBOUNDED
from phaseline.cli.options import Form

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import Console, RenderableType

    from phaseline.cli.yaml12 import Data


class Output:
    """Where a command prints, and in which form."""

    def __init__(self, form: Form = Form.TABLE) -> None:
        self.form = form
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """The terminal, or what stands for it; nothing printed to it is taken for markup."""
        from rich.console import Console

        if self._console is None:
            self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
            if not self._console.is_terminal:
                self._console.width = UNBOUNDED
        return self._console

    @property
    def is_terminal(self) -> bool:
        return self.console.is_terminal and not self.console.is_dumb_terminal

    @property
    def is_table(self) -> bool:
        return self.form is Form.TABLE

    def show(self, message: Message, table: Callable[[], RenderableType]) -> None:
        """Print *message* in the form asked for; *table* draws it for people."""
        if self.is_table:
            self.draw(table())
        else:
            self.write(message)

    def draw(self, renderable: RenderableType) -> None:
        """Print *renderable*; without blanks at the ends of lines where no terminal needs them."""
        if self.is_terminal:
            self.console.print(renderable)
            return
        with self.console.capture() as capture:
            self.console.print(renderable)
        self.text("\n".join(line.rstrip() for line in capture.get().splitlines()))

    def text(self, text: str) -> None:
        """Print *text* as it is, and a line end."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def write(self, message: Message, *, in_stream: bool = False) -> None:
        """Print *message* as JSON or YAML; as one line or document of many, if *in_stream*."""
        if self.form is Form.YAML:
            sys.stdout.write(("---\n" if in_stream else "") + yaml_text(message))
            sys.stdout.flush()
        else:
            self.text(json_text(message, indent=None if in_stream else 2))

    def write_all(self, messages: Sequence[Message]) -> None:
        """Print *messages* as one JSON or YAML document, a list."""
        if self.form is Form.YAML:
            from phaseline.cli import yaml12

            sys.stdout.write(yaml12.write([_data(each) for each in messages]))
            sys.stdout.flush()
        else:
            self.text(json.dumps([_data(each) for each in messages], indent=2))

    def facts(self, facts: Mapping[str, Data], text: str) -> None:
        """Print *facts*, which are no message, in the form asked for; *text* is for people."""
        if self.is_table:
            self.text(text)
        elif self.form is Form.JSON:
            self.text(json.dumps(facts, indent=2))
        else:
            from phaseline.cli import yaml12

            self.text(yaml12.write(dict(facts)).rstrip("\n"))

    def note(self, text: str) -> None:
        """Say *text*, which is no part of the answer, to whoever sits there."""
        if self.is_table:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


def json_text(message: Message, *, indent: int | None = 2) -> str:
    """Return *message* as JSON with every field, those at their defaults too."""
    return json.dumps(_data(message), indent=indent)


def yaml_text(message: Message) -> str:
    """Return *message* as YAML with the fields that JSON has."""
    from phaseline.cli import yaml12

    return yaml12.write(_data(message))


def _data(message: Message) -> Any:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
