"""How a fit shows its progress: nothing, scikit-learn's lines, or one line that is kept up to date.

`make_report` picks one of them by ``verbose``. All write to ``sys.stdout`` as it is at that
moment, and none of them fails where that takes no output. The one line is drawn by the notebook,
or by rich, where that is installed and the output is a terminal; elsewhere plain lines are printed,
few enough for a log file.
"""

import html
import itertools
import multiprocessing
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from reprlib import Repr

from fastnn import streams
from fastnn.notices import find_caller


def make_report(verbose, *, max_epochs, n_samples, max_time=None, name=""):
    """The report of one fit, of which the fit calls the methods of `Silence`.

    Parameters
    ----------
    verbose : bool, int or "progress"
        False or 0: nothing. "progress": one progress line. Else scikit-learn's lines.
    max_epochs : int
        Epochs, or iterations of L-BFGS, that the fit takes at most.
    n_samples : int
        Samples that an epoch trains on.
    max_time : float or None
        Seconds that the fit takes at most, where it has such a limit.
    name : str
        What the progress line calls the fit; empty where it is the only one.
    """
    if verbose == "progress":
        return ProgressLine(max_epochs, n_samples, max_time, name)
    return EpochLines() if verbose else Silence()


# The fits of this process that have been given a name.
_named = itertools.count(1)
# Parameters that say nothing about which of several fits this is, or that the line shows anyway.
UNNAMED = ("verbose", "max_iter", "random_state")
LONGEST_VALUE, LONGEST_NAME = 30, 120


def name_of_fit(estimator, parameters):
    """A name for a fit, where others may show their progress beside it; else an empty one.

    Others may run beside it, or follow it, in searches, ensembles and the like, and in other
    threads and processes than the main ones.

    Parameters
    ----------
    estimator : str
        The name of its class.
    parameters : dict
        Its parameters that are not at their defaults.
    """
    is_alone = (
        multiprocessing.parent_process() is None
        and threading.current_thread() is threading.main_thread()
        and not find_caller().is_among_others
    )
    if is_alone:
        return ""
    shorten = Repr()
    shorten.maxstring = shorten.maxother = shorten.maxlong = LONGEST_VALUE
    values = [
        f"{name}={shorten.repr(value)}" for name, value in parameters.items() if name not in UNNAMED
    ]
    # A process of a pool has a name with its number, which its fits are counted in.
    process = multiprocessing.current_process().name
    number = f"fit {next(_named)}" if process == "MainProcess" else f"{process} fit {next(_named)}"
    return _shortened(f"{number}, {estimator}({', '.join(values)})", LONGEST_NAME)


def _shortened(text, length):
    """A text of so many characters at most."""
    return text if len(text) <= length else f"{text[: max(length - 3, 0)]}..."


class Silence:
    """The report of a fit that shows nothing, and the methods that all reports have."""

    def begin(self):
        """The fit begins; `end` has to follow, whatever happens."""

    def ready(self):
        """Note that the trainer is there, which may have been compiled; epochs follow."""

    def epoch(self, epoch, loss, score=None):
        """An epoch, counted from 1, ended with this loss and this validation score."""

    def message(self, text):
        """Something to say, a line of its own."""

    def end(self):
        """The fit ended, well or with an exception. Leaves the terminal as it was."""


class EpochLines(Silence):
    """scikit-learn's lines for each epoch."""

    def epoch(self, epoch, loss, score=None):
        streams.write_line(f"Iteration {epoch}, loss = {loss:.8f}")
        if score is not None:
            streams.write_line(f"Validation score: {score:f}")

    def message(self, text):
        streams.write_line(text)


class ProgressLine(Silence):
    """One line with the state of the fit, shown by one of the displays below."""

    def __init__(self, max_epochs, n_samples, max_time, name):
        self.max_epochs, self.n_samples, self.max_time = max_epochs, n_samples, max_time
        self._start = _Line(name, f"Iteration 0/{max_epochs}")
        self._display = _PlainDisplay()
        self._n_epochs = 0

    def begin(self):
        self._begin = self._ready = self._next = time.perf_counter()
        for display in (_NotebookDisplay, _RichDisplay):
            if display.is_available():
                self._display = display(self._start)
                break
        if not self._draw("start"):
            self._display = _PlainDisplay()

    def ready(self):
        self._ready = time.perf_counter()

    def epoch(self, epoch, loss, score=None):
        now = time.perf_counter()
        self._n_epochs += 1
        if self._n_epochs == 1:
            self._first = now
        self._last = (now, epoch, loss, score)
        # The last line is that of the end.
        if now >= self._next and epoch < self.max_epochs:
            self._draw("show", self._line(ended=False))
            self._next = now + self._display.interval

    def message(self, text):
        self._draw("message", text)

    def end(self):
        self._draw("stop", self._line(ended=True) if self._n_epochs else None)

    def _draw(self, method, *arguments):
        """Call a method of the display; where it fails, plain lines follow."""
        display = self._display
        try:
            return getattr(display, method)(*arguments)
        except (Exception, SystemExit):
            # The terminal may have gone away; rich exits where it was a pipe.
            self._display = _PlainDisplay()
            with suppress(Exception, SystemExit):
                display.stop(None)

    def _line(self, ended):
        now, epoch, loss, score = self._last
        done = epoch / self.max_epochs
        if self.max_time is not None:
            # The time to get ready is not the fit's.
            done = max(done, (now - self._ready) / self.max_time)
        figures = [f"loss = {loss:#.5g}"]
        if score is not None:
            figures.append(f"score = {score:.4f}")
        if ended:
            figures.append(f"took {_duration(now - self._begin)}")
        elif self._n_epochs > 1:
            figures.append(f"{_duration(self._left(now, epoch))} left")
        if ended or self._n_epochs > 1:
            figures.append(f"{self.n_samples / self._pace(now):,.0f} samples/s")
        return replace(
            self._start,
            position=f"Iteration {epoch}/{self.max_epochs}",
            figures=tuple(figures),
            done=min(done, 1.0),
        )

    def _left(self, now, epoch):
        """Seconds to the end, by the limit that is nearer."""
        left = max(self.max_epochs - epoch, 0) * self._pace(now)
        if self.max_time is None:
            return left
        return min(left, max(self.max_time - (now - self._ready), 0.0))

    def _pace(self, now):
        """Seconds per epoch, without the first where there are others: it may have compiled."""
        if self._n_epochs == 1:
            seconds = now - self._ready
        else:
            seconds = (now - self._first) / (self._n_epochs - 1)
        return max(seconds, 1e-9)


