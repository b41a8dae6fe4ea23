"""Fits that only report their progress, and a terminal that shows it."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn
from common import child_environment


def run_epochs(report, clock, durations, score=None, start_up=0.0):
    """A fit that takes this long to get ready, and for its epochs; the loss of epoch k is 1 / k."""
    report.begin()
    try:
        clock.now += start_up
        report.ready()
        for epoch, seconds in enumerate(durations, 1):
            clock.now += seconds
            report.epoch(epoch, 1 / epoch, score)
    finally:
        report.end()


# The module without its package, which takes a second to import.
REPORT = f"""
import sys, threading, time, types
package = sys.modules["fastnn"] = types.ModuleType("fastnn")
package.__path__ = [{str(Path(fastnn.__file__).parent)!r}]
from fastnn.training import progress
"""
REPORT += """
progress._RichDisplay.interval = 0.0
def run(n=4, error=None, max_epochs=8, **more):
    report = progress.make_report('progress', max_epochs=max_epochs, n_samples=100, **more)
    report.begin()
    try:
        for epoch in range(1, n + 1):
            time.sleep(0.01)
            report.epoch(epoch, 1 / epoch, 0.5)
        if error: raise error
        report.message("Stopping [red]now[/red].")
    finally:
        report.end()
"""


def on_terminal(code, columns=100, **variables):
    """Run REPORT and ``code`` on a terminal; return what it shows, and stderr, which is a pipe."""
    pty = pytest.importorskip("pty")
    import fcntl
    import struct
    import termios

    terminal, its_side = pty.openpty()
    fcntl.ioctl(its_side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = child_environment(**{"TERM": "xterm", "NO_COLOR": "1"} | variables)
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        environment.pop(name, None)  # what makes rich think otherwise
    process = subprocess.Popen(
        [sys.executable, "-c", REPORT + code],
        env=environment,
        stdin=its_side,
        stdout=its_side,
        stderr=subprocess.PIPE,
    )
    os.close(its_side)
    shown = bytearray()
    with contextlib.suppress(OSError):  # how Linux says that the other side is closed
        while chunk := os.read(terminal, 4096):
            shown += chunk
    os.close(terminal)
    _, stderr = process.communicate(timeout=60)
    return shown.decode(), stderr.decode()


def screen(shown):
    """The lines that are left on the screen in the end, of what rich wrote to it."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[\??\d*[A-Za-z]|\r|\n|[^\x1b\r\n]+", shown):
        if token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token == "\x1b[1A":
            row -= 1
        elif token[0] not in "\r\x1b":
            lines[row] = token.rstrip()
    return [line for line in lines if line]


CURSOR_HIDDEN, CURSOR_SHOWN = "\x1b[?25l", "\x1b[?25h"
