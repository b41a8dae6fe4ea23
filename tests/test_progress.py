"""What a fit shows by ``verbose``: on a terminal, in a log, from threads, after an exception."""

import contextlib
import io
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from sklearn.neural_network import MLPClassifier as Peer

import fastnn
from common import child_environment, make_problem
from fastnn import progress
from fastnn.progress import make_report

CURSOR_HIDDEN, CURSOR_SHOWN = "\x1b[?25l", "\x1b[?25h"


class Clock:
    """Stands in for the module `time`: an epoch takes as long as the test says."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def run_epochs(report, clock, durations, score=None):
    """A fit whose epochs take these seconds; the loss of epoch k is 1 / k."""
    report.begin()
    try:
        for epoch, seconds in enumerate(durations, 1):
            clock.now += seconds
            report.epoch(epoch, 1 / epoch, score)
    finally:
        report.end()


# ---- nothing, and scikit-learn's lines -------------------------------------------


@pytest.mark.parametrize("verbose", [0, False])
def test_silence(capsys, clock, verbose):
    report = make_report(verbose, max_epochs=3, n_samples=10)
    run_epochs(report, clock, [1, 1, 1])
    report.message("Stopping.")
    assert capsys.readouterr() == ("", "")


def test_line_per_epoch(capsys, clock):
    report = make_report(2, max_epochs=3, n_samples=10)
    run_epochs(report, clock, [1, 1])
    report.message("Stopping.")
    assert capsys.readouterr().out == (
        "Iteration 1, loss = 1.00000000\nIteration 2, loss = 0.50000000\nStopping.\n"
    )


@pytest.mark.parametrize("early_stopping", [False, True])
def test_verbose_2_prints_what_scikit_learn_prints(capsys, early_stopping):
    """The same lines, those about the stopping too; of the numbers, the format."""
    X, y = make_problem("binary", n_samples=60)
    params = {
        "hidden_layer_sizes": (4,), "max_iter": 60, "tol": 0.05, "n_iter_no_change": 3,
        "early_stopping": early_stopping, "random_state": 0, "verbose": 2,
    }  # fmt: skip
    fastnn.MLPClassifier(**params).fit(X, y)
    ours = capsys.readouterr().out
    Peer(**params).fit(X, y)
    theirs = capsys.readouterr().out
    assert "did not improve more than tol=0.050000 for 3 consecutive epochs. Stopping." in ours
    assert re.sub(r"\d\.\d{6,8}\b", "#", ours) == re.sub(r"\d\.\d{6,8}\b", "#", theirs)


# ---- plain progress lines -----------------------------------------------------------


def test_plain_lines_are_few_and_end_with_the_last_epoch(capsys, clock):
    run_epochs(make_report(1, max_epochs=200, n_samples=1000), clock, [1.0] * 12)
    assert capsys.readouterr().out.splitlines() == [
        "Iteration 1/200, loss = 1.0000, 3 min 19 s left, 1,000 samples/s",
        "Iteration 6/200, loss = 0.16667, 3 min 14 s left, 1,000 samples/s",
        "Iteration 11/200, loss = 0.090909, 3 min 09 s left, 1,000 samples/s",
        "Iteration 12/200, loss = 0.083333, took 12 s, 1,000 samples/s",
    ]


def test_one_epoch_is_one_line(capsys, clock):
    run_epochs(make_report(True, max_epochs=1, n_samples=50), clock, [0.5], score=0.912345)
    assert capsys.readouterr().out == (
        "Iteration 1/1, loss = 1.0000, score = 0.9123, took 0.5 s, 100 samples/s\n"
    )


def test_pace_leaves_out_the_first_epoch(capsys, clock):
    """It may have compiled: 20 s here, of the others 2 s each."""
    run_epochs(make_report(1, max_epochs=100, n_samples=1000), clock, [20.0] + [2.0] * 4)
    assert capsys.readouterr().out.splitlines() == [
        "Iteration 1/100, loss = 1.0000, 33 min 00 s left, 50 samples/s",
        "Iteration 4/100, loss = 0.25000, 3 min 12 s left, 500 samples/s",
        "Iteration 5/100, loss = 0.20000, took 28 s, 500 samples/s",
    ]


@pytest.mark.parametrize(
    "max_time, left",
    [(None, "10 s left"), (6.0, "4.0 s left"), (99.0, "10 s left"), (1.5, "0.0 s left")],
)
def test_time_left_is_that_of_the_nearer_limit(capsys, clock, max_time, left):
    report = make_report(1, max_epochs=6, n_samples=1000, max_time=max_time)
    run_epochs(report, clock, [2.0])
    assert f", {left}, 500 samples/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    "seconds, text",
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (3599.7, "1 h 00 min"),
     (7385, "2 h 03 min"), (400_000, "111 h 06 min")],
)  # fmt: skip
def test_durations(seconds, text):
    assert progress._duration(seconds) == text


def test_nan_loss_and_no_epoch(capsys, clock):
    report = make_report(1, max_epochs=5, n_samples=10)
    report.begin()
    report.end()
    assert capsys.readouterr().out == ""
    report = make_report(1, max_epochs=5, n_samples=10)
    report.begin()
    report.epoch(1, float("nan"), float("nan"))
    report.end()
    assert "Iteration 1/5, loss = nan, score = nan, " in capsys.readouterr().out


def test_stdout_is_that_of_the_moment(capsys, clock):
    report = make_report(1, max_epochs=5, n_samples=10)
    redirected = io.StringIO()
    report.begin()
    with contextlib.redirect_stdout(redirected):
        report.epoch(1, 1.0)
    report.message("Stopping.")
    report.end()
    assert redirected.getvalue().startswith("Iteration 1/5, loss = 1.0000, ")
    assert capsys.readouterr().out == "Stopping.\n"


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_fit_with_verbose_1(capsys, solver):
    X, y = make_problem("regression")
    model = fastnn.MLPRegressor(solver=solver, max_iter=8, verbose=1, tol=0).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Iteration 1/8, loss = ")
    assert lines[-1].startswith(f"Iteration {model.n_iter_}/8, loss = {model.loss_:#.5g}, took ")
    assert all(line.endswith(" samples/s") for line in lines)
    fastnn.MLPRegressor(solver=solver, max_iter=8).fit(X, y)
    assert capsys.readouterr().out == ""


def test_fit_with_verbose_1_says_why_it_stopped(capsys):
    X, y = make_problem("binary")
    model = fastnn.MLPClassifier(tol=10, n_iter_no_change=2, early_stopping=True, verbose=True)
    model.fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    stopped = "Validation score did not improve more than tol=10.000000 for 2 consecutive epochs."
    assert [line for line in lines if line.startswith(stopped)]
    assert f", score = {model.validation_scores_[-1]:.4f}, took " in lines[-1]


# ---- a terminal ------------------------------------------------------------------------

# The module alone: the whole package takes a second to import.
REPORT = f"""
import importlib.util, sys, threading, time
spec = importlib.util.spec_from_file_location("progress", {progress.__file__!r})
progress = sys.modules["progress"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(progress)
"""
REPORT += """
progress._RichDisplay.interval = 0.0
def run(n=4, error=None, max_epochs=8, **more):
    report = progress.make_report(1, max_epochs=max_epochs, n_samples=100, **more)
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
    """What a process shows on a terminal that runs REPORT and ``code``, and its stderr (a pipe)."""
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
        stdin=its_side, stdout=its_side, stderr=subprocess.PIPE,
    )  # fmt: skip
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


