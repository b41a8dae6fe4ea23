"""Measure training times side by side.

    python bench/run.py             # every row
    python bench/run.py XS D        # these

Prints a table and writes bench/results/<row>.json. The rules are in bench/README.md.
"""

import argparse
import json
import os
import platform
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import llvmlite.binding as llvm
from threadpoolctl import threadpool_info

import peak
import peers
import table
from rows import ROWS

RESULTS = Path(__file__).parent / "results"
DTYPES = ("float32", "float64")
MIN_RUNS = 7
QUIET = 0.5
PACKAGES = ("fastnn", "numba", "numpy", "scipy", "scikit-learn", "torch")


def measure_row(row, dtypes, n_runs):
    """Measure a row with every peer; a dict for its JSON file."""
    machine = describe_machine()
    measured = []
    for dtype in dtypes:
        peak_one_core = peak.measure(dtype, 1)
        peaks = [peak_one_core, peak.measure(dtype)]
        measured.append({"dtype": dtype, **measure_peers(row, dtype, n_runs)})
        peaks.append(peak.measure(dtype))
        measured[-1]["peak_gflops"] = max(peaks)
        measured[-1]["peak_gflops_one_core"] = peak_one_core
    return {
        "row": row.name,
        "title": row.title,
        "batch_size": row.batch_size,
        "n_epochs": row.n_epochs,
        "unit": row.unit,
        "machine": machine,
        "measured": measured,
    }


def measure_peers(row, dtype, n_runs):
    """Time every peer in turn, n_runs times over."""
    X, y = peers.load(row.name, dtype)
    layer_units = row.layer_units(X, y)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(peers.Worker(peer)) for peer in peers.available_peers().values()
        ]
        entries = {worker: first_runs(worker, row, dtype) for worker in workers}
        for _ in range(n_runs):
            for worker, entry in entries.items():
                seconds, loss = worker.train(row, dtype, entry["n_threads"])
                entry["seconds"].append(seconds)
                entry["loss"] = loss
    return {
        "layer_units": layer_units,
        "n_flops": row.n_flops(len(X), layer_units),
        "n_units": row.n_units_of_time(len(X)),
        "peers": {worker.peer.name: entry for worker, entry in entries.items()},
    }


def first_runs(worker, row, dtype):
    """Compile, run once unmeasured, and find the best thread count."""
    compile_seconds = worker.warm_up(dtype)
    counts = worker.peer.thread_counts
    first_seconds, _ = worker.train(row, dtype, counts[0])
    n_threads = min(counts, key=lambda count: worker.train(row, dtype, count)[0])
    return {
        "compile_seconds": compile_seconds,
        "first_seconds": first_seconds,
        "n_threads": n_threads,
        "seconds": [],
    }


def describe_machine():
    """What the numbers were measured on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu_name(),
        "llvm_cpu": llvm.get_host_cpu_name(),
        "n_cores": peak.n_cores(),
        "load_average": load_average(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": installed_versions(
            "fastnn", "numba", "numpy", "scipy", "scikit-learn", "torch"
        ),
        "blas": [
            f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}".strip()
            for pool in threadpool_info()
            if pool["user_api"] == "blas"
        ],
    }


def load_average():
    """Processes that ran in the last minute, on average; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def cpu_name():
    """The CPU's name as it gives it itself."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def installed_versions(*names):
    """Versions of those packages that are installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def main():
    parser = argparse.ArgumentParser(description="Measure training times side by side.")
    parser.add_argument("rows", nargs="*", default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--dtype", choices=DTYPES, help="one precision only, and no JSON")
    parser.add_argument("--runs", type=int, default=MIN_RUNS, help="default: %(default)s")
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - set(ROWS)
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if arguments.runs < MIN_RUNS:
        parser.error(f"--runs must be at least {MIN_RUNS}, got {arguments.runs}")

    load = load_average()
    if load is not None and load > QUIET:
        print(f"This machine is busy (load average {load:.1f}): the times will not be right.\n")
    dtypes = (arguments.dtype,) if arguments.dtype else DTYPES
    for name in arguments.rows:
        result = measure_row(ROWS[name], dtypes, arguments.runs)
        print(table.markdown([result]), flush=True)
        if not arguments.dtype:
            RESULTS.mkdir(exist_ok=True)
            path = RESULTS / f"{name}.json"
            path.write_text(json.dumps(result, indent=1) + "\n")
            print(f"\nwritten to {path}\n")


if __name__ == "__main__":
    main()
