"""A stream of a gigabyte, in lines of a hundred megabytes, goes through in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

_ROOM_MIB = 128

#: An agent that prints a gigabyte: texts, escapes, lists and rubbish, a hundred megabytes each.
_PRINTING = r"""
import sys
out = sys.stdout.buffer
MIB = 1024 * 1024

def line(head, unit, tail):
    out.write(head)
    block = unit * (MIB // len(unit))
    for _ in range(100):
        out.write(block)
    out.write(tail + b"\n")

sys.stdin.read()
def call(key):
    out.write(b'{"type":"assistant","message":{"id":"m-%s","model":"claude-opus-4-7","content":'
              b'[{"type":"tool_use","id":"%s","name":"Bash","input":{}}]}}' % (key, key) + b"\n")

RETURNED = b'{"type":"user","message":{"content":[{"type":"tool_result","content":'
for number in range(4):
    key = b"text-%d" % number
    call(key)
    line(RETURNED + b'"', b"x" * 1024, b'","tool_use_id":"%s"}]}}' % key)
for number in range(3):
    key = b"escape-%d" % number
    call(key)
    line(RETURNED + b'"', b'\\n\\"\\u00e9 ' * 8, b'","tool_use_id":"%s"}]}}' % key)
call(b"list")
line(RETURNED + b'[{"type":"text","text":"a"}', b',{"type":"text","text":"bcdef"}',
     b'],"tool_use_id":"list"}]}}')
line(b"", b"rubbish ", b"")
line(b'{"type":"result","is_error":false,"result":"', b"done " * 100,
     b'","subtype":"success","modelUsage":{"claude-opus-4-7":'
     b'{"inputTokens":7,"costUSD":0.25}},"session_id":"s"}')
"""

#: Runs it as a phase, and tells what came of it and what memory that took.
_RUNNING = """
import asyncio, json, resource, sys
from pathlib import Path
from phaseline.worker.assignment import Assignment
from phaseline.worker.clock import SystemClock
from phaseline.worker.context import Context
from phaseline.worker.handlers.agent import AgentHandler
from phaseline.worker.outbox import Outbox

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

async def main(directory, program):
    outbox = Outbox(lambda: None)
    config = {"adapter": "claude", "argv": [sys.executable, program]}
    given = Assignment("lease", "execution", "phase", "agent", config=config)
    context = Context(given, outbox, SystemClock())
    handler = AgentHandler(work_root=directory, directory=directory)
    before = peak()
    output = await handler(context)
    news = outbox.take()
    print(json.dumps({
        "took_mib": peak() - before,
        "output": output.data[:9].decode(),
        "output_bytes": output.size,
        "tools": {each.operation_id: each.success for each in news.operations if each.tool_name},
        "tokens": sum(each.input_tokens for each in news.usage_by_model),
        "custom": [each.operation_id for each in news.operations
                   if each.operation_type == "custom"],
    }))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def test_a_gigabyte_goes_through_in_bounded_memory(tmp_path: Path) -> None:
    program = tmp_path / "agent.py"
    program.write_text(_PRINTING)
    ran = subprocess.run(
        [sys.executable, "-c", _RUNNING, str(tmp_path), str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)

    assert told["took_mib"] < _ROOM_MIB
    assert told["output"] == "done done"
    assert told["output_bytes"] <= 1024 * 1024
    assert told["tools"] == {
        **{f"text-{number}": True for number in range(4)},
        **{f"escape-{number}": True for number in range(3)},
        "list": True,
    }
    assert told["tokens"] == 7
    assert told["custom"] == ["unreadable-lines"]
