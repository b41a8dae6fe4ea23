"""The number of threads that a piece of work may have, and calls of compiled code."""

import ctypes
import math
import os
import warnings
from functools import cache

import joblib
import numba
from threadpoolctl import ThreadpoolController

from fastnn.kernels.numba_internals import N_PLACES

# The most threads that work together, however many are asked for.
MAX_THREADS = 1023


def resolve_n_jobs(n_jobs):
    """The number of threads for an ``n_jobs``.

    None stands for as many as there are processors, and negative numbers count down from these, as
    in joblib; both follow every limit on threads. A positive number overrules limits on BLAS, and
    those that are set before a program starts, but none that is set while it runs: it is never more
    than the processors, Numba's number or a limit of threadpoolctl's on OpenMP.
    """
    if n_jobs == 1:
        return 1
    processors = n_processors()
    most = min(processors, MAX_THREADS)
    if numba.config.NUMBA_NUM_THREADS >= 1:
        most = min(most, numba.config.NUMBA_NUM_THREADS)
    environment, openmp = _omp_num_threads(), _library_limit("openmp")
    if n_jobs is not None and n_jobs > 0:
        return min(n_jobs, most, openmp if openmp < environment else most)
    wanted = processors if n_jobs is None else max(1, processors + 1 + n_jobs)
    return min(wanted, most, environment, openmp, _library_limit("blas"))


def n_processors():
    """Processors for this process: by its CPU affinity, and by its container's quota."""
    return _count_processors(_affinity())


def _affinity():
    """Processors that this thread may run on, or 0 where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


@cache
def _count_processors(affinity):
    """Processors by joblib's count, which reads some files: once for each affinity."""
    try:
        return joblib.cpu_count()
    except ValueError:  # a LOKY_MAX_CPU_COUNT that is no number
        return affinity or os.cpu_count() or 1


def _omp_num_threads():
    """The number in OMP_NUM_THREADS, the first if it is a list; infinity if it is none."""
    try:
        number = int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0])
    except ValueError:
        return math.inf
    return number if number >= 1 else math.inf


@cache
def _libraries(api):
    """threadpoolctl's controllers of the libraries of OpenMP, or of BLAS, that are loaded.

    BLIS is left out, as it says 1 where nobody has limited it.
    """
    with warnings.catch_warnings():
        # It warns of libraries that do not go together, and none of them is ours.
        warnings.simplefilter("ignore")
        controllers = ThreadpoolController().lib_controllers
    return [c for c in controllers if c.user_api == api and c.internal_api != "blis"]


def _library_limit(api):
    """The fewest threads that a library of OpenMP, or of BLAS, may use now."""
    return min((library.num_threads or math.inf for library in _libraries(api)), default=math.inf)


# The places that a compiled function has before its own argument, and may write a zero to.
_UNREAD = ctypes.c_int64()
_PLACES = [ctypes.addressof(_UNREAD)] * N_PLACES
_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * (N_PLACES + 1))


def address(array):
    """The address of an array's first element, by which compiled code knows it."""
    return array.__array_interface__["data"][0]


def call(function_at, data_at):
    """Call a compiled function with the address of its data; Python's threads run meanwhile."""
    _FUNCTION(function_at)(*_PLACES, data_at)
