"""The output of ``verbose``: on a terminal, in a log, from threads, after an exception."""

import contextlib
import io
import re
import subprocess
import sys
import threading
import time

import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from common import child_environment, make_problem, needs_sklearn
from fastnn.training import progress
from fastnn.training.progress import make_report
from progress_runs import CURSOR_HIDDEN, CURSOR_SHOWN, on_terminal, run_epochs, screen

# ---- nothing, and scikit-learn's lines -------------------------------------------


@pytest.mark.parametrize("verbose", [0, False])
def test_silence(capsys, clock, verbose):
    report = make_report(verbose, max_epochs=3, n_samples=10)
    run_epochs(report, clock, [1, 1, 1])
    report.message("Stopping.")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [True, 1, 2, 10])
def test_line_per_epoch(capsys, clock, verbose):
    report = make_report(verbose, max_epochs=3, n_samples=10)
    run_epochs(report, clock, [1, 1])
    report.message("Stopping.")
    assert capsys.readouterr().out == (
        "Iteration 1, loss = 1.00000000\nIteration 2, loss = 0.50000000\nStopping.\n"
    )


# ---- plain progress lines -----------------------------------------------------------


def test_plain_lines_are_few_and_end_with_the_last_epoch(capsys, clock):
    run_epochs(make_report("progress", max_epochs=200, n_samples=1000), clock, [1.0] * 12)
    assert capsys.readouterr().out.splitlines() == [
        "Iteration 1/200, loss = 1.0000",
        "Iteration 6/200, loss = 0.16667, 3 min 14 s left, 1,000 samples/s",
        "Iteration 11/200, loss = 0.090909, 3 min 09 s left, 1,000 samples/s",
        "Iteration 12/200, loss = 0.083333, took 12 s, 1,000 samples/s",
    ]


def test_one_epoch_is_one_line(capsys, clock):
    """Its speed is that of the epoch, without the time to get ready for it."""
    report = make_report("progress", max_epochs=1, n_samples=50)
    run_epochs(report, clock, [0.5], score=0.912345, start_up=7.0)
    assert capsys.readouterr().out == (
        "Iteration 1/1, loss = 1.0000, score = 0.9123, took 7.5 s, 100 samples/s\n"
    )


def test_pace_leaves_out_the_first_epoch(capsys, clock):
    """It may have compiled: it takes 20 s here, the others 2 s each."""
    run_epochs(make_report("progress", max_epochs=100, n_samples=1000), clock, [20.0] + [2.0] * 4)
    assert capsys.readouterr().out.splitlines() == [
        "Iteration 1/100, loss = 1.0000",
        "Iteration 4/100, loss = 0.25000, 3 min 12 s left, 500 samples/s",
        "Iteration 5/100, loss = 0.20000, took 28 s, 500 samples/s",
    ]


@pytest.mark.parametrize(
    "max_time, left",
    [(None, "1 min 20 s"), (16.0, "4.0 s"), (999.0, "1 min 20 s"), (1.5, "0.0 s")],
)
def test_time_left_is_that_of_the_nearer_limit(capsys, clock, max_time, left):
    """max_time begins when the fit is ready."""
    report = make_report("progress", max_epochs=10, n_samples=1000, max_time=max_time)
    run_epochs(report, clock, [2.0, 10.0, 1.0], start_up=30.0)
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == "Iteration 1/10, loss = 1.0000"
    assert second == f"Iteration 2/10, loss = 0.50000, {left} left, 100 samples/s"
    assert "took 43 s" in last


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.04, "0.0 s"),
        (9.9, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (3599.7, "1 h 00 min"),
        (7385, "2 h 03 min"),
        (400_000, "111 h 06 min"),
    ],
)
def test_durations(seconds, text):
    assert progress._duration(seconds) == text


def test_nan_loss_and_no_epoch(capsys, clock):
    report = make_report("progress", max_epochs=5, n_samples=10)
    report.begin()
    report.end()
    assert capsys.readouterr().out == ""
    report = make_report("progress", max_epochs=5, n_samples=10)
    report.begin()
    report.epoch(1, float("nan"), float("nan"))
    report.end()
    assert "Iteration 1/5, loss = nan, score = nan" in capsys.readouterr().out


