"""The machine of a device, as plans see it: its memory, its compiler, and how it shares out work.

Everything that builds plans knows a machine by this protocol alone. `fastnn.kernels.cpu.machine` is
that of the CPU.
"""

from typing import Protocol


class Machine(Protocol):
    """What plans need of a device.

    Attributes
    ----------
    compiler : fastnn.kernels.compiler.Compiler
    joins_phases : bool
        Whether a task takes some parameters through their gradient and at once through their
        update, where nothing has to happen between the two.
    """

    def zeros(self, shape, dtype):
        """Memory of the machine, C-ordered and full of zeros.

        It has the shape, strides, dtype, itemsize and nbytes of an ndarray, and slices of it
        without a step are views.
        """

    def mirror(self, array):
        """The machine's memory for an ndarray of the host; for the same array always the same."""

    def push(self, *arrays):
        """Bring the memory of these arrays up to date with the host."""

    def pull(self, *arrays):
        """Bring these arrays up to date with the machine's memory."""

    def locate(self, memory):
        """What keeps some memory alive, and its address; arrays of the host are mirrored."""

    def program(self, tables):
        """What runs a plan of these `fastnn.kernels.plan.Tables`."""

    def is_too_large(self, X):
        """Whether a dense X is not to be mirrored, because the memory would not do."""

    def pace(self, plan, flops, source=None):
        """What runs a plan in slices of time, whose mini-batch has so many operations.

        A ``source`` is a `fastnn.kernels.inputs.DenseInput` that the host has to feed: before each
        mini-batch it writes the rows of X to the input's matrix.

        It has ``run(n_rows, batch_size, order=None, deadline=None)``, which returns the number of
        mini-batches that were run, and ``run_once(plan)``, for a plan that no rows matter to.
        """

    def row_block(self, rows, part_block=None):
        """The rows of a mini-batch that a task takes from the input to the outputs and back.

        Where gradients are summed in parts, these have ``part_block`` rows each.
        """

    def dense_products(self, operations):
        """The products of a dense layer; see `fastnn.kernels.layers.dense.DenseProducts`."""

    def square_products(self, matrix):
        """What adds the products of Muon's step for a `fastnn.kernels.muon.Orthogonalization`.

        Its ``stages()`` are methods that add the chains of each group in turn. They make the matrix
        ``next`` of ``x``.
        """

    def product_arguments(self, precision):
        """Arguments of a unit that multiplies matrices on its way by ``call_multiply``."""