def test_terminal_shows_one_line_with_a_bar():
    shown, stderr = on_terminal("run()")
    message, line = screen(shown)
    assert message == "Stopping [red]now[/red]."
    assert re.fullmatch(
        r"Iteration 4/8 [━╸╺ ]{5,30} loss = 0\.25000, score = 0\.5000, took \d\.\d s, "
        r"[\d,]+ samples/s", line
    ), line  # fmt: skip
    assert re.search(r"Iteration 3/8 .* loss = 0\.33333, score = 0\.5000, \d\.\d s left, ", shown)
    assert shown.count(CURSOR_HIDDEN) == 1 and shown.rindex(CURSOR_SHOWN) > shown.rindex("took")
    assert stderr == ""


@pytest.mark.parametrize(
    "columns, line",
    [
        (60, r"Iteration 4/8 loss = 0\.25000, score = 0\.5000, took \d\.\d s"),
        (30, r"Iteration 4/8 loss = 0\.25000"),
        (20, r"Iteration 4/8 loss.*…"),
    ],
)
def test_narrow_terminal_leaves_figures_out(columns, line):
    shown, _ = on_terminal("run()", columns)
    assert re.fullmatch(line, screen(shown)[-1]), shown


def test_prints_of_others_stay_above_the_line():
    shown, stderr = on_terminal(
        "report = progress.make_report(1, max_epochs=2, n_samples=10)\n"
        "report.begin()\nprint('of a callback')\nprint('elsewhere', file=sys.stderr)\n"
        "report.epoch(1, 0.5)\nprint('another')\nreport.end()\n"
        "print('after', type(sys.stdout).__name__)"
    )
    first, second, line, last = screen(shown)
    assert (first, second, last) == ("of a callback", "another", "after TextIOWrapper")
    assert line.startswith("Iteration 1/2 ") and stderr == "elsewhere\n"


