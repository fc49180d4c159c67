"""
Plays an agent from a script: prints a recorded stream, at the pace at which it was recorded.

    python stand_in_agent.py SCRIPT

SCRIPT is a file with one JSON object:

    stream      path of the recorded stream; "{prompt}" in it becomes the prompt
    speed       how many times as fast as recorded, by the timestamps in it; 0 is at once
    stderr      text to complain with
    exit_code   how to end
    stop_after  lines after which nothing comes any more
    child       program that is started then, in a session of its own, as agents start their tools;
                its pid is written to the file `child_pid_file`
    last_words  line to print on SIGTERM, before it ends with 143
    report      path of a file to tell in what was given: arguments, prompt, environment, directory
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any


def main() -> None:
    script: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    prompt = sys.stdin.read()
    if "report" in script:
        tell(Path(script["report"]), prompt)
    if "last_words" in script:
        signal.signal(signal.SIGTERM, lambda *_: end(script["last_words"]))
    sys.stderr.write(script.get("stderr", ""))
    lines = Path(script["stream"]).read_bytes() if "stream" in script else b""
    said = json.dumps(prompt)[1:-1].encode()
    for number, line in enumerate(at_pace(lines, script.get("speed", 0))):
        if number == script.get("stop_after"):
            stop(script)
        sys.stdout.buffer.write(line.replace(b"{prompt}", said))
        sys.stdout.buffer.flush()
    if "stop_after" in script:
        stop(script)
    sys.exit(script.get("exit_code", 0))


def at_pace(data: bytes, speed: float) -> Iterator[bytes]:
    """Yield the lines of a stream when they are due."""
    begin, first = time.monotonic(), None
    for line in data.splitlines(keepends=True):
        at = timestamp(line)
        if at is not None and speed:
            first = at if first is None else first
            due = begin + (at - first) / speed
            time.sleep(max(0.0, due - time.monotonic()))
        yield line


def timestamp(line: bytes) -> float | None:
    """Return the time in a line, in seconds."""
    try:
        return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None


def tell(report: Path, prompt: str) -> None:
    """Write down what was given."""
    given = {
        "argv": sys.argv[2:],
        "prompt": prompt,
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "files": sorted(os.listdir()),
    }
    report.write_text(json.dumps(given))


def stop(script: dict[str, Any]) -> None:
    """Go on for ever, with a child if there is to be one."""
    if "child" in script:
        child = subprocess.Popen(script["child"], start_new_session=True)
        Path(script["child_pid_file"]).write_text(f"{child.pid}\n")
    while True:
        signal.pause()


def end(last_words: str) -> None:
    """Print a last line, and end as one does on SIGTERM."""
    # Not by the stream, which the signal may have come in the middle of.
    os.write(1, last_words.encode() + b"\n")
    os._exit(143)


if __name__ == "__main__":
    main()
