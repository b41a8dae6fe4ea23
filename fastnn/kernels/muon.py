"""Muon's step for a weight matrix: its averaged gradient, orthogonalised by Newton and Schulz.

The group "parameters" of a step ends with the averaged gradient. Groups for these products come
after it, for all matrices together, as each product needs all of the one before.
"""

import numpy as np

from fastnn.kernels import catalog, units
from fastnn.kernels.cpu import matmul

ITERATIONS = 5
# A task of the products of the smaller side has ROWS rows.
ROWS = 96


class Orthogonalization:
    """The buffers and units of one weight matrix (n_in, n_out).

    Parameters
    ----------
    trainer : fastnn.kernels.trainer.Trainer
    weights : fastnn.kernels.layers.base.Parameters
    """

    def __init__(self, trainer, weights):
        self.trainer, self.plan, params = trainer, trainer.plan, trainer.state.params
        dtype, self.precision = params.dtype, trainer.precision
        self.n_in, self.n_out, self.block = weights.shape
        self.shape = self.n_in, self.n_out
        self.place, self.tasks = weights.place, weights.tasks
        self.is_wide = self.n_in < self.n_out
        self.side = min(self.shape)
        # x is orthogonalised step by step, and each step writes the next x.
        self.x, self.next = np.zeros((2, *self.shape), dtype)
        square = (self.side, self.side)
        self.gram, self.square, self.mixed = np.zeros((3, *square), dtype)
        self.sums = np.zeros(-(-self.n_in // units.SEGMENT))  # (segments,)
        packed = matmul.packed_size(self.n_out, self.n_in, self.precision) if self.is_wide else 0
        self.packed = np.zeros(packed, dtype)
        # The root of the mean square of an update is that of Adam's, about; Liu et al. (2025).
        self.scale = np.array([0.2 * np.sqrt(max(self.shape))])

    def add_average(self, gradient):
        """In a chain over rows of the matrix: the averaged gradient and its squares."""
        optimizer = self.trainer.optimizer
        self.plan.add(
            catalog.average_gradient_unit(self.precision),
            gradient_at=gradient,
            average_at=optimizer.slot("mu"),
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
        yield self._add_normalize
        for _ in range(ITERATIONS):
            yield from (self._add_pack, self._add_gram, self._add_mix, self._add_product)

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

    def _add_pack(self):
        if not self.is_wide:
            return
        # X' is the right factor of X X', whose columns are X's rows.
        self.plan.chain(tasks=self.tasks)
        self.plan.add(
            catalog.pack_unit(self.precision),
            source_at=self.x,
            k_stride=1,
            column_stride=self.n_out,
            packed_at=self.packed,
            k=self.n_out,
            n=self.n_in,
            along_k=False,
            block=self.block,
        )

    def _add_gram(self):
        """X X' or X' X, whichever is smaller."""
        if self.is_wide:
            left = {"a_at": self.x, "row_stride": self.n_out, "k_stride": 1}
            right = {"b_at": self.packed, "b_stride": 0, "packed": True}
            self._add_square_product(left, right, self.gram, self.n_out)
        else:
            left = {"a_at": self.x, "row_stride": 1, "k_stride": self.n_out}
            right = {"b_at": self.x, "b_stride": self.n_out, "packed": False}
            self._add_square_product(left, right, self.gram, self.n_in)

    def _add_mix(self):
        left = {"a_at": self.gram, "row_stride": self.side, "k_stride": 1}
        right = {"b_at": self.gram, "b_stride": self.side, "packed": False}
        self._add_square_product(left, right, self.square, self.side)
        self.plan.add(
            catalog.mix_unit(self.precision),
            gram_at=self.gram,
            square_at=self.square,
            n=self.side,
            target_at=self.mixed,
            block=ROWS,
        )

    def _add_square_product(self, left, right, target, k):
        self.plan.chain(tasks=-(-self.side // ROWS))
        self._multiply(**left, **right, c_at=target, m=self.side, n=self.side, k=k, block=ROWS)

    def _add_product(self):
        left, right = (self.mixed, self.x) if self.is_wide else (self.x, self.mixed)
        self.plan.chain(tasks=self.tasks)
        self._multiply(
            a_at=left,
            row_stride=self.side,
            k_stride=1,
            b_at=right,
            b_stride=self.n_out,
            packed=False,
            c_at=self.next,
            m=self.n_in,
            n=self.n_out,
            k=self.side,
            block=self.block,
        )
        self.x, self.next = self.next, self.x

    def _multiply(self, **arguments):
        self.plan.add(
            catalog.multiply_matrices_unit(),
            **catalog.factors(self.precision),
            **arguments,
        )

    def add_update(self):
        """In a chain over rows of the matrix."""
        self.plan.add(
            catalog.orthogonal_update_unit(self.precision),
            params_at=self.trainer.state.params,
            x_at=self.x,
            coefficients_at=self.trainer.coefficients,
            scale_at=self.scale,
            **self.place,
        )
