"""Muon's step for a weight matrix: its averaged gradient, orthogonalised by Newton and Schulz.

The group "parameters" of a step ends with the averaged gradient. Groups for these products come
after it, for all matrices together, as each product needs all of the one before.
"""

import numpy as np

from fastnn.kernels import catalog, units

ITERATIONS = 5


class Orthogonalization:
    """The buffers and units of one weight matrix (n_in, n_out).

    Parameters
    ----------
    trainer : fastnn.kernels.trainer.Trainer
    weights : fastnn.kernels.layers.base.Parameters
    """

    def __init__(self, trainer, weights):
        self.trainer, self.plan = trainer, trainer.plan
        machine, dtype = trainer.machine, trainer.params.dtype
        self.precision = trainer.precision
        self.n_in, self.n_out, self.block = weights.shape
        self.shape = self.n_in, self.n_out
        self.place, self.tasks = weights.place, weights.tasks
        self.is_wide = self.n_in < self.n_out
        self.side = min(self.shape)
        # x is orthogonalised step by step, and each step writes the next x.
        self.x, self.next = (machine.zeros(self.shape, dtype) for _ in range(2))
        # The smaller of X X' and X' X, its square, and what of both X is multiplied by.
        square = (self.side, self.side)
        self.gram, self.square, self.mixed = (machine.zeros(square, dtype) for _ in range(3))
        self.sums = machine.zeros(-(-self.n_in // units.SEGMENT), np.float64)  # (segments,)
        # The root of the mean square of an update is that of Adam's, about; Liu et al. (2025).
        self.scale = np.array([0.2 * np.sqrt(max(self.shape))])

    def add_average(self, gradient):
        """In a chain over rows of the matrix: the averaged gradient and its squares."""
        optimizer = self.trainer.optimizer
        self.plan.add(
            catalog.average_gradient_unit(self.precision),
            gradient_at=gradient,
            average_at=self.trainer.slot("mu"),
            x_at=self.x,
            coefficients_at=self.trainer.coefficients,
            scaling_at=self.trainer.scaling,
            **self.place,
            nesterov=optimizer.nesterovs_momentum,
        )
        self.plan.add(
            catalog.segment_sums_unit(self.precision, "squares"),
            values_at=self.x,
            n_rows=self.n_in,
            n_columns=self.n_out,
            sums_at=self.sums,
            block=self.block,
        )

    def stages(self):
        """Methods that add the chains of each group in turn; every matrix has as many."""
        products = self.trainer.machine.square_products(self)
        yield self._add_normalize
        for _ in range(ITERATIONS):
            yield from products.stages()

    def take_next(self):
        """Go on from the next x, which products have made."""
        self.x, self.next = self.next, self.x

    def _add_normalize(self):
        self.plan.chain(tasks=self.tasks)
        self.plan.add(
            catalog.normalize_matrix_unit(self.precision),
            x_at=self.x,
            sums_at=self.sums,
            n_sums=len(self.sums),
            size=self.place["size"],
            block=self.place["block"],
        )

    def add_update(self):
        """In a chain over rows of the matrix."""
        self.plan.add(
            catalog.orthogonal_update_unit(self.precision),
            params_at=self.trainer.params,
            x_at=self.x,
            coefficients_at=self.trainer.coefficients,
            scale_at=self.scale,
            **self.place,
        )
