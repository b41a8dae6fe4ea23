"""Batch normalisation, after Ioffe and Szegedy (2015): templates of its units, and its operations.

Statistics are of the rows of the mini-batch, whatever their weights, so tasks that need them come
in a group of their own; they take some columns each, and all rows in order.
"""

from math import sqrt

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.layers.base import Operations
from fastnn.kernels.memory import span, view
from fastnn.kernels.units import N_STEP, ROWS, rows_of_task

# A task that reads all rows has at most COLUMNS columns.
COLUMNS = 64


def norm_statistics(
    step,
    task,
    z_at,
    ld,
    n,
    mean_at,
    factor_at,
    running_mean_at,
    running_variance_at,
    momentum_at,
    epsilon_at,
    block,
):
    # For the task's columns of z (rows, ld): mean, factor = 1 / sqrt(variance + epsilon), and the
    # running mean and variance; the latter are estimates for all data.
    rows = view(step, N_STEP, np.int64)[ROWS]
    low, high = task * block, min(task * block + block, n)
    mean, factor = span(mean_at, low, high, real), span(factor_at, low, high, real)  # (columns,)
    for j in by_threads(mean.shape[0]):
        mean[j], factor[j] = real(0), real(0)
    for r in range(rows):
        z = span(z_at, r * ld + low, r * ld + high, real)  # (columns,)
        for j in by_threads(mean.shape[0]):
            mean[j] += z[j]
    count = real(rows)
    for j in by_threads(mean.shape[0]):
        mean[j] = mean[j] / count
    for r in range(rows):
        z = span(z_at, r * ld + low, r * ld + high, real)  # (columns,)
        for j in by_threads(mean.shape[0]):
            factor[j] += (z[j] - mean[j]) * (z[j] - mean[j])
    if rows > 1:
        momentum = real(view(momentum_at, 1, np.float64)[0])
        running_mean = span(running_mean_at, low, high, real)  # (columns,)
        running_variance = span(running_variance_at, low, high, real)  # (columns,)
        for j in by_threads(mean.shape[0]):
            running_mean[j] += momentum * (mean[j] - running_mean[j])
            variance = factor[j] / (count - real(1))
            running_variance[j] += momentum * (variance - running_variance[j])
    epsilon = real(view(epsilon_at, 1, np.float64)[0])
    for j in by_threads(mean.shape[0]):
        factor[j] = real(1) / sqrt(factor[j] / count + epsilon)


def normalize(step, task, z_at, ld, n, mean_at, factor_at, scale_at, shift_at, y_at, block):
    # z (rows, ld) = (z - mean) * factor; y (rows, ld) = scale * z + shift. Padding stays.
    first, last = rows_of_task(step, task, block)
    mean, factor = view(mean_at, n, real), view(factor_at, n, real)  # (n,)
    scale, shift = view(scale_at, n, real), view(shift_at, n, real)  # (n,)
    for r in by_warps(first, last):
        z = span(z_at, r * ld, r * ld + n, real)  # (n,)
        for j in by_lanes(n):
            z[j] = (z[j] - mean[j]) * factor[j]
        y = span(y_at, r * ld, r * ld + n, real)  # (n,)
        for j in by_lanes(n):
            y[j] = scale[j] * z[j] + shift[j]


def norm_sums(step, task, delta_at, z_at, ld, n, scale_gradient_at, shift_gradient_at, block):
    # The gradients of scale and shift (n,), for the task's columns, summed over the rows, with
    # delta (rows, ld) that of scale * z + shift.
    rows = view(step, N_STEP, np.int64)[ROWS]
    low, high = task * block, min(task * block + block, n)
    of_scale = span(scale_gradient_at, low, high, real)  # (columns,)
    of_shift = span(shift_gradient_at, low, high, real)  # (columns,)
    for j in by_threads(of_scale.shape[0]):
        of_scale[j], of_shift[j] = real(0), real(0)
    for r in range(rows):
        delta = span(delta_at, r * ld + low, r * ld + high, real)  # (columns,)
        z = span(z_at, r * ld + low, r * ld + high, real)  # (columns,)
        for j in by_threads(of_scale.shape[0]):
            of_scale[j] += delta[j] * z[j]
        for j in by_threads(of_scale.shape[0]):
            of_shift[j] += delta[j]


