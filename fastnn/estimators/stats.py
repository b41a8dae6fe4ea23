"""The record of what was trained and how long it took, for ``python -m fastnn --stats``.

Recording is on where the environment variable ``FASTNN_STATS`` names a folder. Worker processes
inherit it, so their fits are counted too; every thread of every process has a file of its own.
"""

import json
import os
import threading
from collections import Counter
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from time import perf_counter

from sklearn.utils.validation import _num_samples

VARIABLE = "FASTNN_STATS"
# Numbers of rows that differ by this part of them, and one, are those of folds of one data set.
SAME_ROWS = 0.02
COLUMNS = ("estimator", "rows x features", "layers", "fits", "iterations", "seconds")

_OFF = nullcontext()


def recorded(model, X, incremental=False):
    """A context manager to fit a model in; where recording is off it does nothing."""
    folder = os.environ.get(VARIABLE)
    return _record(folder, model, X, incremental) if folder else _OFF


@contextmanager
def _record(folder, model, X, incremental):
    begin = perf_counter()
    yield
    seconds = perf_counter() - begin
    # A Perceptron has one layer, transposed.
    coefs = getattr(model, "coefs_", None) or [model.coef_.T]
    units = [model.n_features_in_, *(coef.shape[1] for coef in coefs)]
    is_epoch = incremental and getattr(model, "solver", None) != "lbfgs"
    entry = {
        "estimator": type(model).__name__ + (".partial_fit" if incremental else ""),
        "rows": _num_samples(X),
        "layers": [int(n_units) for n_units in units],
        "iterations": 1 if is_epoch else int(model.n_iter_),
        "seconds": seconds,
        # One call of partial_fit ends without a reason.
        "stop_reason": None if incremental else getattr(model, "stop_reason_", None),
        "pid": os.getpid(),
    }
    path = Path(folder, f"{os.getpid()}-{threading.get_ident()}.jsonl")
    # A worker may outlive the program that reads its records.
    with suppress(OSError), path.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def read(folder):
    """All entries recorded in a folder; without those of which a part only was written."""
    entries = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        with suppress(OSError):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError):
                    entries.append(json.loads(line))
    return entries


def groups(entries):
    """Lists of entries of equal estimators and layers and about as many rows, small to large."""

    def key(entry):
        return entry["estimator"], entry["layers"], entry["rows"]

    found = []
    for entry in sorted(entries, key=key):
        *what, rows = key(entry)
        if found:
            *last_what, first_rows = key(found[-1][0])
            if what == last_what and rows <= first_rows * (1 + SAME_ROWS) + 1:
                found[-1].append(entry)
                continue
        found.append([entry])
    return found


def _cells(group):
    """A group's line of the table."""
    first, last = group[0], group[-1]
    rows = " - ".join(f"{n:,}" for n in dict.fromkeys((first["rows"], last["rows"])))
    return (
        first["estimator"],
        f"{rows} x {first['layers'][0]:,}",
        "-".join(map(str, first["layers"])),
        f"{len(group):,}",
        f"{sum(entry['iterations'] for entry in group):,}",
        f"{sum(entry['seconds'] for entry in group):.2f}",
    )


def table(entries, wall_seconds):
    """The summary, as text: a line for each group, and totals."""
    if not entries:
        return f"fastnn: no fits in {wall_seconds:.2f} s."
    lines = [COLUMNS, *map(_cells, groups(entries))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(
            # Numbers to the right.
            f"{cell:>{width}}" if i >= 3 else f"{cell:<{width}}"
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in lines
    ]
    seconds = sum(entry["seconds"] for entry in entries)
    fits = "fit" if len(entries) == 1 else "fits"
    text.append(f"{len(entries):,} {fits} of {seconds:.2f} s, in {wall_seconds:.2f} s of program")
    elsewhere = [entry["pid"] for entry in entries if entry["pid"] != os.getpid()]
    if elsewhere:
        text.append(f"{len(elsewhere):,} of them in {len(set(elsewhere))} other processes")
    reasons = Counter(entry["stop_reason"] for entry in entries if entry["stop_reason"])
    text += [f"{n:,} stopped: {reason}" for reason, n in reasons.most_common()]
    return "\n".join(text)
