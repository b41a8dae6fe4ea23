"""Batch normalisation in a pass: its buffers, and its groups of a step."""

import numpy as np

from fastnn.kernels import catalog

# A task that reads all rows has at most COLUMNS columns.
COLUMNS = 64


class Normalization:
    """The hidden layers' batch normalisation in a `Pass` that trains."""

    def __init__(self, shared):
        self.shared = shared
        hidden = shared.buffers.activations[:-1]
        self.normalized = [np.zeros_like(a) for a in hidden]  # (rows, stride) each
        self.means = [np.zeros(a.shape[1], a.dtype) for a in hidden]  # (stride,) each
        self.factors = [np.zeros_like(mean) for mean in self.means]  # (stride,) each

    def _matrix(self, i):
        """Arguments for the normalised of hidden layer i, (rows, n_out)."""
        shared = self.shared
        return {
            "z_at": self.normalized[i], "ld": shared.buffers.strides[i], "n": shared.layers[i].n_out
        }  # fmt: skip

    def _own(self, i, vector):
        """Scale and shift of hidden layer i in a vector of all parameters."""
        layer = self.shared.layers[i]
        return vector[layer.norm_offset :], vector[layer.norm_offset + layer.n_out :]

    def _begin_columns_group(self, i):
        """Begin a group with a task for some columns each; returns how many."""
        n = self.shared.layers[i].n_out
        block = min(n, COLUMNS)
        self.shared.plan.group()
        self.shared.plan.chain(tasks=-(-n // block))
        return block

    def add_forward(self, i):
        """Normalise what the group "rows" has left in ``normalized[i]``; a new group goes on."""
        shared, layer = self.shared, self.shared.layers[i]
        running = shared.params[layer.running_offset :]
        momentum = float(shared.regularization.norm_momentum)
        block = self._begin_columns_group(i)
        shared.plan.add(
            catalog.norm_statistics_unit(shared.precision), **self._matrix(i),
            mean_at=self.means[i], factor_at=self.factors[i], running_mean_at=running,
            running_variance_at=running[layer.n_out :], momentum_at=np.array([momentum]),
            epsilon_at=np.array([shared.network.norm_epsilon]), block=block,
        )  # fmt: skip
        shared.begin_rows_group()
        scale, shift = self._own(i, shared.params)
        shared.plan.add(
            catalog.normalize_unit(shared.precision), **self._matrix(i), mean_at=self.means[i],
            factor_at=self.factors[i], scale_at=scale, shift_at=shift,
            y_at=shared.buffers.kept_for_gradient[i], block=shared.row_block,
        )  # fmt: skip

    def add_backward(self, i, gradient):
        """The gradient of what is scaled and shifted becomes that of what is normalised."""
        shared = self.shared
        of_scale, of_shift = self._own(i, gradient)
        gradients = {"scale_gradient_at": of_scale, "shift_gradient_at": of_shift}
        block = self._begin_columns_group(i)
        shared.plan.add(
            catalog.norm_sums_unit(shared.precision), delta_at=shared.buffers.deltas[i],
            **self._matrix(i), **gradients, block=block,
        )  # fmt: skip
        shared.begin_rows_group()
        shared.plan.add(
            catalog.norm_backward_unit(shared.precision), delta_at=shared.buffers.deltas[i],
            **self._matrix(i), scale_at=self._own(i, shared.params)[0],
            factor_at=self.factors[i], **gradients, block=shared.row_block,
        )  # fmt: skip
