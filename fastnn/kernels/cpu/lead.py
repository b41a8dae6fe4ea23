"""The leader: a thread that goes through a plan, and has helpers take part in its tasks.

`lead` knows nothing of networks or precisions, so a process compiles it once. One call carries out
many mini-batches, on one thread or with `helpers`.
"""

from functools import cache

import numpy as np

from fastnn.kernels.cpu import helpers, jit, threads
from fastnn.kernels.cpu.helpers import CHAINS_AT, RUN_AT, STEP_AT, UNITS_AT
from fastnn.kernels.cpu.jit import call_unit
from fastnn.kernels.memory import view
from fastnn.kernels.plan import (
    FIRST_UNIT,
    LAST_UNIT,
    N_CHAIN,
    N_STEP,
    N_UNIT,
    ORDER,
    ROW,
    ROW_BLOCK,
    ROWS,
    SKIP,
    TASKS,
    tasks_of,
)

CHAIN_BYTES, UNIT_BYTES = 8 * N_CHAIN, 8 * N_UNIT
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


class Program:
    """A plan's tables, for `lead`.

    Parameters
    ----------
    tables : fastnn.kernels.plan.Tables

    Attributes
    ----------
    step : ndarray of shape (N_STEP,), int64
        The state of the step.
    """

    def __init__(self, tables):
        self.tables = tables
        self.step = np.zeros(N_STEP, dtype=np.int64)
        self._job = np.zeros(N_JOB, dtype=np.int64)  # (16,)
        self._job[[RUN_AT, STEP_AT]] = run_task_at(), threads.address(self.step)
        for place, table in (
            (GROUPS_AT, tables.groups),
            (CHAINS_AT, tables.chains),
            (UNITS_AT, tables.units),
        ):
            self._job[place] = threads.address(table)

    def tell(self, **words):
        """Give the late arguments, as integers."""
        for name, word in words.items():
            self.tables.units[self.tables.late[name]] = word

    def summon(self, n_threads, rows):
        """Wake or start helpers for mini-batches of that many rows; returns how many are of use."""
        if n_threads == 1:
            return 0
        # More threads than there are tasks at one time would be of no use.
        n_helpers = min(n_threads, self.tables.most_tasks(rows)) - 1
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
        job[FIRST_BATCH : LAST_TASK + 1] = *batches, *(groups or (0, self.tables.n_groups)), *tasks
        n_helpers = self.summon(n_threads, min(n_rows, batch_size))
        if n_helpers > 0:
            job[[N_HELPERS, BOARD_AT]] = n_helpers, helpers.pool().board_at
        threads.call(lead_at(), threads.address(job))
