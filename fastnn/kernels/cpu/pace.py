"""Runs a plan in slices of time, and finds out how many threads make it fastest.

A signal such as Ctrl-C is seen only when compiled code returns. A slice is as many mini-batches
as fit the time, by what the last slice took; a mini-batch that takes much longer itself is
cut into groups and tasks.

Whether two threads beat one depends on the work, and on what else the machine is doing: where
others use the cores, threads that wait for one another can be many times slower than one alone.
The result is the same either way, so now and then a short slice tries the other number, and the
faster one goes on.
"""

import time

from fastnn.kernels.plan import SKIP

# A slice should take SLICE seconds, and one that tries the other number of threads TRIAL.
SLICE, TRIAL = 0.05, 0.005
# A mini-batch that takes more than LONG seconds is cut, although threads then wait for one another
# at each cut.
LONG = 0.7
# The first trial comes after FIRST_TRIAL seconds of work, and after BEFORE_FIRST_TRIAL times what a
# mini-batch takes, because a trial is at least one. A later trial comes after BETWEEN_TRIALS times
# what the one before it cost.
FIRST_TRIAL = 0.01
BEFORE_FIRST_TRIAL = 50
BETWEEN_TRIALS = 100
# The first slice is to be a short one, and so a mini-batch is expected to be slow: each thread does
# FLOPS_PER_SECOND, which are not many, and OVERHEAD seconds are for all that those do not count.
FLOPS_PER_SECOND = 3e10
OVERHEAD = 1e-5
# Threads are not worth a trial for a mini-batch of fewer than TOO_SMALL floating point operations,
# and are the first choice from LARGE on. (They lose some microseconds a step to waiting for one
# another and to fetching what another has written.)
TOO_SMALL = 500_000
LARGE = 5_000_000


def may_be_shared(flops):
    """Whether a mini-batch of so many floating point operations is worth a trial of threads."""
    return flops >= TOO_SMALL


class Pace:
    """The pace of a plan: the mini-batches that fit a slice, and the threads that do them.

    Parameters
    ----------
    program : fastnn.kernels.cpu.lead.Program
        The plan's.
    flops : int
        Floating point operations of a mini-batch.
    n_threads : int
        The most threads that may be used.
    """

    def __init__(self, program, flops, n_threads):
        self.program = program
        self.n_threads = n_threads
        self.may_choose = n_threads > 1 and may_be_shared(flops)
        self.team = n_threads if self.may_choose and flops >= LARGE else 1
        # Seconds of a mini-batch, by the last measurement on each number of threads.
        self.seconds = {self.team: flops / (FLOPS_PER_SECOND * self.team) + OVERHEAD}
        self.worked = 0.0  # seconds since the last trial
        self.wait = None  # seconds of work before the next trial; None before the first

    def run(self, n_rows, batch_size, order=None, deadline=None):
        """Run all mini-batches of ``n_rows`` rows, but begin no slice past the deadline.

        Returns
        -------
        n_batches : int
            The number that were run.
        """
        n_batches = -(-n_rows // batch_size)
        batch = 0
        while batch < n_batches:
            is_trial = self.may_choose and self.worked >= self._wait()
            team = self.team if not is_trial else 1 if self.team > 1 else self.n_threads
            seconds = self.seconds[self.team]
            # The time that it takes to start or wake helpers is not the slice's.
            self.program.summon(team, min(n_rows, batch_size))
            begin = time.perf_counter()
            if seconds > LONG:
                count = 1
                self._run_in_parts(n_rows, batch_size, batch, team, order)
            else:
                fitting = int((TRIAL if is_trial else SLICE) / (seconds + 1e-9))
                count = min(max(1, fitting), n_batches - batch)
                self.program.run(n_rows, batch_size, (batch, batch + count), team, order=order)
            now = time.perf_counter()
            self._record(team, now - begin, count, is_trial)
            batch += count
            if deadline is not None and now >= deadline:
                break
        return batch

    def run_once(self, plan):
        """Run another plan, to which the rows of the data do not matter."""
        plan.program.run(1, 1, (0, 1), self.team)

    def _wait(self):
        """Seconds of work that the next trial waits for."""
        if self.wait is None:
            return max(FIRST_TRIAL, BEFORE_FIRST_TRIAL * self.seconds[self.team])
        return self.wait

    def _record(self, team, seconds, count, is_trial):
        """Take a slice's time into account."""
        self.seconds[team] = seconds / count
        self.team = min(self.seconds, key=self.seconds.get)
        self.worked += seconds
        if is_trial:
            self.worked, self.wait = 0.0, BETWEEN_TRIALS * seconds

    def _run_in_parts(self, n_rows, batch_size, batch, team, order):
        """Run one mini-batch group by group, and some tasks of a group at a time."""
        program, tables = self.program, self.program.tables
        rows = min(batch_size, n_rows - batch * batch_size)
        counts = [tables.n_tasks(group, rows) for group in range(tables.n_groups)]
        # As many tasks run at a time as fit a slice if all take the same, but one for each thread.
        at_once = max(team, int(sum(counts) * SLICE / self.seconds[self.team]))
        for group, n_tasks in enumerate(counts):
            if group > 0 and program.step[SKIP]:
                break
            for first in range(0, n_tasks, at_once):
                program.run(
                    n_rows,
                    batch_size,
                    (batch, batch + 1),
                    team,
                    order=order,
                    groups=(group, group + 1),
                    tasks=(first, first + at_once),
                )
