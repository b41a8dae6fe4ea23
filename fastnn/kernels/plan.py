"""What a pass over mini-batches does, as a table; and the two roots that carry it out.

A `Plan` is groups of chains of units. The tasks of one group, of all its chains together, are
independent of one another, so threads take them in any order; between groups all threads meet.
A task of a chain runs the chain's units one after another, while what they share is in the
cache. A chain has a fixed number of tasks, or one for every so many rows of the mini-batch.

The root is one function, compiled twice: `serial` with ``range``, `parallel` with ``prange``.
It knows nothing of networks or precisions, so a process never needs more than these two.
Results do not depend on which runs, nor on the threads: tasks write to separate places, and
what is summed across tasks is summed in a fixed order by a unit of a later group.
"""

from functools import cache

import numpy as np
from numba import prange
from numba import types as nb

from fastnn.kernels import jit, simd, threads
from fastnn.kernels.jit import MAX_ARGUMENTS, call_unit
from fastnn.kernels.units import N_STEP, NEXT_TASK, ORDER, ROW, ROWS, SKIP

# Columns of the table of chains: its units, and its tasks: a fixed number, or a block of rows.
FIRST_UNIT, LAST_UNIT, TASKS, ROW_BLOCK = range(4)


def run(groups, chains, units, step, n_rows, batch_size, bounds, n_threads):
    # groups (g + 1,): first chain of each; chains (c, 4); units (u, 18): address, number of
    # arguments, arguments.
    # bounds: first and last mini-batch, first and last group, first and last task.
    for batch in range(bounds[0], bounds[1]):
        step[ROW] = batch * batch_size
        step[ROWS] = min(batch_size, n_rows - step[ROW])
        if bounds[2] == 0:
            step[SKIP] = 0
        for group in range(bounds[2], bounds[3]):
            if step[SKIP] == 1:
                break
            first, last = groups[group], groups[group + 1]
            n_tasks = 0
            for chain in range(first, last):
                n_tasks += tasks_of(chains[chain], step[ROWS])
            begin, end = bounds[4], min(n_tasks, bounds[5])
            if end - begin <= 1:
                for task in range(begin, end):
                    run_task(chains, units, step, first, task)
            else:
                step[NEXT_TASK] = begin
                for _ in each_thread(n_threads):
                    task = fetch_add(step, NEXT_TASK)
                    while task < end:
                        run_task(chains, units, step, first, task)
                        task = fetch_add(step, NEXT_TASK)


def tasks_of(chain, rows):
    block = chain[ROW_BLOCK]
    return chain[TASKS] if block == 0 else (rows + block - 1) // block


def run_task(chains, units, step, chain, task):
    # Do one task, counted over the group's chains from ``chain`` on.
    while task >= tasks_of(chains[chain], step[ROWS]):
        task -= tasks_of(chains[chain], step[ROWS])
        chain += 1
    for i in range(chains[chain, FIRST_UNIT], chains[chain, LAST_UNIT]):
        call_unit(units[i, 0], step.ctypes.data, task, units[i, 1], units[i].ctypes.data + 16)


@cache
def root(*, parallel):
    """The serial or the parallel root, compiled or loaded on first need."""
    name = "run_parallel" if parallel else "run_serial"
    tasks = jit.bind(tasks_of, "tasks_of")
    task = jit.bind(run_task, "run_task", tasks_of=tasks)
    vector = nb.Array(nb.int64, 1, "C")
    table = nb.Array(nb.int64, 2, "C")
    signature = nb.void(
        vector, table, table, vector, nb.int64, nb.int64, nb.UniTuple(nb.int64, 6), nb.int64
    )
    return jit.root(
        run, name, signature, parallel=parallel, each_thread=prange if parallel else range,
        tasks_of=tasks, run_task=task, fetch_add=simd.fetch_add,
    )  # fmt: skip


@cache
def parallel_root_available():
    """Load the parallel root, which starts Numba's threads; False where it has none to start."""
    try:
        root(parallel=True)
    except ValueError:  # no threading layer can be loaded on this machine
        return False
    return True


class Plan:
    """A table of groups of chains of units, and the arrays that their arguments point into."""

    def __init__(self):
        self._groups = [0]
        self._chains = []
        self._units = []
        self._arrays = []
        self.step = np.zeros(N_STEP, dtype=np.int64)

    def group(self):
        """Begin a group: its tasks start when all tasks of the one before are done."""
        self._groups.append(self._groups[-1])

    def chain(self, *, tasks=0, row_block=0):
        """Begin a chain of the current group."""
        self._chains.append([len(self._units), len(self._units), tasks, row_block])
        self._groups[-1] += 1

    def add(self, unit, **arguments):
        """Add a unit to the current chain; arrays stand for their addresses."""
        if set(arguments) != set(unit.fields):
            raise TypeError(f"{unit.name} takes {unit.fields}, got {tuple(arguments)}")
        words = [self._word(arguments[field]) for field in unit.fields]
        padding = [0] * (MAX_ARGUMENTS - len(words))
        self._units.append([unit.address, len(words), *words, *padding])
        self._chains[-1][LAST_UNIT] += 1

    def _word(self, value):
        """An argument as an integer; an array, kept alive, as its address."""
        if value is None:
            return 0
        if isinstance(value, np.ndarray):
            if not value.dtype.isnative:
                raise TypeError(f"kernels read native arrays, got {value.dtype}")
            self._arrays.append(value)
            return value.__array_interface__["data"][0]
        return int(value)

    def compile(self):
        """Freeze the tables."""
        self._tables = (
            np.array(self._groups, dtype=np.int64),
            np.array(self._chains, dtype=np.int64).reshape(-1, 4),
            np.array(self._units, dtype=np.int64).reshape(-1, 2 + MAX_ARGUMENTS),
        )
        return self

    @property
    def n_groups(self):
        return len(self._groups) - 1

    def n_tasks(self, group, rows):
        """Tasks of a group for a mini-batch of that many rows."""
        chains = self._chains[self._groups[group] : self._groups[group + 1]]
        return sum(tasks_of(chain, rows) for chain in chains)

    def run(
        self, n_rows, batch_size, batches, n_threads=1, *, order=None, groups=None,
        tasks=(0, 2**62),
    ):  # fmt: skip
        """Run mini-batches ``batches[0]`` to ``batches[1]``, or a part of one of them."""
        self.step[ORDER] = 0 if order is None else order.__array_interface__["data"][0]
        bounds = (*batches, *(groups or (0, self.n_groups)), *tasks)
        with threads.team(n_threads) as team:
            run_root = root(parallel=team > 1)
            run_root(*self._tables, self.step, n_rows, batch_size, bounds, team)
