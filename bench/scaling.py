"""The gain of a second core, and of a second thread of the user's, in float32."""

import threading
import warnings
from statistics import median
from time import perf_counter

import peers
from formatting import spread, table
from processes import Process
from rows import ROWS

DTYPE = "float32"
FITTED = ("M", "L")
# Rows of which two fits run at a time; a fit of L fills the cores by itself.
SIDE_BY_SIDE = ("M",)


def measure(dtypes, n_runs, workers=None):
    """Seconds of every combination, in turn, n_runs times over."""
    with Process() as process:
        return {
            "dtype": DTYPE,
            "rows": {name: measure_row(process, name, n_runs) for name in FITTED},
        }


def measure_row(process, name, n_runs):
    """By n_jobs: the seconds of a fit alone, and of two that start together."""
    cases = [(1, 1), (2, 1)]
    if name in SIDE_BY_SIDE:
        cases += [(None, 1), (1, 2), (None, 2)]
    process.call(fit_side_by_side, name, None, 1)
    seconds = {case: [] for case in cases}
    for _ in range(n_runs):
        for case in cases:
            seconds[case].append(process.call(fit_side_by_side, name, *case))
    return {
        "title": ROWS[name].title,
        "batch_size": ROWS[name].batch_size,
        "cases": [
            {"n_jobs": n_jobs, "n_fits": n_fits, "seconds": seconds[n_jobs, n_fits]}
            for n_jobs, n_fits in cases
        ],
    }


def fit_side_by_side(name, n_jobs, n_fits):
    """In a worker: seconds until all of so many fits, a Python thread for each, are done."""
    from fastnn import MLPClassifier

    X, y = peers.load(name, DTYPE)
    models = [MLPClassifier(**ROWS[name].params, n_jobs=n_jobs) for _ in range(n_fits)]
    fits = [threading.Thread(target=model.fit, args=(X, y)) for model in models]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = perf_counter()
        for fit in fits:
            fit.start()
        for fit in fits:
            fit.join()
        return perf_counter() - start


def markdown(result):
    """A line for each combination; fits a second are relative to the first's."""
    header = [
        f"fastnn, {result['dtype']}", "fits at a time", "`n_jobs`",
        "until all are done: median (fastest – slowest)", "fits a second, relative",
    ]  # fmt: skip
    lines = []
    for name, row in result["rows"].items():
        alone = median(row["cases"][0]["seconds"])
        title = f"**{name}**: {row['title']}, batch {row['batch_size']}"
        for case in row["cases"]:
            rate = case["n_fits"] * alone / median(case["seconds"])
            n_jobs = case["n_jobs"] or "None (default)"
            lines.append([title, case["n_fits"], n_jobs, spread(case["seconds"]), f"{rate:.2f} ×"])
            title = ""
    return table(header, lines)
