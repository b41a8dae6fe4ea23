"""Batch normalisation: templates of its units, after Ioffe and Szegedy (2015).

Statistics are of the rows of the mini-batch, whatever their weights, so tasks that need them come
in a group of their own; they take some columns each, and all rows in order.
"""

from math import sqrt

import numpy as np

from fastnn.kernels.cpu.jit import span, view
from fastnn.kernels.units import N_STEP, ROWS, rows_of_task


def norm_statistics(
    step, task, z_at, ld, n, mean_at, factor_at, running_mean_at, running_variance_at,
    momentum_at, epsilon_at, block
):  # fmt: skip
    # For the task's columns of z (rows, ld): mean, factor = 1 / sqrt(variance + epsilon), and the
    # running mean and variance; the latter are estimates for all data.
    rows = view(step, N_STEP, np.int64)[ROWS]
    low, high = task * block, min(task * block + block, n)
    mean, factor = span(mean_at, low, high, real), span(factor_at, low, high, real)  # (columns,)
    for j in range(mean.shape[0]):
        mean[j], factor[j] = real(0), real(0)
    for r in range(rows):
        z = span(z_at, r * ld + low, r * ld + high, real)  # (columns,)
        for j in range(mean.shape[0]):
            mean[j] += z[j]
    count = real(rows)
    for j in range(mean.shape[0]):
        mean[j] = mean[j] / count
    for r in range(rows):
        z = span(z_at, r * ld + low, r * ld + high, real)  # (columns,)
        for j in range(mean.shape[0]):
            factor[j] += (z[j] - mean[j]) * (z[j] - mean[j])
    if rows > 1:
        momentum = real(view(momentum_at, 1, np.float64)[0])
        running_mean = span(running_mean_at, low, high, real)  # (columns,)
        running_variance = span(running_variance_at, low, high, real)  # (columns,)
        for j in range(mean.shape[0]):
            running_mean[j] += momentum * (mean[j] - running_mean[j])
            variance = factor[j] / (count - real(1))
            running_variance[j] += momentum * (variance - running_variance[j])
    epsilon = real(view(epsilon_at, 1, np.float64)[0])
    for j in range(mean.shape[0]):
        factor[j] = real(1) / sqrt(factor[j] / count + epsilon)


def normalize(
    step, task, z_at, ld, n, mean_at, factor_at, scale_at, shift_at, y_at, block
):  # fmt: skip
    # z (rows, ld) = (z - mean) * factor; y (rows, ld) = scale * z + shift. Padding stays.
    first, last = rows_of_task(step, task, block)
    mean, factor = view(mean_at, n, real), view(factor_at, n, real)  # (n,)
    scale, shift = view(scale_at, n, real), view(shift_at, n, real)  # (n,)
    for r in range(first, last):
        z = span(z_at, r * ld, r * ld + n, real)  # (n,)
        for j in range(n):
            z[j] = (z[j] - mean[j]) * factor[j]
        y = span(y_at, r * ld, r * ld + n, real)  # (n,)
        for j in range(n):
            y[j] = scale[j] * z[j] + shift[j]


def norm_sums(
    step, task, delta_at, z_at, ld, n, scale_gradient_at, shift_gradient_at, block
):  # fmt: skip
    # The gradients of scale and shift (n,), for the task's columns, summed over the rows, with
    # delta (rows, ld) that of scale * z + shift.
    rows = view(step, N_STEP, np.int64)[ROWS]
    low, high = task * block, min(task * block + block, n)
    of_scale = span(scale_gradient_at, low, high, real)  # (columns,)
    of_shift = span(shift_gradient_at, low, high, real)  # (columns,)
    for j in range(of_scale.shape[0]):
        of_scale[j], of_shift[j] = real(0), real(0)
    for r in range(rows):
        delta = span(delta_at, r * ld + low, r * ld + high, real)  # (columns,)
        z = span(z_at, r * ld + low, r * ld + high, real)  # (columns,)
        for j in range(of_scale.shape[0]):
            of_scale[j] += delta[j] * z[j]
        for j in range(of_scale.shape[0]):
            of_shift[j] += delta[j]


def norm_backward(
    step, task, delta_at, z_at, ld, n, scale_at, factor_at, scale_gradient_at,
    shift_gradient_at, block
):  # fmt: skip
    # delta (rows, ld), the gradient of the normalised, becomes that of what is normalised.
    rows = view(step, N_STEP, np.int64)[ROWS]
    first, last = rows_of_task(step, task, block)
    scale, factor = view(scale_at, n, real), view(factor_at, n, real)  # (n,)
    of_scale, of_shift = view(scale_gradient_at, n, real), view(shift_gradient_at, n, real)
    share = real(1) / real(rows)
    for r in range(first, last):
        delta = span(delta_at, r * ld, r * ld + n, real)  # (n,)
        z = span(z_at, r * ld, r * ld + n, real)  # (n,)
        for j in range(n):
            mean = (of_shift[j] + z[j] * of_scale[j]) * share
            delta[j] = scale[j] * factor[j] * (delta[j] - mean)