def norm_backward(
    step,
    task,
    delta_at,
    z_at,
    ld,
    n,
    scale_at,
    factor_at,
    scale_gradient_at,
    shift_gradient_at,
    block,
):
    # delta (rows, ld), the gradient of the normalised, becomes that of what is normalised.
    rows = view(step, N_STEP, np.int64)[ROWS]
    first, last = rows_of_task(step, task, block)
    scale, factor = view(scale_at, n, real), view(factor_at, n, real)  # (n,)
    of_scale, of_shift = view(scale_gradient_at, n, real), view(shift_gradient_at, n, real)
    share = real(1) / real(rows)
    for r in by_warps(first, last):
        delta = span(delta_at, r * ld, r * ld + n, real)  # (n,)
        z = span(z_at, r * ld, r * ld + n, real)  # (n,)
        for j in by_lanes(n):
            mean = (of_shift[j] + z[j] * of_scale[j]) * share
            delta[j] = scale[j] * factor[j] * (delta[j] - mean)


class BatchNormOperations(Operations):
    """The operations of a `fastnn.network.layers.batch_norm.BatchNorm`, in a pass that trains.

    The input becomes the normalised, which the way back reads. Predictions are those of the folded
    network.
    """

    overwrites_input = delta_in_place = True

    def __init__(self, layer, places, room, common):
        super().__init__(layer, places, room, common)
        self.mean = common.zeros(room.input.stride)  # (stride,)
        self.factor = common.zeros(room.input.stride)  # (stride,)
        # The input, and then the normalised.
        self.matrix = {"z_at": room.input.matrix, "ld": room.input.stride, "n": layer.n}

    def _begin_columns_group(self):
        """Begin a group with a task for some columns each; returns how many."""
        block = min(self.layer.n, COLUMNS)
        self.common.plan.group()
        self.common.plan.chain(tasks=-(-self.layer.n // block))
        return block

    def add_forward(self):
        common, params = self.common, self.common.params
        momentum = float(common.regularization.norm_momentum)
        block = self._begin_columns_group()
        common.plan.add(
            catalog.make_unit(norm_statistics, common.precision),
            **self.matrix,
            mean_at=self.mean,
            factor_at=self.factor,
            running_mean_at=self.part(params, "running_mean"),
            running_variance_at=self.part(params, "running_variance"),
            momentum_at=np.array([momentum]),
            epsilon_at=np.array([self.layer.epsilon]),
            block=block,
        )
        common.begin_rows_group()
        common.plan.add(
            catalog.make_unit(normalize, common.precision),
            **self.matrix,
            mean_at=self.mean,
            factor_at=self.factor,
            scale_at=self.part(params, "scale"),
            shift_at=self.part(params, "shift"),
            y_at=self.room.output.matrix,
            block=common.row_block,
        )

    def add_backward(self, gradient):
        """The gradient of what is scaled and shifted becomes that of what is normalised."""
        common, delta = self.common, self.room.delta
        gradients = {
            "scale_gradient_at": self.part(gradient, "scale"),
            "shift_gradient_at": self.part(gradient, "shift"),
        }
        block = self._begin_columns_group()
        common.plan.add(
            catalog.make_unit(norm_sums, common.precision),
            delta_at=delta.matrix,
            **self.matrix,
            **gradients,
            block=block,
        )
        common.begin_rows_group()
        common.plan.add(
            catalog.make_unit(norm_backward, common.precision),
            delta_at=delta.matrix,
            **self.matrix,
            scale_at=self.part(common.params, "scale"),
            factor_at=self.factor,
            **gradients,
            block=common.row_block,
        )
