"""The products of Muon's matrices on the CPU; see `fastnn.kernels.muon.Orthogonalization`."""

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.cpu import matmul, products

# A task of the products of the smaller side has ROWS rows.
ROWS = 96


class SquareProducts:
    """The products of one step of Newton and Schulz.

    Parameters
    ----------
    matrix : fastnn.kernels.muon.Orthogonalization
        The matrix, whose ``x`` becomes ``next``.
    """

    def __init__(self, matrix):
        self.matrix, self.plan, self.precision = matrix, matrix.plan, matrix.precision
        n_in, n_out = matrix.shape
        packed = matmul.packed_size(n_out, n_in, self.precision) if matrix.is_wide else 0
        self.packed = np.zeros(packed, matrix.x.dtype)

    def stages(self):
        """Methods that add the chains of each group in turn."""
        return self._add_pack, self._add_gram, self._add_mix, self._add_product

    def _add_pack(self):
        matrix = self.matrix
        if not matrix.is_wide:
            return
        # X' is the right factor of X X', whose columns are X's rows.
        self.plan.chain(tasks=matrix.tasks)
        self.plan.add(
            products.pack_unit(self.precision),
            source_at=matrix.x,
            k_stride=1,
            column_stride=matrix.n_out,
            packed_at=self.packed,
            k=matrix.n_out,
            n=matrix.n_in,
            along_k=False,
            block=matrix.block,
        )

    def _add_gram(self):
        """X X' or X' X, whichever is smaller."""
        matrix = self.matrix
        if matrix.is_wide:
            left = {"a_at": matrix.x, "row_stride": matrix.n_out, "k_stride": 1}
            right = {"b_at": self.packed, "b_stride": 0, "packed": True}
            self._add_square_product(left, right, matrix.gram, matrix.n_out)
        else:
            left = {"a_at": matrix.x, "row_stride": 1, "k_stride": matrix.n_out}
            right = {"b_at": matrix.x, "b_stride": matrix.n_out, "packed": False}
            self._add_square_product(left, right, matrix.gram, matrix.n_in)

    def _add_mix(self):
        matrix = self.matrix
        left = {"a_at": matrix.gram, "row_stride": matrix.side, "k_stride": 1}
        right = {"b_at": matrix.gram, "b_stride": matrix.side, "packed": False}
        self._add_square_product(left, right, matrix.square, matrix.side)
        self.plan.add(
            catalog.mix_unit(self.precision),
            gram_at=matrix.gram,
            square_at=matrix.square,
            n=matrix.side,
            target_at=matrix.mixed,
            block=ROWS,
        )

    def _add_square_product(self, left, right, target, k):
        side = self.matrix.side
        self.plan.chain(tasks=-(-side // ROWS))
        self._multiply(**left, **right, c_at=target, m=side, n=side, k=k, block=ROWS)

    def _add_product(self):
        matrix = self.matrix
        factors = (matrix.mixed, matrix.x) if matrix.is_wide else (matrix.x, matrix.mixed)
        self.plan.chain(tasks=matrix.tasks)
        self._multiply(
            a_at=factors[0],
            row_stride=matrix.side,
            k_stride=1,
            b_at=factors[1],
            b_stride=matrix.n_out,
            packed=False,
            c_at=matrix.next,
            m=matrix.n_in,
            n=matrix.n_out,
            k=matrix.side,
            block=matrix.block,
        )
        matrix.take_next()

    def _multiply(self, **arguments):
        self.plan.add(
            products.multiply_matrices_unit(), **products.factors(self.precision), **arguments
        )
