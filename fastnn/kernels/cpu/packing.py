"""The packed weights of a pass, in the order in which the register tile reads them."""

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.cpu import matmul

# A weight matrix is packed for the forward pass where it no longer fits the second-level cache.
PACK_BYTES = 1 << 20


class PackedWeights:
    """Room for a packed weight matrix (n_in, n_out), and what packs it.

    Parameters
    ----------
    weights : ndarray
        The parameters from the matrix's first on.
    n_in, n_out : int
    precision : {"float32", "float64"}
    forward, transposed : bool
        Whether the forward pass can read packed weights, and whether the delta of the input is
        wanted.

    Attributes
    ----------
    forward, transposed : ndarray or None
        The packed weights for the forward pass, where they are large, and for the delta.
    """

    def __init__(self, weights, n_in, n_out, precision, *, forward, transposed):
        self.weights, self.n_in, self.n_out, self.precision = weights, n_in, n_out, precision
        is_large = n_in * n_out * weights.itemsize > PACK_BYTES
        self.forward = self._room(n_in, n_out) if forward and is_large else None
        self.transposed = self._room(n_out, n_in) if transposed else None

    def _room(self, k, n):
        return np.zeros(matmul.packed_size(k, n, self.precision), self.weights.dtype)

    def add(self, plan, block):
        """In a chain over ``block`` rows of the matrix: pack them for the passes to come."""
        common = {"source_at": self.weights, "block": block}
        if self.forward is not None:
            plan.add(
                catalog.pack_unit(self.precision),
                **common,
                k_stride=self.n_out,
                column_stride=1,
                packed_at=self.forward,
                k=self.n_in,
                n=self.n_out,
                along_k=True,
            )
        if self.transposed is not None:
            plan.add(
                catalog.pack_unit(self.precision),
                **common,
                k_stride=1,
                column_stride=self.n_out,
                packed_at=self.transposed,
                k=self.n_out,
                n=self.n_in,
                along_k=False,
            )
