"""What a pass over mini-batches does, as a table; and the two roots that carry it out.

A `Plan` is groups of chains of units. The tasks of one group, of all its chains together, are
independent of one another, so threads take them in any order; between groups all threads meet.
A task of a chain runs the chain's units one after another, while what they share is in the
cache. A chain has a fixed number of tasks, or one for every so many rows of the mini-batch.

What runs a plan, `run_team`, knows nothing of networks or precisions, so a process never needs
more than this one: serially, or by as many threads as Numba's threading layer gives it, in one
parallel region for all the mini-batches of a call. Results do not depend on the threads: tasks
write to separate places, and what is summed across tasks is summed in a fixed order by a unit of
a later group.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from fastnn.kernels import atomics, jit, threads
from fastnn.kernels.jit import MAX_ARGUMENTS, call_unit, call_with_three, quotient, view
from fastnn.kernels.units import N_STEP, ORDER, ROW, ROWS, SKIP

# Columns of the table of chains: its units, and its tasks: a fixed number, or a block of rows.
FIRST_UNIT, LAST_UNIT, TASKS, ROW_BLOCK = range(4)
N_CHAIN = 4
CHAIN_BYTES = 8 * N_CHAIN
# A row of the table of units: address, number of arguments, arguments.
UNIT_BYTES = 8 * (2 + MAX_ARGUMENTS)
# Places in a job (56,), int64. A cache line apart, as different threads write them: threads that
# have come, the call (see `lead`), the next task, threads that have finished.
COME, CALL, NEXT, FINISHED = 0, 8, 16, 24
# What the call is for: its first chain and the end of its tasks.
CHAIN, END = 32, 33
# What the job is: addresses of `run_task`, of the tables and of the step's state; the rows of the
# data and of a mini-batch; the threads that may come; its mini-batches, groups of them, and tasks
# of those.
RUN_AT, GROUPS_AT, CHAINS_AT, UNITS_AT, STEP_AT, N_ROWS, BATCH_SIZE, N_THREADS = range(40, 48)
FIRST_BATCH, LAST_BATCH, FIRST_GROUP, LAST_GROUP, FIRST_TASK, LAST_TASK = range(48, 54)
N_JOB = 56
# A call is its number times this power of two, plus the threads that are called; 0 is none yet.
CALLS = 1024
STOP = -1
# Looks at a word, a power of two, before a thread that waits gives way to others.
PATIENCE = 2048


def run_team(args_at, counts_at, strides_at, job_at):
    # Take part in a job, as often as counts (1,) says: the arguments with which a threading layer
    # of Numba calls each of its threads. Whoever comes first leads; whoever comes late, or never,
    # is not waited for. So nothing depends on when, or whether, these run side by side.
    job = view(job_at, N_JOB, np.int64)  # (56,)
    for _ in range(view(counts_at, 1, np.int64)[0]):
        place = fetch_add(job, COME)
        if place == 0:
            lead(job)
        else:
            follow(job, place)


def lead(job):
    # Go through the groups; for one with several tasks call those who have come by now. Before
    # the first such, a moment for threads that are on their way.
    calls, looks = 0, 0
    step = view(job[STEP_AT], N_STEP, np.int64)  # (8,)
    groups = view(job[GROUPS_AT], job[LAST_GROUP] + 1, np.int64)  # (groups + 1,)
    for batch in range(job[FIRST_BATCH], job[LAST_BATCH]):
        begin_batch(job, step, batch)
        for group in range(job[FIRST_GROUP], job[LAST_GROUP]):
            if step[SKIP] == 1:
                break
            chain, task = groups[group], job[FIRST_TASK]
            end = min(count_tasks(job, step, chain, groups[group + 1]), job[LAST_TASK])
            while end - task > 1 and looks < PATIENCE and load_word(job, COME) < job[N_THREADS]:
                looks += 1
                pause()
            come = load_word(job, COME)
            if end - task <= 1 or come == 1:
                while task < end:
                    call_run_task(job, task, chain)
                    task += 1
                continue
            job[CHAIN], job[END], job[NEXT], job[FINISHED] = chain, end, task, 0
            calls += 1
            store_word(job, CALL, calls * CALLS + come)
            take_tasks(job)
            waits = 0
            while load_word(job, FINISHED) < come - 1:
                waits += 1
                wait(waits)
    store_word(job, CALL, STOP)


def follow(job, place):
    # Take tasks whenever a call counts this place in. The leader waits for those that it has
    # called and for no other, so a call stands still while one that is called reads it.
    last, looks = 0, 0
    while last != STOP:
        call = load_word(job, CALL)
        if call == last:
            looks += 1
            wait(looks)
            continue
        last, looks = call, 0
        if call != STOP and place < call & (CALLS - 1):
            take_tasks(job)
            fetch_add(job, FINISHED)


def take_tasks(job):
    task = fetch_add(job, NEXT)
    while task < job[END]:
        call_run_task(job, task, job[CHAIN])
        task = fetch_add(job, NEXT)


def wait(looks):
    pause()
    if looks & (PATIENCE - 1) == 0:
        give_way()


def begin_batch(job, step, batch):
    step[ROW] = batch * job[BATCH_SIZE]
    step[ROWS] = min(job[BATCH_SIZE], job[N_ROWS] - step[ROW])
    if job[FIRST_GROUP] == 0:
        step[SKIP] = 0


def count_tasks(job, step, first, last):
    # Tasks of the chains from ``first`` to ``last`` together.
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


def call_run_task(job, task, chain):
    # By its address: it is called from several places, and is compiled once.
    call_with_three(job[RUN_AT], job[STEP_AT], task, job[CHAINS_AT], job[UNITS_AT], chain)


def _bindings(*parts, **names):
    """``names``, and the parts compiled in this order: each may call those before it."""
    for part in parts:
        names[part.__name__] = jit.bind(part, part.__name__, **names)
    return names


@cache
def run_task_at():
    """The address of `run_task`."""
    return jit.unit(run_task, "run_task", lambda: _bindings(tasks_of))


def _team_bindings():
    names = ("fetch_add", "load_word", "store_word", "pause", "give_way")
    return _bindings(
        tasks_of, call_run_task, count_tasks, begin_batch, wait, take_tasks, follow, lead,
        **{name: getattr(atomics, name) for name in names},
    )  # fmt: skip


@cache
def run_team_at():
    """The address of `run_team`."""
    return jit.unit(run_team, "run_team", _team_bindings)


def _address(array):
    return array.__array_interface__["data"][0]


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
            return _address(value)
        return int(value)

    def compile(self):
        """Freeze the tables."""
        self._tables = (
            np.array(self._groups, dtype=np.int64),
            np.array(self._chains, dtype=np.int64).reshape(-1, 4),
            np.array(self._units, dtype=np.int64).reshape(-1, 2 + MAX_ARGUMENTS),
        )
        self._job = np.zeros(N_JOB, dtype=np.int64)  # (56,)
        tables = map(_address, self._tables)
        self._job[RUN_AT : STEP_AT + 1] = run_task_at(), *tables, _address(self.step)
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

    def run(
        self, n_rows, batch_size, batches, n_threads=1, *, order=None, groups=None,
        tasks=(0, 2**62),
    ):  # fmt: skip
        """Run mini-batches ``batches[0]`` to ``batches[1]``, or a part of one of them."""
        self.step[ORDER] = 0 if order is None else _address(order)
        job = self._job.copy()
        job[[N_ROWS, BATCH_SIZE]] = n_rows, batch_size
        job[FIRST_BATCH : LAST_TASK + 1] = *batches, *(groups or (0, self.n_groups)), *tasks
        with threads.team(n_threads) as size:
            job[N_THREADS] = size
            threads.call(run_team_at(), _address(job), size)
