"""A plan's tables in the memory of a device, and the jobs that run it."""

import numpy as np

from fastnn.kernels.cuda.lead import (
    BATCH_SIZE,
    CHAINS_AT,
    COUNT_BITS,
    FIRST_BATCH,
    GROUPS_AT,
    LAST_GROUP,
    MEETING_AT,
    MEETS,
    N_JOB,
    N_MEETING,
    N_RESIDENTS,
    N_ROWS,
    N_TABLE,
    ORDER_AT,
    RESIDENTS_AT,
    TABLE_BYTE,
    UNITS_AT,
)


class Program:
    """A plan on a grid: one launch for all of it, or one for each group.

    In one launch there are as many blocks as run at one time, and they meet between groups. Where a
    group has many tasks, launches cost less than they gain, because a block may then be replaced
    by the next one.

    Parameters
    ----------
    machine : fastnn.kernels.cuda.machine.GridMachine
    tables : fastnn.kernels.plan.Tables
    """

    def __init__(self, machine, tables):
        self.machine, self.tables = machine, tables
        self._order = None
        self._job = np.zeros(N_JOB, np.int64)  # (16,)
        self.kernel, numbers = machine.compiler.kernel(tables.units[:, 0], machine.device)
        units = self._units(tables)
        units[:, 0] = numbers
        # The job has addresses of this memory.
        self._memory = []
        for place, memory in (
            (GROUPS_AT, tables.groups),
            (CHAINS_AT, tables.chains),
            (UNITS_AT, units),
            (MEETING_AT, machine.zeros(N_MEETING, np.int64)),
        ):
            memory, self._job[place] = machine.locate(memory)
            self._memory.append(memory)
        self._meeting = self._memory[-1]

    def _units(self, tables):
        """The table of units as the job has it, but for their numbers."""
        return tables.units.copy()

    def set_order(self, order):
        """Have the data's rows be used in this order (n,)."""
        machine = self.machine
        if self._order is None or len(self._order) < len(order):
            self._order = machine.zeros(len(order), np.int64)
        machine.device.write(self._order[: len(order)], order)
        self._job[ORDER_AT] = self._order.address

    def _begin(self, n_rows, batch_size):
        """A job for data of so many rows, before which nobody has met."""
        job = self._job.copy()
        job[[N_ROWS, BATCH_SIZE]] = n_rows, batch_size
        self.machine.device.clear(self._meeting)
        return job

    def run(self, n_rows, batch_size, batches):
        """Run mini-batches ``batches[0]`` to ``batches[1]``, and wait for them."""
        device, n_groups = self.machine.device, self.tables.n_groups
        job, rows = self._begin(n_rows, batch_size), min(n_rows, batch_size)
        most_tasks = self.tables.most_tasks(rows)
        if most_tasks <= self.machine.most_tasks_that_meet:
            job[FIRST_BATCH : LAST_GROUP + 1] = *batches, 0, n_groups
            job[MEETS] = True
            n_blocks = min(most_tasks, self.machine.n_blocks)
            device.launch(self.kernel, job, n_blocks, self.kernel.fast_bytes, meets=True)
        else:
            for batch in range(*batches):
                for group in range(n_groups):
                    job[FIRST_BATCH : LAST_GROUP + 1] = batch, batch + 1, group, group + 1
                    n_tasks = max(1, self.tables.n_tasks(group, rows))
                    device.launch(self.kernel, job, n_tasks, self.kernel.fast_bytes, meets=False)
        device.wait()


class BlockProgram(Program):
    """A plan that a single block goes through, with what fits of its memory in fast memory.

    What does not fit, the data above all, stays where it is.
    """

    def __init__(self, machine, tables):
        self.residents, self.fast_bytes = [], 0
        super().__init__(machine, tables)
        if self.residents:
            memory = np.array(self.residents, np.int64)  # (residents, 3)
            memory, self._job[RESIDENTS_AT] = machine.locate(memory)
            self._memory.append(memory)
            self._job[N_RESIDENTS], self._job[N_TABLE] = len(self.residents), len(tables.units)

    def _units(self, tables):
        """The table of units, in which addresses of residents are bytes of fast memory."""
        units = tables.units.copy()
        first = self.kernel.fast_bytes
        self._job[TABLE_BYTE], first = first, first + units.nbytes
        places = {}
        owners = {memory.owner.address: memory.owner for *_, memory in tables.addresses}
        for owner in sorted(owners.values(), key=lambda owner: owner.n_bytes):
            if first + owner.n_bytes <= self.machine.device.most_fast_bytes:
                places[owner.address] = first
                self.residents.append((owner.address, owner.n_bytes // 8, first))
                first += owner.n_bytes
        for row, place, memory in tables.addresses:
            if memory.owner.address in places:
                units[row, place] += places[memory.owner.address] - memory.owner.address
                units[row, 1] |= 1 << (COUNT_BITS + place - 2)
        self.fast_bytes = first
        return units

    def run(self, n_rows, batch_size, batches):
        device, job = self.machine.device, self._begin(n_rows, batch_size)
        job[FIRST_BATCH : LAST_GROUP + 1] = *batches, 0, self.tables.n_groups
        fast_bytes = self.fast_bytes if self.residents else self.kernel.fast_bytes
        device.launch(self.kernel, job, 1, fast_bytes, meets=False)
        device.wait()
