"""Start-up: what a first fit and predict cost beyond a later one, in fresh processes.

    python bench/bench_start.py    # the same as: python bench/run.py start

With an empty cache everything is compiled; a second process finds it on disk. Each process is one
Python that imports, in this order, scikit-learn's neural_network and numba, then fastnn; fits
and predicts digits with the default parameters, twice; and again in another precision and with
another activation.
"""

import json
import os
import subprocess
import sys
import tempfile
from statistics import median
from time import perf_counter

# Processes that compile everything; each takes many seconds.
COLD_RUNS = 3
WARM_RUNS = 7
# The stages of a process: its name, the precision of X, and the parameters of the estimator.
STAGES = (
    ("first fit and predict", "float64", {}),
    ("a second precision", "float32", {}),
    ("a second activation, tanh", "float64", {"activation": "tanh"}),
)


def measure(dtypes=None, n_runs=WARM_RUNS, workers=None):
    """Times of processes with an empty and with a filled cache."""
    cold, warm = [], []
    for _ in range(min(n_runs, COLD_RUNS)):
        with tempfile.TemporaryDirectory() as directory:
            cold.append(run_process(directory))
    with tempfile.TemporaryDirectory() as directory:
        run_process(directory)
        for _ in range(n_runs):
            warm.append(run_process(directory))
    return {"cold": cold, "warm": warm}


def run_process(directory):
    """The report of a fresh process that has its cache there."""
    environment = os.environ | {"FASTNN_CACHE": directory}
    command = [sys.executable, __file__, "--in-fresh-process"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def report():
    """In a fresh process: the seconds of everything, in order."""
    start = perf_counter()
    import numba  # noqa: F401
    import sklearn.neural_network  # noqa: F401

    imported = perf_counter()
    import fastnn

    fastnn_imported = perf_counter()
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return {
        "import_others": imported - start,
        "import_fastnn": fastnn_imported - imported,
        "stages": [
            {"name": name, **report_stage(fastnn, X.astype(dtype), y, params)}
            for name, dtype, params in STAGES
        ],
    }


def report_stage(fastnn, X, y, params):
    """Seconds of a first and a second fit and predict, and of the units the first prepared."""
    from fastnn.kernels import cache
    from fastnn.kernels.cpu import jit

    known, before = set(jit.SECONDS), dict(cache.STATS)
    first = fit_and_predict(fastnn, X, y, params)
    units = {name: seconds for name, seconds in jit.SECONDS.items() if name not in known}
    return {
        "first": first,
        "later": fit_and_predict(fastnn, X, y, params),
        "units": units,
        "cache": {key: cache.STATS[key] - before[key] for key in before},
    }


def fit_and_predict(fastnn, X, y, params):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = perf_counter()
        fastnn.MLPClassifier(random_state=0, **params).fit(X, y).predict(X)
        return perf_counter() - start


def markdown(result):
    """The cost of a start, and the units that it prepares."""
    from formatting import duration, table

    header = ["median of processes", "cache empty", "from the cache"]
    kinds = ("cold", "warm")
    lines = [
        ["processes", *(len(result[kind]) for kind in kinds)],
        [
            "`import fastnn`, beyond scikit-learn and numba",
            *(duration(median(run["import_fastnn"] for run in result[kind])) for kind in kinds),
        ],
    ]
    for i, (name, dtype, _) in enumerate(STAGES):
        stages = [[run["stages"][i] for run in result[kind]] for kind in kinds]
        lines.append([f"{name} ({dtype}), beyond a later one", *map(beyond_later, stages)])
    units = table(["unit or root", *header[1:]], unit_lines(result))
    return f"{table(header, lines)}\n\n{units}"


def beyond_later(stages):
    """Seconds of the first fit and predict less those of the second; units compiled, loaded."""
    from formatting import duration

    seconds = median(stage["first"] - stage["later"] for stage in stages)
    counts = stages[0]["cache"]
    return f"{duration(max(seconds, 0.0))} ({counts['misses']} compiled, {counts['hits']} loaded)"


def unit_lines(result):
    """Every unit by the stage that asks for it first, the slowest to compile first."""
    from formatting import duration

    lines = []
    for i, (stage_name, _, _) in enumerate(STAGES):
        cold, warm = (unit_seconds(result[kind], i) for kind in ("cold", "warm"))
        totals = (duration(sum(seconds.values())) for seconds in (cold, warm))
        lines.append([f"*{stage_name}*", *totals])
        for name in sorted(cold, key=cold.get, reverse=True):
            loading = duration(warm[name]) if name in warm else ""
            lines.append([f"`{name}`", duration(cold[name]), loading])
    return lines


def unit_seconds(runs, i):
    """Median seconds of every unit that a stage prepared, over the processes where it did."""
    seconds = {}
    for run in runs:
        for name, taken in run["stages"][i]["units"].items():
            seconds.setdefault(name, []).append(taken)
    return {name: median(taken) for name, taken in seconds.items()}


if __name__ == "__main__":
    if sys.argv[1:] == ["--in-fresh-process"]:
        print(json.dumps(report()))
    else:
        import run

        run.main(["start", *sys.argv[1:]])
