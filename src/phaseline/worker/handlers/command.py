"""The `command` handler: runs a program, and takes its output for that of the phase."""

from __future__ import annotations

import os.path
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from phaseline.domain.failure import MESSAGE_LENGTH
from phaseline.domain.payload import Payload
from phaseline.worker.context import Context
from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.capture import Capture
from phaseline.worker.handlers.command_config import CommandConfig, parse_config
from phaseline.worker.handlers.process import Process, not_started
from phaseline.worker.handlers.report_file import ReportFile
from phaseline.worker.handlers.workdir import WorkDir, default_parent, passed_on
from phaseline.worker.limits import ARTIFACTS, PAYLOAD_BYTES
from phaseline.worker.threads import in_thread
from phaseline.worker.values import media_type_of

#: The operation that is the program itself, inside which are all that it reports.
PROCESS_ID = "process"

_STDERR_TAIL = 4096
_STDOUT_TAIL = PAYLOAD_BYTES // 2


class CommandHandler:
    """
    Runs the program or the script that the settings of a phase name.

    What a phase is given reaches it as variables and files, never as text put into the script.
    *pass_environment* names variables of the worker that programs get besides the harmless ones;
    *directory* is where their working directories are made.
    """

    def __init__(
        self, *, pass_environment: Sequence[str] = (), directory: Path | None = None
    ) -> None:
        self._pass_environment = tuple(pass_environment)
        self._directory = directory or default_parent()

    async def __call__(self, context: Context) -> Payload:
        config = parse_config(context.config)
        workdir = await in_thread(lambda: WorkDir(self._directory))
        command = _Command(context, config, workdir)
        try:
            await in_thread(command.prepare)
            return await command.run(passed_on(self._pass_environment))
        finally:
            command.report_file.close()
            await in_thread(workdir.remove)


class _Command:
    """One run of a program."""

    def __init__(self, context: Context, config: CommandConfig, workdir: WorkDir) -> None:
        self._context = context
        self._config = config
        self._workdir = workdir
        self._stdout = Capture(head=PAYLOAD_BYTES, tail=_STDOUT_TAIL)
        self._stderr = Capture(head=0, tail=_STDERR_TAIL)
        self.report_file = ReportFile(workdir.report_file, context, PROCESS_ID)
        self._argv: tuple[str, ...] = config.argv or (*config.shell, str(workdir.script))
        self._program = os.path.basename(self._argv[0])

    def prepare(self) -> None:
        """Write all that the program needs. Blocks."""
        cwd = self._config.cwd
        if cwd is not None and not os.path.isdir(cwd):
            raise _never(f"there is no directory {cwd!r} to run in", "CWD_NOT_FOUND")
        self._workdir.create(self._context, self._config.script)
        self.report_file.open()

    async def run(self, environment: Mapping[str, str]) -> Payload:
        """Run the program, and return the output of the phase."""
        given = self._config.script if self._config.argv is None else list(self._config.argv)
        async with self._context.operation(
            self._program, operation_id=PROCESS_ID, input=given
        ) as operation:
            process = await self._start(environment)
            try:
                with self.report_file.followed():
                    exit_code = await process.wait()
            finally:
                await self.report_file.read_rest()
                operation.returned(self._summary(process.exit_code))
            if exit_code != 0:
                raise self._failure(exit_code)
        return await in_thread(self._keep)

    async def _start(self, environment: Mapping[str, str]) -> Process:
        try:
            return await Process.start(
                self._argv,
                cwd=Path(self._config.cwd or self._workdir.work),
                environment={
                    **environment,
                    **self._config.variables,
                    **self._workdir.variables(self._context),
                },
                stdout=self._stdout.write,
                stderr=self._stderr.write,
                grace=self._config.grace_seconds,
            )
        except OSError as error:
            raise not_started(self._argv[0], error) from error

    def _failure(self, exit_code: int) -> HandlerError:
        # What a program says last says most; some say it on the wrong stream.
        said = (self._stderr.tail or self._stdout.tail[-_STDERR_TAIL:]).decode(errors="replace")
        if exit_code < 0:
            name = _signal_name(-exit_code)
            how, code, details = f"was ended by {name}", "SIGNAL", {"signal": name}
        else:
            how, code = f"ended with exit code {exit_code}", "EXIT_CODE"
            details = {"exit_code": str(exit_code)}
        message = f"{self._program} {how}"
        room = MESSAGE_LENGTH - len(message) - 2
        told = f"{message}: {said.strip()[-room:]}" if said.strip() else message
        return HandlerError(told, code=code, details=details)

    def _summary(self, exit_code: int | None) -> dict[str, object]:
        """Return what the operation of the program shows."""
        summary: dict[str, object] = {
            "exit_code": exit_code,
            "stdout_bytes": self._stdout.size,
            "stderr_bytes": self._stderr.size,
        }
        if self._stderr.size:
            summary["stderr"] = self._stderr.tail.decode(errors="replace")
        if self.report_file.malformed:
            summary["malformed_report_lines"] = self.report_file.malformed
            summary["first_malformed_report_line"] = self.report_file.first_malformed
        return summary

    def _keep(self) -> Payload:
        """Leave behind what the program has left, and return the output. Blocks."""
        collected = self._workdir.collect()
        for name, content in collected.artifacts:
            self._context.artifact(name, content)
        if collected.output is not None:
            return self._output(collected.output, "output.txt")
        return self._output(self._stdout, "stdout.txt")

    def _output(self, written: Capture, name: str) -> Payload:
        """Return the output; what is too much for it is left behind as the artifact *name*."""
        limit = int(self._config.output_limit_bytes)
        names = {each.name for each in self._context.artifacts}
        if written.size > limit and name not in names and len(names) < ARTIFACTS:
            data = written.ends(PAYLOAD_BYTES)
            self._context.artifact(name, data, media_type_of(data))
        data = written.beginning(limit)
        return Payload(data=data, media_type=media_type_of(data))


def _never(message: str, code: str) -> HandlerError:
    return HandlerError(message, code=code, retryable=False)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Most of those for real-time have no name.
        return f"signal {number}"
