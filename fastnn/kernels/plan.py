"""What a pass over mini-batches does, as a table; and the two roots that carry it out.

A `Plan` is groups of chains of units. The tasks of one group, of all its chains together, are
independent of one another, so threads take them in any order; between groups all threads meet.
A task of a chain runs the chain's units one after another, while what they share is in the
cache. A chain has a fixed number of tasks, or one for every so many rows of the mini-batch.

The roots know nothing of networks or precisions, so a process never needs more than these two:
`run_serial`, and `run_parallel`, which is one parallel region for all the mini-batches of a call.
Results do not depend on which runs, nor on the threads: tasks write to separate places, and
what is summed across tasks is summed in a fixed order by a unit of a later group.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import prange
from numba import types as nb

from fastnn.kernels import atomics, jit, threads
from fastnn.kernels.jit import MAX_ARGUMENTS, call_unit, call_with_three, view
from fastnn.kernels.units import N_STEP, ORDER, ROW, ROWS, SKIP

# Columns of the table of chains: its units, and its tasks: a fixed number, or a block of rows.
FIRST_UNIT, LAST_UNIT, TASKS, ROW_BLOCK = range(4)
N_CHAIN = 4
CHAIN_BYTES = 8 * N_CHAIN
# A row of the table of units: address, number of arguments, arguments.
UNIT_BYTES = 8 * (2 + MAX_ARGUMENTS)
# The bounds of a run (6,): its mini-batches, groups of them, and tasks of those.
FIRST_BATCH, LAST_BATCH, FIRST_GROUP, LAST_GROUP, FIRST_TASK, LAST_TASK = range(6)
# Words of a team (48,), a cache line apart where different threads write them: threads that have
# come, the call (see `lead`), the next task, threads that have finished; and what the call is
# for: its first chain and the end of its tasks.
COME, CALL, NEXT, FINISHED, CHAIN, END = 0, 8, 16, 24, 32, 33
N_TEAM = 48
# A call is its number times this, plus the threads that are called; 0 is none yet.
CALLS = 1024
STOP = -1
# Looks at a word before a thread that waits gives way to others.
PATIENCE = 2000


def run_serial(run_at, groups, chains, units, step, n_rows, batch_size, bounds):
    # run_at: the address of run_task. groups (g + 1,): first chain of each; chains (c, 4); units
    # (u, 18): address, number of arguments, arguments.
    for batch in range(bounds[FIRST_BATCH], bounds[LAST_BATCH]):
        begin_batch(step, batch, n_rows, batch_size, bounds)
        for group in range(bounds[FIRST_GROUP], bounds[LAST_GROUP]):
            if step[SKIP] == 1:
                break
            begin, end = tasks_of_group(groups, chains, group, step, bounds)
            for task in range(begin, end):
                call_run_task(run_at, step, task, chains, units, groups[group])


def run_parallel(run_at, groups, chains, units, step, n_rows, batch_size, bounds, team, n_threads):
    # Whoever comes first leads; whoever comes late, or never, is not waited for. So nothing
    # depends on when, or whether, the threading layer runs these iterations side by side.
    for _ in prange(n_threads):
        place = fetch_add(team, COME)
        if place == 0:
            lead(run_at, groups, chains, units, step, n_rows, batch_size, bounds, team, n_threads)
        else:
            follow(run_at, chains, units, step, team, place)


def lead(run_at, groups, chains, units, step, n_rows, batch_size, bounds, team, n_threads):
    # Go through the groups; for one with several tasks call those who have come by now. Before
    # the first such, a moment for threads that are on their way.
    calls, looks = 0, 0
    for batch in range(bounds[FIRST_BATCH], bounds[LAST_BATCH]):
        begin_batch(step, batch, n_rows, batch_size, bounds)
        for group in range(bounds[FIRST_GROUP], bounds[LAST_GROUP]):
            if step[SKIP] == 1:
                break
            begin, end = tasks_of_group(groups, chains, group, step, bounds)
            while end - begin > 1 and looks < PATIENCE and load_word(team, COME) < n_threads:
                looks += 1
                pause()
            come = load_word(team, COME)
            if end - begin <= 1 or come == 1:
                for task in range(begin, end):
                    call_run_task(run_at, step, task, chains, units, groups[group])
                continue
            team[CHAIN], team[END], team[NEXT], team[FINISHED] = groups[group], end, begin, 0
            calls += 1
            store_word(team, CALL, calls * CALLS + come)
            take_tasks(run_at, chains, units, step, team)
            waits = 0
            while load_word(team, FINISHED) < come - 1:
                waits += 1
                wait(waits)
    store_word(team, CALL, STOP)


def follow(run_at, chains, units, step, team, place):
    # Take tasks whenever a call counts this place in. The leader waits for those that it has
    # called and for no other, so a call stands still while one that is called reads it.
    last, looks = 0, 0
    while last != STOP:
        call = load_word(team, CALL)
        if call == last:
            looks += 1
            wait(looks)
            continue
        last, looks = call, 0
        if call != STOP and place < call % CALLS:
            take_tasks(run_at, chains, units, step, team)
            fetch_add(team, FINISHED)


def take_tasks(run_at, chains, units, step, team):
    task = fetch_add(team, NEXT)
    while task < team[END]:
        call_run_task(run_at, step, task, chains, units, team[CHAIN])
        task = fetch_add(team, NEXT)


def wait(looks):
    pause()
    if looks % PATIENCE == 0:
        give_way()


def begin_batch(step, batch, n_rows, batch_size, bounds):
    step[ROW] = batch * batch_size
    step[ROWS] = min(batch_size, n_rows - step[ROW])
    if bounds[FIRST_GROUP] == 0:
        step[SKIP] = 0


def tasks_of_group(groups, chains, group, step, bounds):
    # First and one past the last task to do, counted over the group's chains.
    n_tasks = 0
    for chain in range(groups[group], groups[group + 1]):
        n_tasks += tasks_of(chains[chain], step[ROWS])
    return bounds[FIRST_TASK], min(n_tasks, bounds[LAST_TASK])


def tasks_of(chain, rows):
    block = chain[ROW_BLOCK]
    return chain[TASKS] if block == 0 else (rows + block - 1) // block


def run_task(step, task, chains_at, units_at, chain):
    # Do one task, counted over the group's chains from ``chain`` on. A unit itself, so that both
    # roots share its code.
    rows = view(step, N_STEP, np.int64)[ROWS]
    while True:
        columns = view(chains_at + chain * CHAIN_BYTES, N_CHAIN, np.int64)  # (4,)
        n_tasks = tasks_of(columns, rows)
        if task < n_tasks:
            break
        task -= n_tasks
        chain += 1
    for i in range(columns[FIRST_UNIT], columns[LAST_UNIT]):
        at = units_at + i * UNIT_BYTES
        unit = view(at, 2, np.int64)  # (2,): address, number of arguments
        call_unit(unit[0], step, task, unit[1], at + 16)


def call_run_task(run_at, step, task, chains, units, chain):
    call_with_three(run_at, step.ctypes.data, task, chains.ctypes.data, units.ctypes.data, chain)


@cache
def root(*, parallel):
    """The serial or the parallel root, compiled or loaded on first need."""
    names = {
        name: getattr(atomics, name)
        for name in ("fetch_add", "load_word", "store_word", "pause", "give_way")
    }
    # In this order: each may call those before it.
    parts = [tasks_of, call_run_task, tasks_of_group, begin_batch]
    if parallel:
        parts += [wait, take_tasks, follow, lead]
    for part in parts:
        names[part.__name__] = jit.bind(part, part.__name__, **names)
    vector = nb.Array(nb.int64, 1, "C")
    table = nb.Array(nb.int64, 2, "C")
    arguments = [nb.int64, vector, table, table, vector, nb.int64, nb.int64, vector]
    if parallel:
        return jit.root(run_parallel, nb.void(*arguments, vector, nb.int64), parallel=True, **names)
    return jit.root(run_serial, nb.void(*arguments), parallel=False, **names)


@cache
def run_task_at():
    """The address of `run_task`."""
    return jit.unit(run_task, "run_task", lambda: {"tasks_of": jit.bind(tasks_of, "tasks_of")})


@cache
def parallel_root_available():
    """Load the parallel root, which starts Numba's threads; False where it has none to start."""
    try:
        root(parallel=True)
    except ValueError:  # no threading layer can be loaded on this machine
        return False
    return True


