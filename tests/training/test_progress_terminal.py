"""The line of progress on a terminal."""

import re

import pytest

from progress_runs import CURSOR_HIDDEN, CURSOR_SHOWN, on_terminal, screen


def test_terminal_shows_one_line_with_a_bar():
    shown, stderr = on_terminal("run()")
    message, line = screen(shown)
    assert message == "Stopping [red]now[/red]."
    assert re.fullmatch(
        r"Iteration 4/8 [━╸╺ ]{5,30} loss = 0\.25000, score = 0\.5000, took \d\.\d s, "
        r"[\d,]+ samples/s",
        line,
    ), line
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
        "report = progress.make_report('progress', max_epochs=2, n_samples=10)\n"
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
        (
            "import os; sys.stdout = open(os.devnull, 'w')\nrun(); sys.stdout = sys.__stdout__\n"
            "sys.modules['rich'] = None; run()",
            {},
        ),
    ],
    ids=["no-rich", "dumb", "not-stdout"],
)
def test_plain_lines_where_rich_cannot_draw(code, variables):
    shown, stderr = on_terminal(code, **variables)
    first, message, last = shown.splitlines()
    assert first == "Iteration 1/8, loss = 1.0000, score = 0.5000"
    assert last.startswith("Iteration 4/8, loss = 0.25000, score = 0.5000, took ")
    assert "\x1b" not in shown and stderr == ""
