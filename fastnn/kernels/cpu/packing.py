"""The packed weights of a pass, in the order in which the register tile reads them."""

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.cpu import matmul

# A weight matrix is packed for the forward pass where it no longer fits the second-level cache.
PACK_BYTES = 1 << 20


class PackedWeights:
    """Room for the packed weights of each layer, and what packs them.

    Parameters
    ----------
    layers : sequence of Layer
    params : ndarray of shape (n_params,)
    source : DenseInput or SparseInput
        The input of the first layer. A sparse one is multiplied by weights that are not packed. A
        plan that reads one X after another is for few rows, and reads all weights where they are.
    backward : bool
        Whether deltas are wanted.
    to_input : bool
        Whether the delta of the input is wanted, too.

    Attributes
    ----------
    forward, transposed : list of ndarray or None
        The packed weights for the forward pass, where they are large, and for the deltas; None
        where there are none.
    """

    def __init__(self, layers, params, source, *, backward, to_input=False):
        self.layers, self.params, self.precision = layers, params, params.dtype.name
        self.forward, self.transposed = [], []
        for i, layer in enumerate(layers):
            is_large = layer.n_in * layer.n_out * params.itemsize > PACK_BYTES
            is_read = not source.is_late and not (i == 0 and source.is_sparse)
            has_delta = backward and (i > 0 or to_input)
            self.forward.append(self._room(layer.n_in, layer.n_out, is_large and is_read))
            self.transposed.append(self._room(layer.n_out, layer.n_in, has_delta))

    def _room(self, k, n, is_wanted):
        if not is_wanted:
            return None
        return np.zeros(matmul.packed_size(k, n, self.precision), self.params.dtype)

    def add(self, plan, i, block):
        """In a chain over ``block`` rows of a weight matrix: pack them for the passes to come."""
        layer = self.layers[i]
        shared = {"source_at": self.params[layer.weight_offset :], "block": block}
        if self.forward[i] is not None:
            plan.add(
                catalog.pack_unit(self.precision), **shared, k_stride=layer.n_out, column_stride=1,
                packed_at=self.forward[i], k=layer.n_in, n=layer.n_out, along_k=True,
            )  # fmt: skip
        if self.transposed[i] is not None:
            plan.add(
                catalog.pack_unit(self.precision), **shared, k_stride=1, column_stride=layer.n_out,
                packed_at=self.transposed[i], k=layer.n_out, n=layer.n_in, along_k=False,
            )  # fmt: skip