@dataclass(frozen=True)
class Late:
    """An argument that a plan is told before each run, by this name."""

    name: str


class Plan:
    """A table of groups of chains of units, and the arrays that their arguments point into."""

    def __init__(self):
        self._late = {}
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
        for place, field in enumerate(unit.fields, start=2):
            if isinstance(arguments[field], Late):
                self._late[arguments[field].name] = (len(self._units), place)
        padding = [0] * (MAX_ARGUMENTS - len(words))
        self._units.append([unit.address, len(words), *words, *padding])
        self._chains[-1][LAST_UNIT] += 1

    def _word(self, value):
        """An argument as an integer; an array, kept alive, as its address."""
        if value is None or isinstance(value, Late):
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

    def tell(self, **words):
        """Give the late arguments, as integers."""
        for name, word in words.items():
            self._tables[2][self._late[name]] = word

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
        bounds = np.array(
            (*batches, *(groups or (0, self.n_groups)), *tasks), dtype=np.int64
        )  # (6,)
        arguments = (run_task_at(), *self._tables, self.step, n_rows, batch_size, bounds)
        with threads.team(n_threads) as size:
            if size == 1:
                root(parallel=False)(*arguments)
            else:
                team = np.zeros(N_TEAM, dtype=np.int64)  # (48,)
                root(parallel=True)(*arguments, team, size)
