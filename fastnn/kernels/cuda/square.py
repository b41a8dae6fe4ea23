"""The products of Muon's matrices on a GPU; see `fastnn.kernels.muon.Orthogonalization`."""

from fastnn.kernels import catalog
from fastnn.kernels.cuda import products

# A task of the sum of a matrix and its square has MIX_ROWS rows.
MIX_ROWS = 32


class SquareProducts:
    """The products of one step of Newton and Schulz.

    Parameters
    ----------
    matrix : fastnn.kernels.muon.Orthogonalization
        The matrix, whose ``x`` becomes ``next``.
    machine : fastnn.kernels.cuda.machine.GridMachine
    """

    def __init__(self, matrix, machine):
        self.matrix, self.machine = matrix, machine
        self.plan, self.precision = matrix.plan, matrix.precision

    def stages(self):
        """Methods that add the chains of each group in turn."""
        return self._add_gram, self._add_square, self._add_mix, self._add_product

    def _add_gram(self):
        """X X' or X' X, whichever is smaller."""
        matrix = self.matrix
        plain, transposed = (matrix.x, matrix.n_out, 1), (matrix.x, 1, matrix.n_out)
        factors = (plain, transposed) if matrix.is_wide else (transposed, plain)
        self._multiply(*factors, matrix.gram, (matrix.side, matrix.side, max(matrix.shape)))

    def _add_square(self):
        matrix = self.matrix
        gram = (matrix.gram, matrix.side, 1)
        self._multiply(gram, gram, matrix.square, (matrix.side,) * 3)

    def _add_mix(self):
        matrix = self.matrix
        self.plan.chain(tasks=-(-matrix.side // MIX_ROWS))
        self.plan.add(
            catalog.mix_unit(self.precision),
            gram_at=matrix.gram,
            square_at=matrix.square,
            n=matrix.side,
            target_at=matrix.mixed,
            block=MIX_ROWS,
        )

    def _add_product(self):
        matrix = self.matrix
        x, mixed = (matrix.x, matrix.n_out, 1), (matrix.mixed, matrix.side, 1)
        factors = (mixed, x) if matrix.is_wide else (x, mixed)
        self._multiply(*factors, matrix.next, (matrix.n_in, matrix.n_out, matrix.side))
        matrix.take_next()

    def _multiply(self, a, b, target, sizes):
        """A chain with a task for each tile of target (m, n) = A (m, k) B (k, n)."""
        m, n, k = sizes
        tile = self.machine.tile_for(m, n, self.precision)
        self.plan.chain(tasks=tile.count(m, n))
        self.plan.add(
            products.product_unit(products.multiply_matrices, self.precision, tile),
            a_at=a[0],
            a_row_stride=a[1],
            a_k_stride=a[2],
            b_at=b[0],
            b_row_stride=b[1],
            b_column_stride=b[2],
            c_at=target,
            m=m,
            n=n,
            k=k,
        )
