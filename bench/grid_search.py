"""Row G: GridSearchCV on digits, 12 candidates x 5 folds, two jobs, by threads and by processes."""

import warnings
from contextlib import nullcontext
from time import perf_counter

import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

import data
from formatting import ratio, spread, table
from processes import Process

TITLE = "`GridSearchCV.fit` on digits, 12 candidates × 5 folds, `n_jobs=2`"
GRID = {
    "hidden_layer_sizes": [(50,), (100,)],
    "alpha": [1e-4, 1e-2, 1.0],
    "learning_rate_init": [1e-3, 1e-2],
}
MAX_ITER = 30
BACKENDS = ("threading", "loky")
# Mean cross-validated accuracies may differ by as much.
TOLERANCE = 1e-3


def measure(dtypes, n_runs, workers=None):
    """Seconds of a search by backend and library. Precision is that of digits, float64."""
    with Process() as ours, Process() as theirs:
        processes = {"fastnn": ours, "scikit-learn": theirs}
        return {
            "title": TITLE,
            "max_iter": MAX_ITER,
            "backends": {
                backend: measure_backend(processes, backend, n_runs) for backend in BACKENDS
            },
        }


def measure_backend(processes, backend, n_runs):
    """Both libraries in turn, n_runs times over, after a search that does not count."""
    entries = {}
    for library, process in processes.items():
        # loky gives each of its processes its share of the threads; threads must be told.
        limits = (None, 1) if library == "scikit-learn" and backend == "threading" else (None,)
        once = {limit: process.call(search, library, backend, limit)[0] for limit in limits}
        limit = min(once, key=once.get)
        entries[library] = {"blas_threads": limit, "seconds": [], "mean_score": None}
    for _ in range(n_runs):
        for library, entry in entries.items():
            arguments = (library, backend, entry["blas_threads"])
            seconds, entry["mean_score"] = processes[library].call(search, *arguments)
            entry["seconds"].append(seconds)
    return entries


def search(library, backend, blas_threads):
    """In a worker: seconds of a search, and its scores' mean."""
    if library == "fastnn":
        from fastnn import MLPClassifier
    else:
        from sklearn.neural_network import MLPClassifier
    X, y = data.digits()
    X /= 16.0
    model = MLPClassifier(max_iter=MAX_ITER, random_state=0)
    grid = GridSearchCV(model, GRID, cv=5, n_jobs=2)
    # A search starts its own processes.
    get_reusable_executor().shutdown(wait=True)
    limits = threadpool_limits(blas_threads, "blas") if blas_threads else nullcontext()
    with warnings.catch_warnings(), limits, joblib.parallel_config(backend):
        warnings.simplefilter("ignore")
        start = perf_counter()
        grid.fit(X, y)
        seconds = perf_counter() - start
    get_reusable_executor().shutdown(wait=True)
    return seconds, float(np.mean(grid.cv_results_["mean_test_score"]))


def markdown(result):
    """A line for each backend."""
    header = [
        f"{result['title']}, {result['max_iter']} epochs",
        "fastnn: median (fastest – slowest)",
        "scikit-learn",
        "fastnn is faster by",
        "mean accuracy",
    ]
    return table(header, [backend_cells(*item) for item in result["backends"].items()])


def backend_cells(backend, entries):
    ours, theirs = entries["fastnn"], entries["scikit-learn"]
    agree = abs(ours["mean_score"] - theirs["mean_score"]) <= TOLERANCE
    return [
        backend,
        spread(ours["seconds"]),
        spread(theirs["seconds"]),
        ratio(theirs["seconds"], ours["seconds"]) if agree else "scores differ",
        f"{ours['mean_score']:.4f}, {theirs['mean_score']:.4f}",
    ]
