"""How a fit shows its progress: nothing, one line that is kept up to date, or a line per epoch.

`make_report` picks one of them by ``verbose``. All write to ``sys.stdout`` as it is at that
moment. The one line is drawn by rich, where that is installed and the output is a terminal or
a notebook; elsewhere plain lines are printed, few enough for a log file.
"""

import importlib.util
import sys
import threading
import time
from dataclasses import dataclass


def make_report(verbose, *, max_epochs, n_samples, max_time=None):
    """The report of one fit, of which the fit calls the five methods of `Silence`.

    Parameters
    ----------
    verbose : bool or int
        0: nothing. 1: one progress line. More: a line per epoch, as scikit-learn prints it.
    max_epochs : int
        Epochs, or iterations of L-BFGS, that the fit takes at most.
    n_samples : int
        Samples that an epoch trains on.
    max_time : float or None
        Seconds that the fit takes at most, where it has such a limit.
    """
    if verbose > 1:
        return EpochLines()
    return ProgressLine(max_epochs, n_samples, max_time) if verbose else Silence()


class Silence:
    """The report of a fit that shows nothing, and the methods that all reports have."""

    def begin(self):
        """The fit begins; `end` has to follow, whatever happens."""

    def epoch(self, epoch, loss, score=None):
        """An epoch, counted from 1, ended with this loss and this validation score."""

    def message(self, text):
        """Something to say, a line of its own."""

    def end(self):
        """The fit ended, well or with an exception. Leaves the terminal as it was."""


class EpochLines(Silence):
    """scikit-learn's lines for each epoch."""

    def epoch(self, epoch, loss, score=None):
        print(f"Iteration {epoch}, loss = {loss:.8f}")
        if score is not None:
            print(f"Validation score: {score:f}")

    def message(self, text):
        print(text)


class ProgressLine(Silence):
    """One line with the state of the fit, shown by one of the displays below."""

    def __init__(self, max_epochs, n_samples, max_time):
        self.max_epochs, self.n_samples, self.max_time = max_epochs, n_samples, max_time
        self._display = _PlainDisplay()
        self._n_epochs = 0

    def begin(self):
        self._begin = time.perf_counter()
        self._next = self._begin
        if _rich_can_draw():
            self._display = _RichDisplay(_Line(f"Iteration 0/{self.max_epochs}"))
            if not self._display.start():
                self._display = _PlainDisplay()

    def epoch(self, epoch, loss, score=None):
        now = time.perf_counter()
        self._n_epochs += 1
        if self._n_epochs == 1:
            self._first = now
        self._last = (now, epoch, loss, score)
        # The last line is that of the end.
        if now >= self._next and epoch < self.max_epochs:
            self._display.show(self._line(ended=False))
            self._next = now + self._display.interval

    def message(self, text):
        self._display.message(text)

    def end(self):
        self._display.stop(self._line(ended=True) if self._n_epochs else None)

    def _line(self, ended):
        now, epoch, loss, score = self._last
        elapsed = now - self._begin
        pace = self._pace(now)
        left = max(self.max_epochs - epoch, 0) * pace
        done = epoch / self.max_epochs
        if self.max_time is not None:
            left = min(left, max(self.max_time - elapsed, 0.0))
            done = max(done, elapsed / self.max_time)
        figures = [f"loss = {loss:#.5g}"]
        if score is not None:
            figures.append(f"score = {score:.4f}")
        figures.append(f"took {_duration(elapsed)}" if ended else f"{_duration(left)} left")
        figures.append(f"{self.n_samples / pace:,.0f} samples/s")
        return _Line(f"Iteration {epoch}/{self.max_epochs}", tuple(figures), min(done, 1.0))

    def _pace(self, now):
        """Seconds per epoch; the first, which may have compiled, counts only while it is alone."""
        if self._n_epochs == 1:
            seconds = now - self._begin
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
    """What the line says, the less important last, and the part of the fit that is done."""

    position: str
    figures: tuple = ()
    done: float = 0.0

    def __str__(self):
        return ", ".join([self.position, *self.figures])


class _PlainDisplay:
    """Lines for a log: the first, one in `interval` seconds, the last."""

    interval = 5.0
    _shown = None

    def show(self, line):
        self._shown = line.position
        print(line, flush=True)

    def message(self, text):
        print(text, flush=True)

    def stop(self, line):
        if line is not None and line.position != self._shown:
            self.show(line)


def _rich_can_draw():
    """Whether rich is there, and the output a terminal or notebook that it can draw on."""
    try:
        from rich import get_console
    except ImportError:
        return False
    console = get_console()
    if console.is_jupyter:  # where stdout may still be redirected
        shown = type(sys.stdout).__module__.startswith("ipykernel")
        return shown and importlib.util.find_spec("ipywidgets") is not None
    is_terminal = getattr(sys.stdout, "isatty", lambda: False)()
    return is_terminal and console.is_terminal and console.is_interactive


class _RichDisplay:
    """A line with a bar, redrawn by rich at the bottom of what else is printed.

    It is redrawn by the fit itself, not by a thread beside it. Rich's own console is used:
    it knows of other displays, of the user and of scikit-learn's ProgressBar.
    """

    interval = 0.1
    _in_use = threading.Lock()  # of several fits in threads, one has the display

    def __init__(self, line):
        from rich import get_console
        from rich.live import Live

        self._line = line
        self._console = get_console()
        # An stderr that goes elsewhere, to a file, shall not end up on the terminal.
        stderr_too = getattr(sys.stderr, "isatty", lambda: False)()
        self._live = Live(
            get_renderable=self._render, auto_refresh=False, redirect_stderr=stderr_too
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
        except LiveError:  # rich before 14.1, and the user has a display
            self._release()
            return False
        return True

    def show(self, line):
        self._line = line
        self._live.refresh()

    def message(self, text):
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stop(self, line):
        if not self._owned:
            return
        if line is None:
            self._live.transient = True  # it has nothing to say
        else:
            self._line = line
        try:
            self._live.stop()
        finally:
            self._release()

    def _release(self):
        self._owned = False
        self._in_use.release()

    def _render(self):
        """One row of the console's width: what does not fit is left out from the end."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        position, figures = self._line.position, list(self._line.figures)
        width = self._console.width
        while len(figures) > 1 and len(position) + 1 + len(", ".join(figures)) > width:
            figures.pop()
        text = ", ".join(figures)
        bar_width = min(width - len(position) - len(text) - 2, 30)
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_column(no_wrap=True)
        if bar_width >= 5:
            row.add_row(position, ProgressBar(1.0, self._line.done, width=bar_width), text)
        else:
            row.add_row(f"{position} {text}")
        return row
