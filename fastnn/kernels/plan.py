"""A plan is a pass over mini-batches as a table, which `lead` carries out.

A `Plan` is groups of chains of units. The tasks of one group, of all its chains together, are
independent of one another, so threads take them in any order; between groups all threads meet.
A task of a chain runs the chain's units one after another, while what they share is in the
cache. A chain has a fixed number of tasks, or one for every so many rows of the mini-batch.

`lead` knows nothing of networks or precisions, so a process compiles it once. One call carries out
many mini-batches, on one thread or with `helpers`. Results do not depend on the threads: tasks
write to separate places, and sums across tasks are taken in a fixed order by a unit of a later
group.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from fastnn.kernels.cpu import helpers, jit, threads
from fastnn.kernels.cpu.helpers import CHAINS_AT, RUN_AT, STEP_AT, UNITS_AT
from fastnn.kernels.cpu.jit import MAX_ARGUMENTS, call_unit, quotient, view
from fastnn.kernels.units import N_STEP, ORDER, ROW, ROWS, SKIP

# The columns of the table of chains are the first of a chain's units and the one after its last;
# and its tasks, which are a fixed number or, where that is 0, one for each block of rows.
FIRST_UNIT, LAST_UNIT, TASKS, ROW_BLOCK = range(4)
N_CHAIN = 4
CHAIN_BYTES = 8 * N_CHAIN
# A row of the table of units has its address, the number of its arguments, and the arguments.
UNIT_BYTES = 8 * (2 + MAX_ARGUMENTS)
# A job (16,), int64, begins with the words that a slot has, too. After them it has the address of
# the table of groups; the rows of the data and of a mini-batch; the helpers that are wanted, and
# the address of the board where they look; and the mini-batches that are to be run, or the groups
# of them, or the tasks of those.
GROUPS_AT, N_ROWS, BATCH_SIZE, N_HELPERS, BOARD_AT = range(4, 9)
FIRST_BATCH, LAST_BATCH, FIRST_GROUP, LAST_GROUP, FIRST_TASK, LAST_TASK = range(9, 15)
N_JOB = 16


def lead(job_at):
    # Go through the groups of all mini-batches; helpers share those groups that have several tasks.
    job = view(job_at, N_JOB, np.int64)  # (16,)
    slot_at, looks = 0, 0
    if job[N_HELPERS] > 0:
        slot_at = take_slot(job[BOARD_AT], job, job[N_HELPERS])
    step = view(job[STEP_AT], N_STEP, np.int64)  # (8,)
    groups = view(job[GROUPS_AT], job[LAST_GROUP] + 1, np.int64)  # (groups + 1,)
    for batch in range(job[FIRST_BATCH], job[LAST_BATCH]):
        begin_batch(job, step, batch)
        for group in range(job[FIRST_GROUP], job[LAST_GROUP]):
            if step[SKIP] == 1:
                break
            chain, task = groups[group], job[FIRST_TASK]
            end = min(count_tasks(job, step, chain, groups[group + 1]), job[LAST_TASK])
            if slot_at != 0 and end - task > 1:
                looks = await_helpers(slot_at, job[N_HELPERS], looks)
                share(slot_at, chain, task, end)
                continue
            while task < end:
                call_run_task(job, task, chain)
                task += 1
    if slot_at != 0:
        leave_slot(slot_at)


def begin_batch(job, step, batch):
    step[ROW] = batch * job[BATCH_SIZE]
    step[ROWS] = min(job[BATCH_SIZE], job[N_ROWS] - step[ROW])
    if job[FIRST_GROUP] == 0:
        step[SKIP] = 0


def count_tasks(job, step, first, last):
    # The number of tasks that the chains from ``first`` to ``last`` have together.
    chains = view(job[CHAINS_AT], last * N_CHAIN, np.int64)  # (chains, 4)
    n_tasks = 0
    for chain in range(first * N_CHAIN, last * N_CHAIN, N_CHAIN):
        n_tasks += tasks_of(chains[chain + TASKS], chains[chain + ROW_BLOCK], step[ROWS])
    return n_tasks


def tasks_of(n_tasks, row_block, rows):
    return n_tasks if row_block == 0 else quotient(rows + row_block - 1, row_block)


def run_task(step, task, chains_at, units_at, chain):
    # Do one task, counted over the group's chains from ``chain`` on.
    rows = view(step, N_STEP, np.int64)[ROWS]
    while True:
        columns = view(chains_at + chain * CHAIN_BYTES, N_CHAIN, np.int64)  # (4,)
        n_tasks = tasks_of(columns[TASKS], columns[ROW_BLOCK], rows)
        if task < n_tasks:
            break
        task -= n_tasks
        chain += 1
    for i in range(columns[FIRST_UNIT], columns[LAST_UNIT]):
        at = units_at + i * UNIT_BYTES
        unit = view(at, 2, np.int64)  # (2,): address, number of arguments
        call_unit(unit[0], step, task, unit[1], at + 16)


@cache
def run_task_at():
    """The address of `run_task`."""
    return jit.unit(run_task, "run_task", lambda: jit.bindings(tasks_of))


def _lead_bindings():
    return jit.bindings(
        *helpers.leading_parts(),
        tasks_of,
        count_tasks,
        begin_batch,
        **helpers.atomic_names(),
    )


@cache
def lead_at():
    """The address of `lead`."""
    return jit.unit(lead, "lead", _lead_bindings)


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
            return threads.address(value)
        return int(value)

    def compile(self):
        """Freeze the tables."""
        self._tables = (
            np.array(self._groups, dtype=np.int64),
            np.array(self._chains, dtype=np.int64).reshape(-1, 4),
            np.array(self._units, dtype=np.int64).reshape(-1, 2 + MAX_ARGUMENTS),
        )
        self._job = np.zeros(N_JOB, dtype=np.int64)  # (16,)
        self._job[[RUN_AT, STEP_AT]] = run_task_at(), threads.address(self.step)
        self._job[[GROUPS_AT, CHAINS_AT, UNITS_AT]] = [*map(threads.address, self._tables)]
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
        return sum(-(-rows // block) if block else tasks for _, _, tasks, block in chains)

    def summon(self, n_threads, rows):
        """Wake or start helpers for mini-batches of that many rows; returns how many are of use."""
        if n_threads == 1:
            return 0
        # More threads than there are tasks at one time would be of no use.
        most_tasks = max(self.n_tasks(group, rows) for group in range(self.n_groups))
        n_helpers = min(n_threads, most_tasks) - 1
        return n_helpers if n_helpers > 0 and helpers.pool().summon(n_helpers) > 0 else 0

    def run(
        self,
        n_rows,
        batch_size,
        batches,
        n_threads=1,
        *,
        order=None,
        groups=None,
        tasks=(0, 2**62),
    ):
        """Run mini-batches ``batches[0]`` to ``batches[1]``, or a part of one of them."""
        self.step[ORDER] = 0 if order is None else threads.address(order)
        job = self._job.copy()
        job[[N_ROWS, BATCH_SIZE]] = n_rows, batch_size
        job[FIRST_BATCH : LAST_TASK + 1] = *batches, *(groups or (0, self.n_groups)), *tasks
        n_helpers = self.summon(n_threads, min(n_rows, batch_size))
        if n_helpers > 0:
            job[[N_HELPERS, BOARD_AT]] = n_helpers, helpers.pool().board_at
        threads.call(lead_at(), threads.address(job))