@pytest.mark.parametrize("error", ["ValueError('of the fit')", "KeyboardInterrupt()"])
def test_exception_leaves_the_terminal_clean(error):
    shown, stderr = on_terminal(
        f"try:\n    run(error={error})\nexcept BaseException as error:\n"
        "    print('caught', type(error).__name__, type(sys.stdout).__name__)\nrun(n=1)"
    )
    first, caught, message, second = screen(shown)
    assert first.startswith("Iteration 4/8 ") and second.startswith("Iteration 1/8 ")
    assert caught == f"caught {error.split('(')[0]} TextIOWrapper"
    assert shown.rindex(CURSOR_SHOWN) > shown.rindex(CURSOR_HIDDEN)
    assert message.startswith("Stopping") and stderr == ""


def test_terminal_without_an_epoch_stays_empty():
    shown, _ = on_terminal("run(n=0, error=None)\nprint('done')")
    assert screen(shown) == ["Stopping [red]now[/red].", "done"]
    assert shown.rindex(CURSOR_SHOWN) > shown.rindex(CURSOR_HIDDEN)


@pytest.mark.parametrize(
    "code, variables",
    [
        ("sys.modules['rich'] = None\nrun()", {}),
        ("run()", {"TERM": "dumb"}),
        ("import os; sys.stdout = open(os.devnull, 'w')\nrun(); sys.stdout = sys.__stdout__\n"
         "sys.modules['rich'] = None; run()", {}),
    ],
    ids=["no-rich", "dumb", "not-stdout"],
)  # fmt: skip
def test_plain_lines_where_rich_cannot_draw(code, variables):
    shown, stderr = on_terminal(code, **variables)
    first, message, last = shown.splitlines()
    assert first.startswith("Iteration 1/8, loss = 1.0000, score = 0.5000, ")
    assert last.startswith("Iteration 4/8, loss = 0.25000, score = 0.5000, took ")
    assert "\x1b" not in shown and stderr == ""


# ---- several fits at once ----------------------------------------------------------------


def test_threads_on_a_terminal():
    """One has the line, the other plain lines; when they have ended, the next has the line."""
    shown, stderr = on_terminal(
        "threads = [threading.Thread(target=run, kwargs={'max_epochs': m}) for m in (8, 9)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print('restored', type(sys.stdout).__name__); run(max_epochs=7)"
    )
    lines = screen(shown)
    assert stderr == "" and "restored TextIOWrapper" in lines
    both = [line for line in lines if re.match(r"Iteration 4/[89][, ].* took ", line)]
    assert sorted(", " in line[:17] for line in both) == [False, True]
    assert lines[-1].startswith("Iteration 4/7 ")
    assert shown.rindex(CURSOR_SHOWN) > shown.rindex(CURSOR_HIDDEN)


def test_display_of_the_user_stays():
    """A fit inside a display of rich's: nested in it, or before rich 14.1 plain lines."""
    shown, stderr = on_terminal(
        "from rich.progress import Progress\n"
        "with Progress() as bar:\n"
        "    task = bar.add_task('searching', total=1)\n    run()\n    bar.advance(task)\n"
        "print('after', type(sys.stdout).__name__)"
    )
    lines = screen(shown)
    assert stderr == "" and lines[-1] == "after TextIOWrapper"
    assert "100%" in lines[-2] and lines[-2].startswith("searching")
    assert any(line.startswith("Iteration 4/8") and "took" in line for line in lines)


def test_threads_with_plain_lines(capsys):
    def fit(max_epochs):
        report = make_report(1, max_epochs=max_epochs, n_samples=10)
        report.begin()
        for epoch in range(1, 4):
            time.sleep(0.01)
            report.epoch(epoch, 1.0)
        report.end()

    threads = [threading.Thread(target=fit, args=(n,)) for n in range(10, 14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    out = capsys.readouterr().out
    for n in range(10, 14):
        assert out.count(f"Iteration 1/{n}, ") == out.count(f"Iteration 3/{n}, ") == 1
