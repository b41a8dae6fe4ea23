"""Runs a plan on a GPU in slices of time, between which Ctrl-C is seen."""

import time

import numpy as np

# A slice should take SLICE seconds, and the first one FIRST_SLICE, as nothing is known yet.
SLICE, FIRST_SLICE = 0.05, 0.005
# A mini-batch is expected to take OVERHEAD seconds, and more at FLOPS_PER_SECOND.
FLOPS_PER_SECOND, OVERHEAD = 3e12, 2e-5


class Pace:
    """The pace of a plan: the mini-batches that fit a slice.

    Parameters
    ----------
    program : fastnn.kernels.cuda.program.Program
    flops : int
        Floating point operations of a mini-batch.
    """

    def __init__(self, program, flops):
        self.program = program
        # Seconds of a mini-batch, by the last slice.
        self.seconds = flops / FLOPS_PER_SECOND + OVERHEAD
        self.has_begun = False

    def run(self, n_rows, batch_size, order=None, deadline=None):
        """Run all mini-batches of ``n_rows`` rows, but begin no slice past the deadline.

        Returns
        -------
        n_batches : int
            The number that were run.
        """
        if order is not None:
            self.program.set_order(order)
        n_batches = -(-n_rows // batch_size)
        batch = 0
        while batch < n_batches:
            fitting = int((SLICE if self.has_begun else FIRST_SLICE) / self.seconds)
            count = min(max(1, fitting), n_batches - batch)
            begin = time.perf_counter()
            self.program.run(n_rows, batch_size, (batch, batch + count))
            now = time.perf_counter()
            self.seconds, self.has_begun = (now - begin) / count, True
            batch += count
            if deadline is not None and now >= deadline:
                break
        return batch

    def run_once(self, plan):
        """Run another plan, to which the rows of the data do not matter."""
        plan.program.run(1, 1, (0, 1))


class FedPace(Pace):
    """Runs a plan mini-batch by mini-batch, whose rows of X the host gathers.

    The mini-batches are those of an X that the device holds.

    Parameters
    ----------
    program : fastnn.kernels.cuda.program.Program
    source : fastnn.kernels.inputs.DenseInput
    """

    def __init__(self, program, source):
        super().__init__(program, 0)
        self.source = source
        matrix = source.values.matrix
        self._rows = np.zeros(matrix.shape, matrix.dtype)  # (rows, stride)

    def run(self, n_rows, batch_size, order=None, deadline=None):
        """Run all mini-batches, but begin none past the deadline; returns how many were run."""
        X, (matrix, _, n, _) = self.source.X, self.source.values
        device = self.program.machine.device
        if order is not None:
            self.program.set_order(order)
        n_batches = -(-n_rows // batch_size)
        for batch in range(n_batches):
            own = slice(batch * batch_size, min(n_rows, (batch + 1) * batch_size))
            rows = own if order is None else order[own]
            size = own.stop - own.start
            self._rows[:size, :n] = X[rows]
            device.write(matrix[:size], self._rows[:size])
            self.program.run(n_rows, batch_size, (batch, batch + 1))
            if deadline is not None and time.perf_counter() >= deadline:
                return batch + 1
        return n_batches
