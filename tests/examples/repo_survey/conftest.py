"""Runs the phases of the survey as a worker's `command` handler does."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from phaseline import examples
from phaseline.cli import manifest
from tests.examples.repository import ENVIRONMENT, Repository

(WORKFLOW,) = manifest.load(examples.path("repo-survey"))
SCRIPTS = {phase.phase_id: phase.config.fields["script"].string_value for phase in WORKFLOW.phases}


@dataclass
class Done:
    """What a phase left behind when its program had ended."""

    status: int
    complaint: str
    output: str
    artifacts: dict[str, str]
    reports: list[dict[str, Any]]

    @property
    def figures(self) -> dict[str, Any]:
        assert self.status == 0, self.complaint
        figures: dict[str, Any] = json.loads(self.output)
        return figures

    @property
    def operations(self) -> list[dict[str, Any]]:
        return [report["operation"] for report in self.reports if "operation" in report]

    @property
    def percents(self) -> list[int]:
        return [report["progress"]["percent"] for report in self.reports if "progress" in report]


@dataclass
class Survey:
    """An execution of the workflow: its inputs, and the outputs of the phases run so far."""

    directory: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(ENVIRONMENT))

    def __post_init__(self) -> None:
        (self.directory / "inputs").mkdir(parents=True)
        (self.directory / "outputs").mkdir()

    def run(self, phase_id: str, repository: Path | str, max_commits: str = "5000") -> Done:
        """Run one phase to its end, each input as the workflow names it."""
        place = self.directory / phase_id
        (place / "artifacts").mkdir(parents=True)
        inputs = {"repository": str(repository), "max_commits": max_commits}
        for name, value in inputs.items():
            (self.directory / "inputs" / name).write_text(value)
        (place / "script").write_text(SCRIPTS[phase_id])
        process = subprocess.run(
            ["/bin/sh", "-eu", str(place / "script")],
            env=self.environment | self._given(place, inputs),
            cwd=place,
            capture_output=True,
            text=True,
        )
        return self._done(phase_id, place, process)

    def _given(self, place: Path, inputs: dict[str, str]) -> dict[str, str]:
        return {
            "PHASELINE_PYTHON": sys.executable,
            "PHASELINE_WORK_DIR": str(place),
            "PHASELINE_INPUTS_DIR": str(self.directory / "inputs"),
            "PHASELINE_OUTPUTS_DIR": str(self.directory / "outputs"),
            "PHASELINE_OUTPUT_FILE": str(place / "output"),
            "PHASELINE_ARTIFACTS_DIR": str(place / "artifacts"),
            "PHASELINE_REPORT_FILE": str(place / "reports"),
            **{f"PHASELINE_INPUT_{name.upper()}": value for name, value in inputs.items()},
        }

    def _done(self, phase_id: str, place: Path, process: subprocess.CompletedProcess[str]) -> Done:
        output = place / "output"
        text = output.read_text() if output.exists() else process.stdout
        if process.returncode == 0:
            (self.directory / "outputs" / phase_id).write_text(text)
        reports = place / "reports"
        return Done(
            process.returncode,
            process.stderr,
            text,
            {file.name: file.read_text() for file in (place / "artifacts").iterdir()},
            [json.loads(line) for line in reports.read_text().splitlines()]
            if reports.exists()
            else [],
        )


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    return Survey(tmp_path / "execution")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "project")
