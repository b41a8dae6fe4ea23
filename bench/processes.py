"""Processes of their own, for what must not share one."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor


class Process:
    """A fresh process that carries out functions, one after another.

    Parameters
    ----------
    **environment : str
        Environment variables of its own.
    """

    def __init__(self, **environment):
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        outside = os.environ.copy()
        os.environ.update(environment)
        try:
            self._pool.submit(int)  # starts the process
        finally:
            os.environ.clear()
            os.environ.update(outside)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def call(self, function, *arguments):
        """What the function returns there."""
        return self._pool.submit(function, *arguments).result()

    def close(self):
        self._pool.shutdown()
