"""Measure, side by side with other libraries where there are any.

    python bench/run.py             # every row
    python bench/run.py XS D        # these

Prints tables and writes bench/results/<row>.json. The rules are in bench/README.md.
"""

import argparse
import json
import signal
import sys
from time import perf_counter

import machine
import table
from measures import MEASURES
from peers import Workers

DTYPES = ("float32", "float64")
MIN_RUNS = 7


def main(argv=None):
    arguments = parse_arguments(argv)
    # As an exception, which ends the processes that measure and takes files that are in use away.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    machine.warn_if_busy()
    dtypes = (arguments.dtype,) if arguments.dtype else DTYPES
    n_runs = 1 if arguments.quick else arguments.runs
    with Workers() as workers:
        for name in arguments.rows:
            start = perf_counter()
            result = {"row": name, "machine": machine.describe()}
            result |= MEASURES[name].measure(dtypes, n_runs, workers)
            if not (arguments.dtype or arguments.quick):
                store(name, result)
            print(MEASURES[name].markdown(result), end="\n\n")
            print(f"Row {name} took {perf_counter() - start:.0f} s.\n", flush=True)


def store(name, result):
    """Write a row's JSON file."""
    table.RESULTS.mkdir(exist_ok=True)
    path = table.RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"Written to {path}.\n")


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description="Measure, side by side.")
    parser.add_argument(
        "rows", nargs="*", default=list(MEASURES), metavar="ROW", help=", ".join(MEASURES)
    )
    parser.add_argument("--dtype", choices=DTYPES, help="one precision only, and no JSON")
    parser.add_argument("--runs", type=int, default=MIN_RUNS, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="one run of each, and no JSON")
    arguments = parser.parse_args(argv)
    unknown = set(arguments.rows) - set(MEASURES)
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    if arguments.runs < MIN_RUNS:
        parser.error(f"--runs must be at least {MIN_RUNS}, got {arguments.runs}")
    return arguments


if __name__ == "__main__":
    main()
