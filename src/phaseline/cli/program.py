"""The program: all commands in the order of its help, and how one command line is run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, TextIO, cast

import typer

from phaseline.cli import (
    artifacts,
    bench,
    controls,
    database,
    examples,
    execute,
    executions,
    imports,
    operations,
    server,
    watching,
    worker,
    workflows,
)
from phaseline.cli.command import add, add_listing, entry
from phaseline.cli.failures import EXIT_CODES, ExitCode
from phaseline.cli.options import Connection, Printed, Shared

_START = "Start"
_WORKFLOWS = "Workflows"
_EXECUTIONS = "Executions"
_CONTROL = "Control"
_OPERATE = "Operate"

# Typer brings its own click or uses the one installed, depending on its version, and names neither.
_ClickException = cast(type[Exception], typer.BadParameter.__mro__[2])


def build() -> typer.Typer:
    """Return the whole command line."""
    app = typer.Typer(
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True, epilog=EXIT_CODES)(_root)

    _add_start(app)
    _add_workflows(app)
    _add_executions(app)
    _add_control(app)
    _add_operating(app)
    return app


def _add_start(app: typer.Typer) -> None:
    add(app, "dev", server.dev, panel=_START, options=Shared)
    shown = _group(app, "examples", _START, "List and show workflows that run as they stand.")
    add_listing(shown, examples.list_, options=Printed)
    add(shown, "show", examples.show, options=Shared)
    add(shown, "path", examples.path, options=Shared)


def _add_workflows(app: typer.Typer) -> None:
    add(app, "apply", workflows.apply, panel=_WORKFLOWS)
    stored = _group(app, "workflows", _WORKFLOWS, "List workflows, and show one.")
    add_listing(stored, workflows.list_)
    add(stored, "get", workflows.get)


def _add_executions(app: typer.Typer) -> None:
    add(app, "execute", execute.execute, panel=_EXECUTIONS)
    add(app, "watch", watching.watch, panel=_EXECUTIONS)
    add(app, "status", executions.status, panel=_EXECUTIONS)
    add(app, "get", executions.get, panel=_EXECUTIONS)
    add(app, "list", executions.list_, panel=_EXECUTIONS)
    add(app, "active", executions.active, panel=_EXECUTIONS)
    add(app, "operations", operations.operations, panel=_EXECUTIONS)
    add(app, "import", imports.import_, panel=_EXECUTIONS)
    left = _group(app, "artifact", _EXECUTIONS, "List what phases left behind, and fetch it.")
    add(left, "list", artifacts.list_)
    add(left, "get", artifacts.get, options=Connection)


def _add_control(app: typer.Typer) -> None:
    add(app, "cancel", controls.cancel, panel=_CONTROL)
    add(app, "pause", controls.pause, panel=_CONTROL)
    add(app, "resume", controls.resume, panel=_CONTROL)
    add(app, "retry", controls.retry, panel=_CONTROL)
    add(app, "purge", controls.purge, panel=_CONTROL)


def _add_operating(app: typer.Typer) -> None:
    add(app, "serve", server.serve, panel=_OPERATE, options=Shared)
    add(app, "worker", worker.worker, panel=_OPERATE, options=Connection)
    add(app, "health", server.health, panel=_OPERATE)
    add(app, "bench", bench.bench, panel=_OPERATE, options=Shared)
    # Not listed: it is of use to those alone who measure, and nobody wants it in a true database.
    app.command("fill", hidden=True)(entry(bench.fill, Shared))
    kept = _group(app, "db", _OPERATE, "Upgrade the database, show its version, move to another.")
    add(kept, "upgrade", database.upgrade, options=Shared)
    add(kept, "version", database.version, options=Printed)
    add(kept, "copy", database.copy, options=Printed)


def run(arguments: Sequence[str]) -> int:
    """Run the command that *arguments* say; return its exit code."""
    # gRPC's own lines on stderr are for its developers, and say what our errors say.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for stream in (sys.stdout, sys.stderr):
        _forgive(stream)
    try:
        code = build()(list(arguments), prog_name="phaseline", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except _ClickException as error:
        return _misused(error)
    except SystemExit as error:
        # So typer, which does not let it through, ends a command whose output nobody reads.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return _cut_off()
    except Exception:  # noqa: BLE001 - the edge: a defect of ours gets its own code
        import traceback

        traceback.print_exc()
        return ExitCode.OTHER
    return code if isinstance(code, int) else ExitCode.OK


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """
    Run workflows phase by phase, durably, and see what each execution did.

    Settings come from options, PHASELINE_* variables and phaseline.toml, in that order.
    """
    if version:
        from phaseline import __version__

        typer.echo(f"phaseline {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _group(app: typer.Typer, name: str, panel: str, help: str) -> typer.Typer:
    result = typer.Typer(rich_markup_mode="rich", help=help, epilog=EXIT_CODES)
    app.add_typer(result, name=name, rich_help_panel=panel)
    return result


def _cut_off() -> int:
    # Python would otherwise complain once more when it flushes stdout at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.CUT_OFF


def _misused(error: BaseException) -> int:
    message = error.format_message()  # type: ignore[attr-defined]
    sys.stderr.write(f"error: {_sentence(message)}\n")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "phaseline"
    sys.stderr.write(f"hint: `{path} --help` shows how it is used\n")
    return ExitCode.USAGE


def _sentence(message: str) -> str:
    """Return *message* as our own are written: lower case, without a full stop."""
    text = message.strip().removesuffix(".").replace(". Did you", "; did you")
    text = text.replace("Value error, ", "")
    return text[:1].lower() + text[1:]


def _forgive(stream: TextIO) -> None:
    """Let a terminal that knows no "✔" show a "?" instead of ending the command."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