def test_stdout_is_that_of_the_moment(capsys, clock):
    report = make_report("progress", max_epochs=5, n_samples=10)
    redirected = io.StringIO()
    report.begin()
    with contextlib.redirect_stdout(redirected):
        report.epoch(1, 1.0)
    report.message("Stopping.")
    report.end()
    assert redirected.getvalue() == "Iteration 1/5, loss = 1.0000\n"
    assert capsys.readouterr().out == "Stopping.\n"


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_fit_with_progress(capsys, solver):
    X, y = make_problem("regression")
    model = fastnn.MLPRegressor(solver=solver, max_iter=8, verbose="progress", tol=0).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Iteration 1/8, loss = ")
    assert lines[-1].startswith(f"Iteration {model.n_iter_}/8, loss = {model.loss_:#.5g}, took ")
    assert all(line.endswith(" samples/s") for line in lines[1:])
    fastnn.MLPRegressor(solver=solver, max_iter=8).fit(X, y)
    assert capsys.readouterr().out == ""


def test_fit_with_progress_says_why_it_stopped(capsys):
    X, y = make_problem("binary")
    params = dict(tol=10, n_iter_no_change=2, early_stopping=True)
    model = fastnn.MLPClassifier(**params, verbose="progress").fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    stopped = "Validation score did not improve more than tol=10.000000 for 2 consecutive epochs."
    assert [line for line in lines if line.startswith(stopped)]
    assert f", score = {model.validation_scores_[-1]:.4f}, took " in lines[-1]


# ---- a terminal ------------------------------------------------------------------------


# ---- an output that is missing or gone ---------------------------------------------------


