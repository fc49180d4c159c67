"""The `command` handler runs real programs, and leaves nothing of them behind."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.report import Progress
from tests.support.command import Command, python

TEXT = "text/plain; charset=utf-8"


class TestOutput:
    async def test_what_a_program_prints_is_the_output(self, command: Command) -> None:
        output = await command({"argv": ["echo", "hello  world", "$HOME"]}).run()
        assert output == Payload(data=b"hello  world $HOME\n", media_type=TEXT)

    async def test_json_is_known_as_such(self, command: Command) -> None:
        output = await command({"argv": ["echo", '{"a": 1}']}).run()
        assert output.media_type == "application/json"

    async def test_what_is_no_text_is_bytes(self, sh: Command) -> None:
        output = await sh(r"printf '\377\376'").run()
        assert output == Payload(data=b"\xff\xfe", media_type="application/octet-stream")

    async def test_the_output_file_comes_before_what_is_printed(self, sh: Command) -> None:
        output = await sh('echo noise; printf result > "$PHASELINE_OUTPUT_FILE"').run()
        assert output.data == b"result"

    async def test_an_output_file_may_be_empty(self, sh: Command) -> None:
        output = await sh('echo noise; : > "$PHASELINE_OUTPUT_FILE"').run()
        assert output.data == b""

    async def test_a_long_output_is_cut_and_kept_whole_as_an_artifact(self, sh: Command) -> None:
        ran = sh("seq 1 1000", {"output_limit_bytes": 200})
        output = await ran.run()

        assert output.data is not None
        assert output.data.startswith(b"1\n2\n3\n")
        assert output.data.endswith(b"[cut: the first part of 3893 bytes]\n")
        assert len(output.data) <= 200
        whole = "".join(f"{number}\n" for number in range(1, 1001))
        assert ran.artifacts == {"stdout.txt": text_payload(whole)}

    async def test_an_endless_output_is_read_to_its_end_and_both_ends_are_kept(
        self, command: Command
    ) -> None:
        """A program whose output nobody reads stops at a full pipe, for ever."""
        ran = command(python("for n in range(3_000_000): print(n)"))
        output = await ran.run()

        assert output.size <= 1024 * 1024
        kept = ran.artifacts["stdout.txt"].data
        assert kept is not None
        assert len(kept) <= 1024 * 1024
        assert kept.startswith(b"0\n1\n2\n")
        assert kept.endswith(b"2999998\n2999999\n")
        assert b"[cut: the first and the last part of 22888890 bytes]" in kept

    async def test_a_large_output_file_is_cut_in_the_same_way(self, sh: Command) -> None:
        ran = sh('head -c 2000000 /dev/zero | tr "\\0" x > "$PHASELINE_OUTPUT_FILE"')
        output = await ran.run()

        assert output.size <= 1024 * 1024
        assert "output.txt" in ran.artifacts

    async def test_files_in_the_artifacts_directory_become_artifacts(self, sh: Command) -> None:
        ran = sh(
            """
            cd "$PHASELINE_ARTIFACTS_DIR"
            mkdir -p deep/er
            echo '# Notes' > notes.md
            printf '\\377' > deep/er/blob
            ln -s /etc/hostname link
            """
        )
        await ran.run()

        assert ran.artifacts == {
            "deep/er/blob": Payload(data=b"\xff", media_type="application/octet-stream"),
            "notes.md": Payload(data=b"# Notes\n", media_type="text/markdown"),
        }

    @pytest.mark.parametrize(
        ("script", "code"),
        [
            ("for n in $(seq 101); do : > $n; done", "TOO_MANY_ARTIFACTS"),
            ("head -c 1048577 /dev/zero > large", "ARTIFACT_TOO_LARGE"),
            ("for n in $(seq 11); do head -c 1048576 /dev/zero > $n; done", "ARTIFACT_TOO_LARGE"),
        ],
    )
    async def test_more_artifacts_than_can_be_kept_fail_for_good(
        self, sh: Command, script: str, code: str
    ) -> None:
        error = await sh(f'cd "$PHASELINE_ARTIFACTS_DIR"; {script}').fails()

        assert (error.code, error.retryable) == (code, False)


class TestInput:
    async def test_inputs_come_as_variables_and_files(self, sh: Command) -> None:
        ran = sh(
            'printf "%s|" "$PHASELINE_INPUT_MAX_DEPTH"; cat "$PHASELINE_INPUTS_DIR/max-depth"',
            inputs={"max-depth": "three"},
        )
        assert (await ran.run()).data == b"three|three"

    async def test_nothing_in_an_input_is_ever_expanded(self, sh: Command) -> None:
        """An input like `$(rm -rf ~)` was a command when it was put into the script's text."""
        odd = """$(touch PWNED) `touch PWNED` "; touch PWNED; ' $HOME \\n {{task}} %s *"""
        ran = sh(
            'touch here; printf %s "$PHASELINE_INPUT_ODD"; ls',
            inputs={"odd": odd},
        )
        assert (await ran.run()).data == f"{odd}here\n".encode()

    async def test_the_text_of_a_script_is_run_as_it_is(self, sh: Command) -> None:
        ran = sh(
            "echo '{{name}}' \"$ARGUMENTS\" 'single \"quotes\"'",
            {"env": {"ARGUMENTS": "a  b"}},
            task="not this",
            inputs={"name": "nor this"},
        )
        assert (await ran.run()).data == b'{{name}} a  b single "quotes"\n'

    async def test_a_large_input_comes_as_a_file_only(self, sh: Command) -> None:
        ran = sh(
            'echo "${PHASELINE_INPUT_LARGE-none}"; wc -c < "$PHASELINE_INPUTS_DIR/large"',
            inputs={"large": "x" * 2_000_000},
        )
        assert (await ran.run()).data == b"none\n2000000\n"

    async def test_inputs_that_no_environment_can_hold_together_do_not_stop_the_program(
        self, sh: Command
    ) -> None:
        inputs = {f"input-{number}": "x" * 32_000 for number in range(64)}
        ran = sh('ls "$PHASELINE_INPUTS_DIR" | wc -l', inputs=inputs)

        assert (await ran.run()).text().strip() == "64"

    async def test_of_two_inputs_for_one_variable_none_gets_it(self, sh: Command) -> None:
        ran = sh(
            'echo "${PHASELINE_INPUT_A_B-none}"; cat "$PHASELINE_INPUTS_DIR/a-b"',
            inputs={"a-b": "one", "a_b": "two"},
        )
        assert (await ran.run()).data == b"none\none"

    async def test_an_input_that_is_no_variable_comes_as_a_file(self, sh: Command) -> None:
        ran = sh('wc -c < "$PHASELINE_INPUTS_DIR/odd"', inputs={"odd": "a\0b"})
        assert (await ran.run()).text().strip() == "3"

    async def test_outputs_of_earlier_phases_come_as_files(self, sh: Command) -> None:
        ran = sh(
            'cd "$PHASELINE_OUTPUTS_DIR"; cat plan; echo; cat film',
            outputs={"plan": Payload(data=b"\xff"), "film": Payload(uri="s3://bucket/film")},
        )
        assert (await ran.run()).data == b"\xff\ns3://bucket/film"

    async def test_the_phase_is_told_by_variables(self, command: Command) -> None:
        ran = command(
            python("import json, os; print(json.dumps(dict(os.environ)))"),
            execution_id="execution-1",
            workflow_id="house",
            phase_id="build",
            attempt=2,
            task="build it",
            prompt="Build it",
        )
        seen = json.loads((await ran.run()).text())

        assert seen["PHASELINE_EXECUTION_ID"] == "execution-1"
        assert seen["PHASELINE_WORKFLOW_ID"] == "house"
        assert seen["PHASELINE_PHASE_ID"] == "build"
        assert seen["PHASELINE_ATTEMPT"] == "2"
        assert seen["PHASELINE_TASK"] == "build it"
        assert seen["PHASELINE_PYTHON"] == sys.executable

    async def test_the_filled_prompt_comes_as_a_file(self, sh: Command) -> None:
        output = await sh('cat "$PHASELINE_PROMPT_FILE"', prompt="Grüße\n").run()
        assert output.data == "Grüße\n".encode()

    async def test_the_environment_of_the_worker_stays_with_the_worker(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET_TOKEN", "secret")
        monkeypatch.setenv("PHASELINE_TOKEN", "secret")
        monkeypatch.setenv("ALLOWED", "yes")
        monkeypatch.setenv("LC_TIME", "C")
        seen = (await command({"argv": ["env"]}).run()).text()

        assert "secret" not in seen
        assert "ALLOWED=yes" in seen
        assert "LC_TIME=C" in seen
        assert f"PATH={os.environ['PATH']}" in seen

    async def test_there_is_nothing_to_read(self, sh: Command) -> None:
        assert (await sh("cat; echo over").run()).data == b"over\n"

    async def test_a_phase_with_the_name_of_a_path_is_refused(self, sh: Command) -> None:
        error = await sh("true", outputs={"../evil": text_payload("x")}).fails()
        assert error.code == "INVALID_NAME"


class TestDirectory:
    async def test_a_program_runs_in_a_directory_of_its_own_which_is_removed(
        self, sh: Command, directory: Path
    ) -> None:
        output = await sh('pwd; [ "$PWD" = "$PHASELINE_WORK_DIR" ]; touch file').run()
        ran_in = Path(output.text().strip())

        assert ran_in.is_relative_to(directory)
        assert os.listdir(directory) == []

    async def test_nobody_else_can_look_into_it(self, sh: Command) -> None:
        output = await sh('stat -c %a "$PHASELINE_WORK_DIR/.."').run()
        assert output.text().strip() == "700"

    async def test_a_program_can_run_elsewhere(self, sh: Command, tmp_path: Path) -> None:
        assert (await sh("pwd", {"cwd": str(tmp_path)}).run()).text().strip() == str(tmp_path)

    async def test_a_directory_that_is_not_there_fails_for_good(self, sh: Command) -> None:
        error = await sh("pwd", {"cwd": "/not/there"}).fails()
        assert (error.code, error.retryable) == ("CWD_NOT_FOUND", False)

    async def test_it_is_removed_after_a_failure_too(self, sh: Command, directory: Path) -> None:
        await sh("exit 1").fails()
        assert os.listdir(directory) == []


class TestFailure:
    async def test_an_exit_code_fails_the_attempt_with_what_was_said_last(
        self, sh: Command
    ) -> None:
        error = await sh("echo early >&2; echo 'no such file' >&2; exit 3").fails()

        assert error.code == "EXIT_CODE"
        assert error.details == {"exit_code": "3"}
        assert error.message == "sh ended with exit code 3: early\nno such file"
        assert error.retryable is None

    async def test_only_the_end_of_what_was_said_is_told(self, sh: Command) -> None:
        error = await sh("seq 1 100000 >&2; exit 1").fails()

        assert error.message.startswith("sh ended with exit code 1: ")
        assert error.message.endswith("99999\n100000")
        assert len(error.message) <= 4096

    async def test_a_program_that_is_silent_on_stderr_is_quoted_from_stdout(
        self, sh: Command
    ) -> None:
        error = await sh("echo 'test 3 failed'; exit 1").fails()
        assert error.message.endswith("test 3 failed")

    @pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (35, "signal 35")])
    async def test_a_signal_fails_the_attempt(self, sh: Command, number: int, name: str) -> None:
        error = await sh(f"kill -{number} $$").fails()

        assert error.code == "SIGNAL"
        assert error.details == {"signal": name}

    async def test_a_script_stops_at_its_first_error(self, sh: Command) -> None:
        assert (await sh("false; echo never").fails()).details == {"exit_code": "1"}
        assert (await sh('echo "$UNSET"').fails()).code == "EXIT_CODE"

    async def test_a_program_that_is_not_there_fails_for_good(self, command: Command) -> None:
        ran = command({"argv": ["no-such-program"]})
        error = await ran.fails()

        assert (error.code, error.retryable) == ("PROGRAM_NOT_FOUND", False)
        assert error.message == "there is no program 'no-such-program'"
        assert ran.operation.success is False

    async def test_a_file_that_is_no_program_fails_for_good(
        self, command: Command, tmp_path: Path
    ) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("hello")
        error = await command({"argv": [str(path)]}).fails()

        assert (error.code, error.retryable) == ("PROGRAM_NOT_EXECUTABLE", False)

    async def test_arguments_that_are_too_long_fail_for_good(self, command: Command) -> None:
        error = await command({"argv": ["true", "x" * 200_000]}).fails()
        assert (error.code, error.retryable) == ("ARGUMENTS_TOO_LONG", False)

    async def test_a_wrong_setting_fails_for_good(self, command: Command) -> None:
        error = await command({"argv": ["true"], "agrv": []}).fails()
        assert (error.code, error.retryable) == ("INVALID_CONFIG", False)


