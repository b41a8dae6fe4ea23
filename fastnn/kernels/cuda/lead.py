"""The leader on a GPU: what every thread of every block does to go through a plan.

Blocks take the tasks of a group in turn, and all threads of a block do a task together. Between
groups all blocks meet. The templates leave open what a device's threads are; see compiler.py.
"""

import numpy as np

from fastnn.kernels.memory import quotient, remainder, view
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
# A job (16,), int64, has the addresses of the tables; that of the order of the rows, or 0; the rows
# of the data and of a mini-batch; the mini-batches that are to be run, and the groups of these; the
# address of the words by which blocks meet; and whether they do. A single block may have memory of
# a plan in its fast memory meanwhile: the address of the table of these residents, their number,
# the rows of the table of units, and the byte of fast memory at which that is to be.
GROUPS_AT, CHAINS_AT, UNITS_AT, ORDER_AT, N_ROWS, BATCH_SIZE = range(6)
FIRST_BATCH, LAST_BATCH, FIRST_GROUP, LAST_GROUP, MEETING_AT, MEETS = range(6, 12)
RESIDENTS_AT, N_RESIDENTS, N_TABLE, TABLE_BYTE = range(12, 16)
N_JOB = 16
# A row of the table of residents has the address of some memory, its words of eight bytes, and the
# byte of fast memory at which it is meanwhile.
N_RESIDENT = 3
# In the table of units of such a plan, the number of a unit's arguments has above COUNT_BITS a bit
# for each argument, which says whether it is such a byte.
COUNT_BITS = 8
# The words by which blocks meet (32,), int64: the number of arrivals so far; and on another line
# of the cache whether a mini-batch of even number, and one of odd number, is to be skipped.
ARRIVALS, SKIPPED = 0, 16
N_MEETING = 32
# A block's fast memory begins with the step's state. There is room for a job, at JOB_BYTE, and from
# STEP_BYTES on it is the products'.
JOB_BYTE, STEP_BYTES = 128, 256


def lead(job_at):
    # Every block goes through all mini-batches, and through the groups of each.
    job = view(job_at, N_JOB, np.int64)  # (16,)
    if job[N_RESIDENTS] > 0:
        move_residents(job, True)
        move_table(job)
    skipped = view(job[MEETING_AT], N_MEETING, np.int64)  # (32,)
    for batch in range(job[FIRST_BATCH], job[LAST_BATCH]):
        sync()
        if is_first_thread():
            begin_batch(job, batch)
        sync()
        for group in range(job[FIRST_GROUP], job[LAST_GROUP]):
            if group > 0 and skipped[SKIPPED + (batch & 1)] == 1:
                break
            run_group(job, group)
            if group == 0 and block_number() == 0 and is_first_thread():
                # A word for two mini-batches would be overwritten by a block that is ahead.
                skipped[SKIPPED + (batch & 1)] = view(fast_memory(), N_STEP, np.int64)[SKIP]
            if job[MEETS] == 1:
                meet(job[MEETING_AT])
            else:
                sync()
    if job[N_RESIDENTS] > 0:
        sync()
        move_residents(job, False)


def move_residents(job, comes):
    # Copy the residents to fast memory, or back.
    fast_at, n_residents = fast_memory(), job[N_RESIDENTS]
    table = view(job[RESIDENTS_AT], n_residents * N_RESIDENT, np.int64)  # (residents, 3)
    for i in range(0, n_residents * N_RESIDENT, N_RESIDENT):
        away = view(table[i], table[i + 1], np.int64)
        here = view(fast_at + table[i + 2], table[i + 1], np.int64)
        source, target = (away, here) if comes else (here, away)
        for word in by_threads(table[i + 1]):
            target[word] = source[word]


def move_table(job):
    # The table of units in fast memory, with the addresses that residents have there.
    fast_at, size = fast_memory(), job[N_TABLE] * N_UNIT
    source = view(job[UNITS_AT], size, np.int64)  # (units, N_UNIT)
    target = view(fast_at + job[TABLE_BYTE], size, np.int64)  # (units, N_UNIT)
    for i in by_threads(size):
        place = remainder(i, N_UNIT)
        count = source[i - place + 1]
        word = source[i]
        if place == 1:
            word = count & ((1 << COUNT_BITS) - 1)
        elif place > 1 and (count >> (COUNT_BITS + place - 2)) & 1 == 1:
            word += fast_at
        target[i] = word
    sync()
    if is_first_thread():
        job[UNITS_AT] = fast_at + job[TABLE_BYTE]
    sync()


def begin_batch(job, batch):
    step = view(fast_memory(), N_STEP, np.int64)  # (8,)
    step[ROW] = batch * job[BATCH_SIZE]
    step[ROWS] = min(job[BATCH_SIZE], job[N_ROWS] - step[ROW])
    step[ORDER], step[SKIP] = job[ORDER_AT], 0


def run_group(job, group):
    # The block's share of the tasks of all chains of the group together.
    rows = view(fast_memory(), N_STEP, np.int64)[ROWS]
    groups = view(job[GROUPS_AT], group + 2, np.int64)  # (groups + 1,)
    before = np.int64(0)
    for chain in range(groups[group], groups[group + 1]):
        columns = view(job[CHAINS_AT] + chain * CHAIN_BYTES, N_CHAIN, np.int64)  # (4,)
        n_tasks = tasks_of(columns[TASKS], columns[ROW_BLOCK], rows)
        # The first of its tasks that is this block's, as all of the group's are dealt out in turn.
        first = block_number() - before
        first += quotient(max(0, -first) + n_blocks() - 1, n_blocks()) * n_blocks()
        for task in range(first, n_tasks, n_blocks()):
            for unit in range(columns[FIRST_UNIT], columns[LAST_UNIT]):
                at = job[UNITS_AT] + unit * UNIT_BYTES
                words = view(at, 2, np.int64)  # (2,): number, number of arguments
                call_unit(words[0], fast_memory(), task, words[1], at + 16)
                sync()
        before += n_tasks


# The functions that `lead` calls, in the order in which they are to be bound.
PARTS = (tasks_of, move_residents, move_table, begin_batch, run_group)