class OnlyWrites:
    """A stream without the methods and attributes that others have."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


class Fails:
    """A stream whose methods all fail, as those of a window that is gone."""

    def __getattr__(self, name):
        def fail(*args):
            raise RuntimeError(f"no {name} any more")

        return fail


class BrokenPipe:
    def write(self, text):
        raise BrokenPipeError


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("verbose", [True, "progress"])
@pytest.mark.parametrize("make", [closed, OnlyWrites, Fails, BrokenPipe, lambda: None, object])
def test_no_fit_is_lost_for_an_output(monkeypatch, make, verbose):
    X, y = make_problem("binary")
    stream = make()
    model = fastnn.MLPClassifier(max_iter=3, verbose=verbose)
    perceptron = fastnn.Perceptron(max_iter=3, verbose=1)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", stream)
        model.fit(X, y)
        perceptron.fit(X, y)
    assert model.n_iter_ == 3
    if make is OnlyWrites:
        lines = stream.text.splitlines()
        assert lines[0].startswith("Iteration 1") and "Iteration 3" in "".join(lines)


@pytest.mark.parametrize(
    "break_it, mend_it",
    [
        # Writing fails, as it does on a terminal that was closed.
        ("os.dup2(os.open(os.devnull, os.O_RDONLY), 1)", "os.dup2(before, 1)"),
        # rich does this where stdout was a pipe.
        ("console.print = leave", "del console.print"),
    ],
    ids=["closed", "pipe"],
)
def test_a_terminal_that_goes_away(break_it, mend_it):
    """The fit goes on, what others print goes where it went before, the next fit has a line."""
    shown, stderr = on_terminal(
        "import os\nfrom rich import get_console\nconsole, before = get_console(), os.dup(1)\n"
        "def leave(*args, **kwargs): raise SystemExit(1)\n"
        "report = progress.make_report('progress', max_epochs=3, n_samples=10)\n"
        f"report.begin(); report.epoch(1, 0.5)\n{break_it}\n"
        f"report.epoch(2, 0.5); report.message('more'); report.epoch(3, 0.5); report.end()\n"
        f"{mend_it}\nprint('restored', type(sys.stdout).__name__); run(n=1)"
    )
    lines = screen(shown)
    assert stderr == "" and "restored TextIOWrapper" in "".join(lines)
    assert re.match(r"Iteration 1/8 [━╸╺ ]{5,30} loss", lines[-1]), lines


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
        report = make_report("progress", max_epochs=max_epochs, n_samples=10)
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


@pytest.mark.parametrize("by", ["fit", "search", "pipeline"])
def test_a_line_says_which_fit_it_is_of(capsys, by):
    X, y = make_problem("binary")
    network = fastnn.MLPClassifier((3,), max_iter=2, verbose="progress", random_state=0)
    model = make_pipeline(StandardScaler(), network)
    if by == "fit":
        network.fit(X, y)
    elif by == "pipeline":
        model.fit(X, y)
    else:
        grid = {"mlpclassifier__alpha": [0.5], "mlpclassifier__activation": ["tanh"]}
        GridSearchCV(model, grid, cv=2).fit(X, y)
    names = [line.partition("Iteration")[0] for line in capsys.readouterr().out.splitlines()]
    if by != "search":
        assert names == ["", ""]
        return
    words = "MLPClassifier(hidden_layer_sizes=(3,), activation='tanh', alpha=0.5): "
    assert all(re.fullmatch(r"fit \d+, " + re.escape(words), name) for name in names)
    # Two lines each, of the two folds and the fit to all data.
    assert len(set(names)) == 3 and names[::2] == names[1::2]


def test_a_name_is_not_too_long(capsys):
    X, y = make_problem("binary")
    for n_layers in (3, 40):
        network = fastnn.MLPClassifier(tuple(range(1, n_layers + 1)), max_iter=1, tol=0.125)
        network.set_params(verbose="progress", learning_rate=lambda progress: 1.0, beta_1=1 / 3)
        cross_val_score(network, X, y, cv=2)
    names = [line.partition(": Iteration")[0] for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, names)) == progress.LONGEST_NAME
    assert "hidden_layer_sizes=(1, 2, 3), " in names[0]
    assert "hidden_layer_sizes=(1, 2, 3, 4, 5, 6, ...), " in names[-1]


@pytest.mark.parametrize("columns", [120, 60, 40])
def test_terminal_with_a_name(columns):
    shown, stderr = on_terminal("run(name='fit 3, MLPClassifier(activation=[relu])')", columns)
    line = screen(shown)[-1]
    assert stderr == "" and len(line) <= columns
    name, _, rest = line.partition(": ")
    assert "Iteration 4/8" in rest and "loss = 0.25000" in rest
    assert name == "fit 3, MLPClassifier(activation=[relu])" or name.endswith("...")
    assert name.startswith("fit 3")


WORKERS = """
import json, warnings
from sklearn.model_selection import cross_val_score
from fastnn import MLPClassifier
X, y = [[k / 40] for k in range(40)], [0, 1] * 20
cross_val_score(MLPClassifier(max_iter=1, verbose="progress"), X, y, cv=4, n_jobs=2)
"""


@pytest.mark.slow
def test_workers_name_their_fits():
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WORKERS],
        env=child_environment(PYTHONWARNINGS="ignore"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = process.stdout.splitlines()
    name = r"\w+-\d fit \d, MLPClassifier\(\): Iteration 1/1, "
    assert len(lines) == len(set(lines)) == 4, process.stderr
    assert all(re.match(name, line) for line in lines)


# ---- beside scikit-learn's ProgressBar -----------------------------------------------------


@needs_sklearn("1.9")
@pytest.mark.slow
def test_progress_bar_and_the_line_do_not_garble():
    """The lines of the fits come to stand above the bars, which stay whole."""
    shown, stderr = on_terminal(
        "del sys.modules['fastnn'], sys.modules['fastnn.training']\n"
        "del sys.modules['fastnn.training.progress']\n"
        "import warnings; warnings.simplefilter('ignore')\n"
        "from sklearn.callback import ProgressBar\n"
        "from sklearn.model_selection import GridSearchCV\n"
        "from fastnn import MLPClassifier\n"
        "X, y = [[k / 99] for k in range(99)], [0, 1, 1] * 33\n"
        "network = MLPClassifier(max_iter=30, verbose='progress', tol=0)\n"
        "bar = ProgressBar(max_propagation_depth=None)\n"
        "GridSearchCV(network, {'alpha': [0.1, 0.2]}, cv=2).set_callbacks(bar).fit(X, y)\n"
        "network.set_callbacks(ProgressBar()).fit(X, y)\n"
        "print('after', type(sys.stdout).__name__)",
        140,
    )
    lines = screen(shown)
    assert stderr == "" and lines[-1] == "after TextIOWrapper"
    of_fits = [re.search(r"(.*)Iteration 30/30 .* took ", line) for line in lines]
    assert [bool(found) for found in of_fits] == [True] * 5 + [False] * 7 + [True, False, False]
    assert len({found[1] for found in of_fits if found}) == 6
    assert all("100%" in line for line in [*lines[5:12], lines[13]])
    assert shown.rindex(CURSOR_SHOWN) > shown.rindex(CURSOR_HIDDEN)
