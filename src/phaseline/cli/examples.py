"""Commands that show the workflows that come with the program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phaseline.cli.failures import ExitCode, Refused
from phaseline.cli.session import Session

Name = Annotated[str, typer.Argument(metavar="NAME", help="One that `phaseline examples` lists.")]


def list_(session: Session) -> None:
    """List the examples; `phaseline apply --example NAME` stores one."""
    from phaseline import examples
    from phaseline.cli import manifest

    listed = {
        name: workflow.description
        for name in examples.names()
        for workflow in manifest.load(examples.path(name))
    }
    session.output.facts(
        {"examples": [{"name": name, "description": text} for name, text in listed.items()]},
        "\n".join(f"{name:<20} {text}".rstrip() for name, text in listed.items()),
    )
    session.output.note("store one: phaseline apply --example NAME")


def show(session: Session, name: Name) -> None:
    """Print the file of an example."""
    session.output.text(find(name).read_text(encoding="utf-8").rstrip("\n"))


def path(session: Session, name: Name) -> None:
    """Print where the file of an example is."""
    session.output.text(str(find(name)))


def find(name: str) -> Path:
    """Return the file of the example *name*; raise `Refused` if there is none."""
    from phaseline import examples

    try:
        return examples.path(name)
    except LookupError as error:
        raise Refused(
            str(error.args[0]), hint="`phaseline examples` lists them", code=ExitCode.NOT_FOUND
        ) from None
