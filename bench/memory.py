"""Memory: the peak of a fit beyond its data, and what mini-batches allocate.

The peak is the process's high-water mark (VmHWM of Linux) during a fit, less what was resident
just before it: data loaded, library imported, kernels ready.
"""

import ctypes
import gc
import os
import re
import sys
import tracemalloc
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

import peers
from core import make_trainer
from formatting import table
from processes import Process
from rows import ROWS

DTYPE = "float32"
LIBRARIES = ("fastnn", "scikit-learn")
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# Writing this to clear_refs sets the high-water mark to what is resident now.
RESET_PEAK = "5"
# Rows that the evidence about mini-batches is taken from, and epochs.
COUNTED_ROWS, FEW, MANY = ("S", "M"), 3, 15


def measure(dtypes, n_runs, workers=None):
    """Peaks of a fit of every row that trains; counts of allocations."""
    if not (STATUS.exists() and os.access(CLEAR, os.W_OK)):
        return {"missing": "needs Linux's /proc/self/clear_refs"}
    return {
        "dtype": DTYPE,
        "rows": {name: measure_row(name) for name in ROWS},
        "allocations": {name: measure_allocations(name) for name in COUNTED_ROWS},
    }


def measure_row(name):
    """Bytes of the data, and of the peak of each library's fit."""
    peaks = {}
    for library in LIBRARIES:
        with Process() as process:
            data_bytes, peaks[library] = process.call(peak_of_fit, name, library)
    return {"title": ROWS[name].title, "data": data_bytes, "peaks": peaks}


def peak_of_fit(name, library):
    """In a worker: bytes of X and y, and those that a fit adds at its peak."""
    X, y = peers.load(name, DTYPE)
    model = make_model(library, ROWS[name])
    warnings.simplefilter("ignore")
    # Loads the kernels and whatever else a first fit loads.
    make_model(library, replace(ROWS[name], n_epochs=1, batch_size=200)).fit(*few_rows(X, y))
    release_memory()
    CLEAR.write_text(RESET_PEAK)
    before = status_bytes("VmRSS")
    model.fit(X, y)
    arrays = (X.data, X.indices, X.indptr, y) if hasattr(X, "indptr") else (X, y)
    return sum(array.nbytes for array in arrays), status_bytes("VmHWM") - before


def make_model(library, row):
    if library == "fastnn":
        from fastnn import MLPClassifier
    else:
        from sklearn.neural_network import MLPClassifier
    return MLPClassifier(**row.params)


def few_rows(X, y):
    """The first few hundred rows: enough for every class."""
    return X[:400], y[:400]


def release_memory():
    """Give back to the system what is free, so that a fit has to ask for it again."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def status_bytes(field):
    """A field of this process's status."""
    return int(re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text())[1]) * 1024


def measure_allocations(name):
    """Peaks of fits of few and of many epochs; allocations of one and of many mini-batches."""
    with Process(NUMBA_NRT_STATS="1") as process:
        process.call(traced_peak, name, MANY)  # loads whatever such a fit loads
        return {
            "peaks": {
                str(n_epochs): process.call(traced_peak, name, n_epochs) for n_epochs in (FEW, MANY)
            },
            "allocations": process.call(count_allocations, name),
        }


def traced_peak(name, n_epochs):
    """In a worker: the peak of what Python and NumPy allocate in a fit."""
    X, y = peers.load(name, DTYPE)
    model = make_model("fastnn", replace(ROWS[name], n_epochs=n_epochs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracemalloc.start()
        model.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def count_allocations(name):
    """In a worker: what compiled code allocates in a call, by the call's mini-batches.

    There is no Python between the mini-batches of a call, and compiled code can allocate through
    Numba's runtime only, which counts.
    """
    X, y = peers.load(name, DTYPE)
    batch_size = ROWS[name].batch_size
    (trainer, _), order = make_trainer(ROWS[name], X, y), np.arange(len(X))
    counts = {}
    for n_batches in (1, len(X) // batch_size):
        before = numba_allocations()
        between = numba_allocations()
        trainer.plan.program.run(len(X), batch_size, (0, n_batches), order=order)
        # The counting allocates too.
        counts[str(n_batches)] = numba_allocations() - between - (between - before)
    return counts


def numba_allocations():
    """The allocations of compiled code in this process, counted from the first call on."""
    from numba import njit
    from numba.core.runtime import rtsys

    @njit
    def allocate():
        return np.empty(1)

    allocate()  # starts Numba's runtime, and is seen if that counts
    n_allocations = rtsys.get_allocation_stats().alloc
    allocate()
    if rtsys.get_allocation_stats().alloc == n_allocations:
        raise RuntimeError("Numba does not count its allocations")
    return rtsys.get_allocation_stats().alloc


def markdown(result):
    """The peaks, and the evidence about mini-batches."""
    if "missing" in result:
        return f"Not measured: {result['missing']}."
    header = [f"peak of a fit beyond its data, {result['dtype']}", "data", *LIBRARIES]
    peaks = table(header, [peak_cells(name, row) for name, row in result["rows"].items()])
    header = [
        "fastnn", "epochs: peak of Python and NumPy in a fit",
        "mini-batches: allocations of compiled code in a call",
    ]  # fmt: skip
    lines = [
        [
            f"**{name}**",
            ", ".join(f"{n}: {peak / 1e6:.3f} MB" for n, peak in found["peaks"].items()),
            ", ".join(f"{n}: {count}" for n, count in found["allocations"].items()),
        ]
        for name, found in result["allocations"].items()
    ]
    return f"{peaks}\n\n{table(header, lines)}"


def peak_cells(name, row):
    sizes = (row["data"], *(row["peaks"][library] for library in LIBRARIES))
    return [f"**{name}**: {row['title']}", *(f"{np.round(size / 1e6, 1)} MB" for size in sizes)]
