"""A plan's tables in the memory of a grid, and the jobs that run it."""

import numpy as np

from fastnn.kernels.cuda.lead import (
    BATCH_SIZE,
    CHAINS_AT,
    FIRST_BATCH,
    GROUPS_AT,
    LAST_GROUP,
    MEETING_AT,
    MEETS,
    N_JOB,
    N_MEETING,
    N_ROWS,
    ORDER_AT,
    UNITS_AT,
)


class GridProgram:
    """A plan for a grid that goes through it in one launch.

    Parameters
    ----------
    machine : fastnn.kernels.cuda.machine.GridMachine
        It has ``launch(job)`` besides.
    tables : fastnn.kernels.plan.Tables
    """

    def __init__(self, machine, tables):
        self.machine, self.tables = machine, tables
        self._meeting = machine.zeros(N_MEETING, np.int64)  # (32,)
        self._job = np.zeros(N_JOB, np.int64)  # (16,)
        # What the job has addresses of.
        self._kept = []
        for place, memory in (
            (GROUPS_AT, tables.groups),
            (CHAINS_AT, tables.chains),
            (UNITS_AT, tables.units),
            (MEETING_AT, self._meeting),
        ):
            kept, self._job[place] = machine.locate(memory)
            self._kept.append(kept)

    def run(self, n_rows, batch_size, batches, *, order=None, groups=None):
        """Run mini-batches ``batches[0]`` to ``batches[1]``, or some groups of them."""
        job = self._job.copy()
        job[[N_ROWS, BATCH_SIZE, MEETS]] = n_rows, batch_size, True
        job[FIRST_BATCH : LAST_GROUP + 1] = *batches, *(groups or (0, self.tables.n_groups))
        if order is not None:
            _, job[ORDER_AT] = self.machine.locate(order)
            self.machine.push(order)
        self.machine.launch(job)
