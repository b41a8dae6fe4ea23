"""Where the time of a training step goes: each unit of the core's plan by itself, on one thread.

    python bench/bench_profile.py    # the same as: python bench/run.py profile

The units are those that a fit of the row adds to its plan, with the same arguments. Each is put
into a plan of its own and run over the row's mini-batches; what a plan without units takes is
taken away. Alone, a unit finds more of its data in the caches than among the others, so the parts
may add up to less than the step.
"""

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from time import perf_counter
from unittest.mock import patch

import numpy as np

import peak
import peers
from core import make_trainer
from fastnn.kernels.cpu.machine import CpuMachine
from fastnn.kernels.plan import Plan
from formatting import number, table
from processes import Process
from rows import ROWS

DTYPE = "float32"
# The units that are products of matrices, and those of them that make gradients.
GRADIENTS = ("weight_gradient", "part_gradient")
PRODUCTS = ("multiply_rows", *GRADIENTS)
PROFILED = ("XS", "S", "A", "M", "L")
# Seconds of mini-batches that are timed together, at most but for a single one.
SLICE = 0.2
# Steps are repeated many times on the same weights: they should hardly move.
LEARNING_RATE = 1e-9
# The purpose of a unit, by the beginning of its name.
PARTS = {
    "gather": "gather",
    "activate": "activation",
    "output": "output and loss",
    "backward": "gradient of the activation",
    "sum_parts": "sum of the parts' gradients",
    "segment_sums": "sum of squares (L2)",
    "update": "optimizer",
    "pack": "packing of weights",
    "begin": "begin",
    "finish": "finish",
}


@dataclass
class Entry:
    """A unit as a plan got it, with the chain that it is in."""

    unit: object
    arguments: dict
    chain: dict


@contextmanager
def recorded():
    """Within this, a dict from each plan that is built to its entries."""
    entries, chains = {}, {}
    add, chain = Plan.add, Plan.chain

    def record_chain(plan, **arguments):
        chains[plan] = arguments
        chain(plan, **arguments)

    def record_add(plan, unit, **arguments):
        entries.setdefault(plan, []).append(Entry(unit, arguments, chains[plan]))
        add(plan, unit, **arguments)

    with patch.object(Plan, "chain", record_chain), patch.object(Plan, "add", record_add):
        yield entries


def measure(dtypes, n_runs, workers=None):
    """Microseconds of a step, and of its parts, for each row."""
    with Process() as process:
        return {
            "dtype": DTYPE,
            "peak_gflops_one_core": peak.measure(DTYPE, 1),
            "rows": {name: process.call(measure_row, name, n_runs) for name in PROFILED},
        }


def measure_row(name, n_runs):
    """In a worker: seconds of a step and of each unit, by the median of runs in turn."""
    row = ROWS[name]
    X, y = peers.load(name, DTYPE)
    with recorded() as entries:
        trainer, network = make_trainer(row, X, y, LEARNING_RATE)
    order = np.random.RandomState(0).permutation(len(X))
    trainer.train_epoch(order)
    own = entries[trainer.plan]
    plans = [trainer.plan, plan_of(None), *(plan_of(entry) for entry in own)]
    n_batches = fitting_batches(trainer.plan, row, order)
    seconds = [[] for _ in plans]
    for _ in range(n_runs):
        for plan, times in zip(plans, seconds, strict=True):
            times.append(time_batches(plan, row, order, n_batches))
    step, empty, *units = map(median, seconds)
    return {
        "step": step,
        "batch_size": row.batch_size,
        "layer_units": network.layer_units,
        "units": [
            {
                "name": entry.unit.name,
                "part": part_of(entry, network.layer_units),
                "seconds": max(time - empty, 0.0),
                "flops": flops(entry, row.batch_size),
            }
            for entry, time in zip(own, units, strict=True)
        ],
    }


def plan_of(entry):
    """A plan of one unit, or of none."""
    plan = Plan(CpuMachine(1))
    plan.group()
    if entry is not None:
        plan.chain(**entry.chain)
        plan.add(entry.unit, **entry.arguments)
    return plan.compile()


