"""Processes of their own, for what must not share one."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress


class Process:
    """A fresh process that carries out functions, one after another.

    It ends with this process, however that ends, and so do those that it has started itself.

    Parameters
    ----------
    **environment : str
        Environment variables of its own.
    """

    def __init__(self, **environment):
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, initializer=_end_with_parent)
        outside = os.environ.copy()
        os.environ.update(environment)
        try:
            self._pid = self._pool.submit(os.getpid)  # starts the process
        finally:
            os.environ.clear()
            os.environ.update(outside)

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        if kind is not None:
            # Nobody waits for what it is doing.
            with suppress(BrokenProcessPool):
                _kill(self._pid.result())
        self.close()

    def call(self, function, *arguments):
        """The result of the function there."""
        return self._pool.submit(function, *arguments).result()

    def close(self):
        self._pool.shutdown()


def _end_with_parent():
    """In the process: see to it that it does not outlive the one that started it."""
    if hasattr(os, "setpgid"):
        # A group of its own, so that a single signal reaches those that it starts.
        os.setpgid(0, 0)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent():
    multiprocessing.parent_process().join()
    _kill(os.getpid())


def _kill(pid):
    """End a `Process`, and those that it has started where the system knows groups."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)