class TestReports:
    async def test_the_program_is_an_operation(self, sh: Command) -> None:
        ran = sh("echo out; echo err >&2")
        await ran.run()
        operation = ran.operation

        assert (operation.operation_type, operation.tool_name) == ("tool", "sh")
        assert operation.success is True
        assert operation.input == text_payload("echo out; echo err >&2")
        assert operation.output is not None
        assert json.loads(operation.output.text()) == {
            "exit_code": 0,
            "stdout_bytes": 4,
            "stderr_bytes": 4,
            "stderr": "err\n",
        }

    async def test_the_operation_of_a_program_that_failed_failed(self, command: Command) -> None:
        ran = command({"argv": ["/bin/false"]})
        await ran.fails()
        operation = ran.operation

        assert (operation.tool_name, operation.success) == ("false", False)
        assert operation.error_message == "false ended with exit code 1"

    async def test_what_a_program_tells_is_seen_while_it_runs(
        self, sh: Command, tmp_path: Path
    ) -> None:
        go_on = tmp_path / "go-on"
        ran = sh(
            'echo \'{"progress": {"percent": 40}}\' >> "$PHASELINE_REPORT_FILE";'
            f" while [ ! -e {go_on} ]; do sleep 0.01; done"
        )
        running = asyncio.create_task(ran.run())
        while (progress := ran.news.progress) is None:
            ran.told.clear()
            await ran.told.wait()
        go_on.touch()
        await running

        assert progress == Progress(40)

    async def test_what_a_program_tells_last_is_not_lost(self, sh: Command) -> None:
        ran = sh(
            """
            echo '{"usage": {"model": "large", "input_tokens": 7}}' >> "$PHASELINE_REPORT_FILE"
            printf '{"session_id": "s-1"}' >> "$PHASELINE_REPORT_FILE"
            exit 1
            """
        )
        await ran.fails()
        news = ran.news

        assert news.usage_by_model is not None
        assert news.usage_by_model[0].input_tokens == 7
        assert news.session_id == "s-1"

    async def test_nonsense_is_counted_and_shown(self, sh: Command) -> None:
        ran = sh('echo nonsense >> "$PHASELINE_REPORT_FILE"')
        await ran.run()
        output = ran.operation.output
        assert output is not None

        assert json.loads(output.text())["malformed_report_lines"] == 1
        assert json.loads(output.text())["first_malformed_report_line"] == "nonsense"
