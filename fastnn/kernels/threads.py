"""How many threads a piece of work gets, and when it must do with one.

Numba's threading layers have rules of their own: the child of a process that has used threads
cannot use them again after ``fork``, and the layer `workqueue` aborts the process when two threads
enter it. Where a rule forbids threads, the work runs on one; its result is the same.
"""

import contextlib
import ctypes
import os
import threading
from functools import cache

import joblib
import numba
from llvmlite import binding as llvm

_workqueue_lock = threading.Lock()


class _State:
    """What this process may do: whether it has started threads, and whether it lost them."""

    started = False
    lost = False


def _after_fork_in_child():
    # Numba may have started its threads without us; so may have the user's own code.
    _State.lost = _State.lost or _State.started or layer() is not None
    _workqueue_lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def resolve_n_jobs(n_jobs):
    """The number of threads for an ``n_jobs`` in joblib's meaning; None: as Numba would use."""
    try:
        available = numba.get_num_threads()
    except ValueError:  # no threading layer can be loaded on this machine
        return 1
    if n_jobs is None:
        return available
    if n_jobs < 0:
        n_jobs = max(1, joblib.cpu_count() + 1 + n_jobs)
    return min(n_jobs, numba.config.NUMBA_NUM_THREADS)


def layer():
    """Name of Numba's threading layer, once something has started it."""
    try:
        return numba.threading_layer()
    except ValueError:
        return None


@contextlib.contextmanager
def team(n_threads):
    """Set the threads of this call up; yields how many it really gets, one or ``n_threads``."""
    if n_threads == 1 or _State.lost:
        yield 1
        return
    with contextlib.ExitStack() as stack:
        if layer() == "workqueue":
            if not _workqueue_lock.acquire(blocking=False):
                yield 1
                return
            stack.callback(_workqueue_lock.release)
        before = numba.get_num_threads()
        numba.set_num_threads(n_threads)
        stack.callback(numba.set_num_threads, before)
        _State.started = True
        yield n_threads


# What threads run: addresses of arguments, counts, strides and data, like Numba's parallel loops.
_FUNCTION = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)


@cache
def _parallel_for():
    """The function with which the threading layer shares a loop out; None where there is none.

    Numba gives it to the code of its own parallel loops under this name. It takes a function, the
    arguments of that, how many of the counts are inner ones, how many arguments there are,
    and how many threads there should be.
    """
    try:
        numba.get_num_threads()  # starts the threading layer
    except ValueError:
        return None
    address = llvm.address_of_symbol("numba_parallel_for")
    kind = ctypes.CFUNCTYPE(
        None, *[ctypes.c_void_p] * 5, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int
    )
    return kind(address) if address else None


def are_available():
    """Whether there are threads to be had; starts them."""
    return _parallel_for() is not None


def call(function_at, data_at, n_threads):
    """Call a compiled function with that data, once for each of ``n_threads`` threads.

    Other threads of Python run meanwhile.
    """
    counts = ctypes.c_size_t(n_threads)
    if n_threads == 1:
        _FUNCTION(function_at)(None, ctypes.addressof(counts), None, data_at)
    else:
        _parallel_for()(function_at, None, ctypes.addressof(counts), None, data_at, 0, 0, n_threads)
