"""A program on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_PATIENCE = 15.0

# Done by the new program. Code that runs between fork and exec (`preexec_fn`) waits for ever for a
# lock that one of the threads held that gRPC has in the process of the tests: they are not forked.
_ON_ITS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "phaseline", *sys.argv[1:]])
"""


class Terminal:
    """
    Runs `python -m phaseline ARGUMENTS` on a terminal of 30 lines of 100 columns.

    A context manager; whatever still runs at its end is killed.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _ON_ITS_TERMINAL, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            # A session of its own, so that Ctrl-C on this terminal reaches it and nobody else.
            start_new_session=True,
        )
        os.close(theirs)
        self.raw = b""
        self._waited_for = 0

    @property
    def text(self) -> str:
        """All that was shown so far, without what steers the terminal."""
        return _ESCAPES.sub(b"", self.raw).decode(errors="replace").replace("\r", "")

    def wait_for(self, text: str) -> None:
        """Return once *text* is shown after what was waited for before; fail if it never is."""
        deadline = time.monotonic() + _PATIENCE
        while (at := self.text.find(text, self._waited_for)) < 0:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} was not shown, but {self.text!r}")
        self._waited_for = at + len(text)

    def press(self, keys: bytes) -> None:
        """Type *keys*."""
        os.write(self._ours, keys)

    def ended(self) -> int:
        """Return the exit code, once the program has ended and all it showed is read."""
        deadline = time.monotonic() + _PATIENCE
        while self._read(deadline):
            pass
        return self._process.wait(_PATIENCE)

    def _read(self, deadline: float) -> bool:
        """Read what is there or comes before *deadline*; False if nothing comes any more."""
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self._ours], [], [], left)[0]:
            return False
        try:
            read = os.read(self._ours, 65536)
        except OSError:  # how Linux tells that the last writer is gone
            return False
        self.raw += read
        return bool(read)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._ours)
