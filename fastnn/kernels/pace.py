"""Runs a plan in slices of time, so that Python gets a word in between.

A signal such as Ctrl-C is seen only when compiled code returns. A slice is as many mini-batches
as fit the time, by what the last slice took; a mini-batch that takes longer itself is cut
into groups and tasks.
"""

import time

from fastnn.kernels.units import SKIP

# Seconds that a slice should take.
SLICE = 0.05
# Floating point operations a second to expect of the first slice: few, so that it is short.
FIRST_GUESS = 2e9


class Pace:
    """How many mini-batches of a plan fit a slice.

    Parameters
    ----------
    plan : Plan
    flops : int
        Floating point operations of a mini-batch.
    """

    def __init__(self, plan, flops):
        self.plan = plan
        self.seconds = flops / FIRST_GUESS  # of a mini-batch, by the last measurement

    def run(self, n_rows, batch_size, **how):
        """Run all mini-batches of ``n_rows`` rows."""
        n_batches = -(-n_rows // batch_size)
        batch = 0
        while batch < n_batches:
            begin = time.perf_counter()
            if self.seconds > 2 * SLICE:
                count = 1
                self._run_in_parts(n_rows, batch_size, batch, how)
            else:
                count = min(max(1, int(SLICE / (self.seconds + 1e-9))), n_batches - batch)
                self.plan.run(n_rows, batch_size, (batch, batch + count), **how)
            self.seconds = (time.perf_counter() - begin) / count
            batch += count

    def _run_in_parts(self, n_rows, batch_size, batch, how):
        """Run one mini-batch group by group, and some tasks of a group at a time."""
        plan = self.plan
        rows = min(batch_size, n_rows - batch * batch_size)
        counts = [plan.n_tasks(group, rows) for group in range(plan.n_groups)]
        # As many tasks at a time as fit a slice if all took the same, and one for each thread.
        at_once = max(how["n_threads"], int(sum(counts) * SLICE / self.seconds))
        for group, n_tasks in enumerate(counts):
            if group > 0 and plan.step[SKIP]:
                break
            for first in range(0, n_tasks, at_once):
                plan.run(
                    n_rows, batch_size, (batch, batch + 1),
                    groups=(group, group + 1), tasks=(first, first + at_once), **how,
                )  # fmt: skip