def fitting_batches(plan, row, order):
    """Whole mini-batches that fit a slice of time."""
    n_batches = len(order) // row.batch_size
    return max(1, min(n_batches, int(SLICE / time_batches(plan, row, order, 1))))


def time_batches(plan, row, order, n_batches):
    """Seconds of a mini-batch."""
    start = perf_counter()
    plan.program.run(len(order), row.batch_size, (0, n_batches), order=order)
    return (perf_counter() - start) / n_batches


def part_of(entry, layer_units):
    """The purpose of the unit; for a matrix product its layer, too."""
    name = entry.unit.name
    if is_bias_gradient(entry):
        return "bias gradients"
    if name in PRODUCTS:
        kind, shape = product_of(entry)
        return f"{kind}, layer {list(pairwise(layer_units)).index(shape) + 1}"
    return next((part for start, part in PARTS.items() if name.startswith(start)), name)


def is_bias_gradient(entry):
    """Whether the unit multiplies a row of ones with the deltas."""
    return entry.unit.name in GRADIENTS and entry.arguments["a_stride"] == 0


def product_of(entry):
    """Which of a layer's three products it is, and the layer's inputs and outputs."""
    arguments = entry.arguments
    if entry.unit.name in GRADIENTS:
        return "weight gradient", (arguments["m"], arguments["n"])
    if arguments["bias_at"] is not None:
        return "forward", (arguments["k"], arguments["n"])
    return "delta", (arguments["n"], arguments["k"])


def flops(entry, rows):
    """Floating-point operations of a matrix product for so many rows; None for the rest."""
    if entry.unit.name not in PRODUCTS or is_bias_gradient(entry):
        return None
    _, (n_in, n_out) = product_of(entry)
    return 2 * rows * n_in * n_out


def markdown(result):
    """A line for each part, a column for each row."""
    rows = result["rows"]
    header = [f"µs of a step, {result['dtype']}, one thread (GFLOP/s; part of the sum)", *rows]
    parts = dict.fromkeys(unit["part"] for row in rows.values() for unit in row["units"])
    sums = {name: parts_of_row(row) for name, row in rows.items()}
    lines = [[part, *(part_cell(sums[name], part) for name in rows)] for part in ordered(parts)]
    totals = [sum(seconds for seconds, _ in of_row.values()) for of_row in sums.values()]
    lines.append(["**sum of the parts**", *(number(1e6 * total) for total in totals)])
    lines.append(["**the step as a whole**", *(step_cell(row) for row in rows.values())])
    peak_note = f"FMA peak of one core: {result['peak_gflops_one_core']:.0f} GFLOP/s."
    return f"{table(header, lines)}\n\n{peak_note}"


def ordered(parts):
    """Parts in the order of a step: matrix products by kind and layer, first of all."""
    kinds = ("forward", "delta", "weight gradient")
    products = sorted(
        (part for part in parts if part.split(", layer")[0] in kinds and ", layer" in part),
        key=lambda part: (kinds.index(part.split(", layer")[0]), part),
    )
    return products + [part for part in parts if part not in products]


def parts_of_row(row):
    """Seconds and operations of each part."""
    sums = {}
    for unit in row["units"]:
        seconds, operations = sums.get(unit["part"], (0.0, 0))
        sums[unit["part"]] = seconds + unit["seconds"], operations + (unit["flops"] or 0)
    return sums


def part_cell(sums, part):
    if part not in sums:
        return ""
    seconds, operations = sums[part]
    share = seconds / sum(seconds for seconds, _ in sums.values())
    gflops = f"{operations / seconds / 1e9:.0f}; " if operations and seconds else ""
    return f"{number(1e6 * seconds)} ({gflops}{100 * share:.0f} %)"


def step_cell(row):
    operations = sum(unit["flops"] or 0 for unit in row["units"])
    return f"{number(1e6 * row['step'])} ({operations / row['step'] / 1e9:.0f})"


if __name__ == "__main__":
    import run

    run.main(["profile", *sys.argv[1:]])
