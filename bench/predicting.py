"""Row P: predict_proba of 1, 100 and 10,000 rows of MNIST's test images, with row A's network."""

import warnings
from contextlib import ExitStack
from functools import cache
from statistics import median
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

import data
import peer_torch
from formatting import duration, ratio, spread, table
from peers import all_peers, thread_counts
from processes import Process
from rows import ROWS

TITLE = "`predict_proba` of MNIST's test images, 784-100-100-10"
N_ROWS = (1, 100, 10_000)
# Seconds of calls that are timed together.
BURST = 0.05
# Probabilities may differ by as much.
TOLERANCE = 1e-4


def measure(dtypes, n_runs, workers=None):
    """Times of a call by number of rows, precision and library."""
    return {
        "title": TITLE,
        "measured": [measure_dtype(dtype, n_runs) for dtype in dtypes],
    }


def measure_dtype(dtype, n_runs):
    counts = thread_counts()
    libraries = {"fastnn": (None,), "scikit-learn": counts}
    torch = next(peer for peer in all_peers() if peer.name == "PyTorch eager")
    if not torch.missing:
        libraries["PyTorch eager"] = counts
    with ExitStack() as stack:
        candidates = {
            library: {n: stack.enter_context(Process()) for n in thread_counts}
            for library, thread_counts in libraries.items()
        }
        return {
            "dtype": dtype,
            "rows": {str(n): measure_calls(candidates, dtype, n, n_runs) for n in N_ROWS},
        }


def measure_calls(candidates, dtype, n_rows, n_runs):
    """Each library in turn, n_runs times over, with its best number of threads."""
    best, entries, probabilities = {}, {}, {}
    for library, processes in candidates.items():
        arguments = {n: (library, dtype, n, n_rows) for n in processes}
        for n, process in processes.items():
            probabilities[library] = process.call(predict, *arguments[n])
        once = {n: process.call(time_calls, *arguments[n]) for n, process in processes.items()}
        n_threads = min(once, key=once.get)
        best[library] = (processes[n_threads], arguments[n_threads])
        entries[library] = {"n_threads": n_threads, "seconds": []}
    for library, entry in entries.items():
        difference = np.abs(probabilities[library] - probabilities["scikit-learn"]).max()
        entry["difference"] = float(difference)
    for _ in range(n_runs):
        for library, (process, arguments) in best.items():
            entries[library]["seconds"].append(process.call(time_calls, *arguments))
    return entries


def predict(library, dtype, n_threads, n_rows):
    """In a worker: the probabilities."""
    return predictor(library, dtype, n_threads)(images(dtype)[:n_rows])


def time_calls(library, dtype, n_threads, n_rows):
    """In a worker: seconds of a call, the mean of a burst of them."""
    call, X = predictor(library, dtype, n_threads), images(dtype)[:n_rows]
    with threadpool_limits(n_threads, user_api="blas"):
        n_calls, seconds = 1, 0.0
        while seconds < BURST:
            n_calls = max(n_calls, int(1.2 * n_calls * BURST / seconds)) if seconds else 1
            start = perf_counter()
            for _ in range(n_calls):
                call(X)
            seconds = perf_counter() - start
    return seconds / n_calls


@cache
def images(dtype):
    return data.mnist("test")[0].astype(dtype)


@cache
def trained_weights():
    """Weights of row A's network after an epoch, the same in every process."""
    from sklearn.neural_network import MLPClassifier

    X, y = data.mnist("train")
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        warnings.simplefilter("ignore")
        model = MLPClassifier(**(ROWS["A"].params | {"max_iter": 1})).fit(X, y)
    return model.coefs_, model.intercepts_


@cache
def predictor(library, dtype, n_threads):
    """A function from X to probabilities."""
    if library == "PyTorch eager":
        return torch_predictor(dtype, n_threads)
    if library == "fastnn":
        from fastnn import MLPClassifier
    else:
        from sklearn.neural_network import MLPClassifier
    model = MLPClassifier(**(ROWS["A"].params | {"max_iter": 1, "batch_size": "auto"}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(images(dtype)[:100], np.arange(100) % 10)
    coefs, intercepts = trained_weights()
    for own, trained in zip(
        [*model.coefs_, *model.intercepts_], [*coefs, *intercepts], strict=True
    ):
        own[...] = trained
    return model.predict_proba


def torch_predictor(dtype, n_threads):
    import torch

    torch.set_num_threads(n_threads)
    weights = [[array.astype(dtype) for array in arrays] for arrays in trained_weights()]
    model = peer_torch.make_model(torch, *weights)

    @torch.inference_mode()
    def predict_proba(X):
        return torch.softmax(model(torch.from_numpy(X)), dim=1).numpy()

    return predict_proba


def markdown(result):
    """A line for each number of rows and precision."""
    names = list(result["measured"][0]["rows"]["1"])
    others = [name for name in names if name != "fastnn"]
    header = [result["title"], "precision", "fastnn: median (fastest – slowest)", *others]
    lines = []
    for measured in result["measured"]:
        for n_rows, entries in measured["rows"].items():
            ours = entries["fastnn"]["seconds"]
            compared = (comparison(ours, entries[name]) for name in others)
            rows = f"{int(n_rows):,} row{'s' if int(n_rows) > 1 else ''}"
            lines.append([rows, measured["dtype"], spread(ours), *compared])
    return table(header, lines)


def comparison(ours, entry):
    if entry["difference"] > TOLERANCE:
        return "probabilities differ"
    return f"{duration(median(entry['seconds']))}, {ratio(entry['seconds'], ours)}"
