"""The line of progress in a notebook."""

import contextlib
import io
import sys
import types

import pytest

from fastnn.training.progress import make_report
from progress_runs import run_epochs

# ---- a notebook --------------------------------------------------------------------------


class Cell(io.StringIO):
    """The stdout of a notebook's kernel, and its outputs that are replaced."""

    def __init__(self):
        super().__init__()
        self.contents, self.n_updates = [], 0

    def display(self, content, raw, display_id):
        assert raw and display_id
        self.contents.append(content)
        return Handle(self, len(self.contents) - 1)


class Handle:
    def __init__(self, cell, place):
        self.cell, self.place = cell, place

    def update(self, content, raw):
        assert raw
        self.cell.contents[self.place] = content
        self.cell.n_updates += 1


@pytest.fixture
def cell(monkeypatch):
    """A notebook's cell; what runs with its stdout runs in it."""
    shell = type("ZMQInteractiveShell", (), {"__module__": "ipykernel.zmqshell"})()
    cell = type("OutStream", (Cell,), {"__module__": "ipykernel.iostream"})()
    package, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    package.get_ipython = lambda: shell
    display.display = cell.display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return cell


def test_notebook_replaces_an_output_of_the_cell(cell, clock):
    """An export shows the outputs' last contents, here in plain text and as HTML."""
    report = make_report("progress", max_epochs=8, n_samples=100, name="fit 1, A(x='<b>')")
    with contextlib.redirect_stdout(cell):
        run_epochs(report, clock, [1, 1, 1, 1])
        report.message("Stopping.")
    (content,) = cell.contents
    line = "Iteration 4/8, loss = 0.25000, took 4.0 s, 100 samples/s"
    assert content["text/plain"] == f"fit 1, A(x='<b>'): {line}"
    assert content["text/html"].endswith(f" fit 1, A(x=&#x27;&lt;b&gt;&#x27;): {line}</div>")
    assert 'value="0.500"' in content["text/html"]
    assert cell.n_updates == 5 and cell.getvalue() == "Stopping.\n"


def test_notebook_without_its_stdout_has_plain_lines(cell, clock):
    with contextlib.redirect_stdout(io.StringIO()) as redirected:
        run_epochs(make_report("progress", max_epochs=1, n_samples=10), clock, [1])
    assert cell.contents == [] and redirected.getvalue().startswith("Iteration 1/1, loss")


def test_notebook_that_fails_has_plain_lines(cell, clock, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with contextlib.redirect_stdout(cell):
        run_epochs(make_report("progress", max_epochs=1, n_samples=10), clock, [1])
    assert cell.contents == [] and cell.getvalue().startswith("Iteration 1/1, loss")