def _duration(seconds):
    """A time to read: ``3.2 s``, ``42 s``, ``3 min 05 s`` or ``1 h 02 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


@dataclass(frozen=True)
class _Line:
    """The texts of the line, the less important last, and the part of the fit that is done."""

    name: str
    position: str
    figures: tuple = ()
    done: float = 0.0

    def __str__(self):
        text = ", ".join([self.position, *self.figures])
        return f"{self.name}: {text}" if self.name else text


class _PlainDisplay:
    """Lines for a log: the first, one in `interval` seconds, the last."""

    interval = 5.0
    _shown = None

    def start(self):
        """Whether the display could be had; if not, nothing was done."""
        return True

    def show(self, line):
        self._shown = line.position
        streams.write_line(line, flush=True)

    def message(self, text):
        streams.write_line(text, flush=True)

    def stop(self, line):
        if line is not None and line.position != self._shown:
            self.show(line)


class _NotebookDisplay(_PlainDisplay):
    """An output of a notebook's cell, which is replaced. Exports of the notebook show it, too."""

    interval = 0.2

    @staticmethod
    def is_available():
        """Whether this is a notebook, and stdout its own."""
        if not type(sys.stdout).__module__.startswith("ipykernel"):
            return False
        shell = type(sys.modules["IPython"].get_ipython())
        return shell.__name__ == "ZMQInteractiveShell" or "google.colab" in shell.__module__

    def __init__(self, line):
        self._line = line

    def start(self):
        from IPython.display import display

        self._handle = display(self._content(), raw=True, display_id=True)
        return True

    def show(self, line):
        self._line = line
        self._handle.update(self._content(), raw=True)

    def stop(self, line):
        if line is not None:
            self.show(line)

    def _content(self):
        """The line by types of content, of which a notebook shows the one that it likes best."""
        text = str(self._line)
        bar = f'<progress max="1" value="{self._line.done:.3f}"></progress>'
        return {"text/plain": text, "text/html": f"<div>{bar} {html.escape(text)}</div>"}


class _RichDisplay:
    """A line with a bar, redrawn by rich at the bottom of what else is printed.

    It is redrawn by the fit itself, not by a thread beside it. Rich's own console is used:
    it knows of other displays, of the user and of scikit-learn's ProgressBar.
    """

    interval = 0.1
    _in_use = threading.Lock()  # of several fits in threads, one has the display

    @staticmethod
    def is_available():
        """Whether rich is there, and the output a terminal that it can draw on."""
        if not streams.is_terminal(sys.stdout):
            return False
        try:
            from rich import get_console
        except ImportError:
            return False
        console = get_console()
        return console.is_terminal and console.is_interactive and not console.is_jupyter

    def __init__(self, line):
        from rich import get_console
        from rich.live import Live

        self._line = line
        self._console = get_console()
        self._live = Live(
            get_renderable=self._render,
            auto_refresh=False,
            # An stderr that goes elsewhere, to a file, shall not end up on the terminal.
            redirect_stderr=streams.is_terminal(sys.stderr),
        )
        self._owned = False

    def start(self):
        """Whether the display could be had; if not, nothing was done."""
        from rich.errors import LiveError

        self._owned = self._in_use.acquire(blocking=False)
        if not self._owned:
            return False
        try:
            self._live.start(refresh=True)
        except BaseException as error:
            self._release()
            if isinstance(error, LiveError):  # rich before 14.1, and the user has a display
                return False
            raise
        return True

    def show(self, line):
        self._line = line
        self._live.refresh()

    def message(self, text):
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stop(self, line):
        if line is None:
            self._live.transient = True  # it has nothing to say
        else:
            self._line = line
        try:
            self._live.stop()
        finally:
            self._release()

    def _release(self):
        if self._owned:
            self._owned = False
            self._in_use.release()

    def _render(self):
        """One row of the console's width: what does not fit is left out from the end."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        name, position, figures = self._line.name, self._line.position, list(self._line.figures)
        width = self._console.width
        if name:
            # The name is shortened, where the position and the first figure need the room.
            needed = len(position) + len("".join(figures[:1])) + len(":  ")
            position = f"{_shortened(name, max(width - needed, 10))}: {position}"
        while len(figures) > 1 and len(position) + 1 + len(", ".join(figures)) > width:
            figures.pop()
        text = ", ".join(figures)
        bar_width = min(width - len(position) - len(text) - 2, 30)
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_column(no_wrap=True)
        if bar_width >= 5:
            bar = ProgressBar(1.0, self._line.done, width=bar_width)
            row.add_row(Text(position), bar, Text(text))
        else:
            row.add_row(Text(f"{position} {text}"))
        return row
