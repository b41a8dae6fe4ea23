"""Rows that train: every library in turn, on the same data from the same weights."""

import peak
import peers

# Thread counts whose first times are within this factor are tried again.
CLOSE = 1.5


def measure(row, dtypes, n_runs, workers):
    """Measure a row with every peer; a dict for its JSON file."""
    chosen = [peer for peer in peers.all_peers() if peer.is_estimator or not row.estimators_only]
    present = [peer for peer in chosen if not peer.missing]
    return {
        "title": row.title,
        "batch_size": row.batch_size,
        "n_epochs": row.n_epochs,
        "learning_rate": row.learning_rate,
        "unit": row.unit,
        "missing": {peer.name: peer.missing for peer in chosen if peer.missing},
        "measured": [measure_dtype(row, dtype, n_runs, present, workers) for dtype in dtypes],
    }


def measure_dtype(row, dtype, n_runs, present, workers):
    """The times of every peer in a precision, between two measurements of the peak."""
    peak_one_core = peak.measure(dtype, 1)
    peaks = [peak_one_core, peak.measure(dtype)]
    timed = measure_peers(row, dtype, n_runs, present, workers)
    X, y = peers.load(row.name, dtype)
    layer_units = row.layer_units(X, y)
    return {
        "dtype": dtype,
        "layer_units": layer_units,
        "n_flops": row.n_flops(X, layer_units),
        "n_units": row.n_units_of_time(X.shape[0]),
        "peers": timed,
        "peak_gflops": max(*peaks, peak.measure(dtype)),
        "peak_gflops_one_core": peak_one_core,
    }


def measure_peers(row, dtype, n_runs, present, workers):
    """Time every peer in turn, n_runs times over."""
    for peer in present:
        workers.get(peer, dtype)  # they start side by side
    fastest, entries = {}, {}
    for peer in present:
        fastest[peer.name], entries[peer.name] = first_runs(workers.get(peer, dtype), row)
    for _ in range(n_runs):
        for name, entry in entries.items():
            entry["seconds"].append(fastest[name].train(row))
    for name, entry in entries.items():
        entry["loss"] = fastest[name].loss(row)
    return entries


def first_runs(candidates, row):
    """Compile, run unmeasured, and find the worker with the best thread count."""
    compile_seconds = {worker: worker.prepare(row) for worker in candidates}
    first = {worker: worker.train(row) for worker in candidates}
    close = [worker for worker in candidates if first[worker] < CLOSE * min(first.values())]
    again = {worker: worker.train(row) for worker in close} if close[1:] else first
    worker = min(again, key=again.get)
    return worker, {
        "compile_seconds": compile_seconds[worker],
        "first_seconds": first[worker],
        "n_threads": worker.n_threads,
        "tried": {str(tried.n_threads): seconds for tried, seconds in (first | again).items()},
        "seconds": [],
    }
