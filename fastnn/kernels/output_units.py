"""The units of the output layer: losses, their deltas, weights of rows, output activations.

See units.py for what templates are and how their comments say shapes and who writes.
"""

import numpy as np

from fastnn.kernels.memory import part, quotient, span, view
from fastnn.kernels.units import N_STEP, ROW, rows_of_task


def output(step, task, z_at, y_at, n_targets, delta_at, n, parameter_at, row_loss_at, block):
    # The loss of each row and the delta of the output layer.
    first, last = rows_of_task(step, task, block)
    z = span(z_at, first * n, last * n, real)  # (task's rows, n)
    y = span(y_at, first * n_targets, last * n_targets, real)  # (task's rows, n_targets)
    delta = span(delta_at, first * n, last * n, real)  # (task's rows, n)
    row_loss = span(row_loss_at, first, last, np.float64)  # (task's rows,)
    parameter = real(view(parameter_at, 1, np.float64)[0])
    loss_and_delta(z, y, delta, row_loss, n, parameter)


def weigh(step, task, weights_at, moving, delta_at, n, row_loss_at, block):
    # The deltas (rows, n) of the output layer and the losses (rows,), times the rows' weights. A
    # moving vector of these holds those of all the data, in its order.
    first, last = rows_of_task(step, task, block)
    start = moving * view(step, N_STEP, np.int64)[ROW]
    weights = span(weights_at, start + first, start + last, real)  # (task's rows,)
    delta = span(delta_at, first * n, last * n, real)  # (task's rows, n)
    row_loss = span(row_loss_at, first, last, np.float64)  # (task's rows,)
    for r in by_threads(weights.shape[0]):
        row_loss[r] *= np.float64(weights[r])
        for j in range(r * n, r * n + n):
            delta[j] *= weights[r]


def without_parameter(z, y, p):
    return of_two(z, y)


def separate_loss(z, y, delta, row_loss, n, parameter):
    # A loss that is a sum over the outputs. delta holds the terms of the loss first.
    for i in by_threads(z.shape[0]):
        delta[i] = value(z[i], y[i], parameter)
    sync()
    for r in by_threads(row_loss.shape[0]):
        total = 0.0
        for j in range(r * n, r * n + n):
            total += np.float64(delta[j])
        row_loss[r] = total
    sync()
    for i in by_threads(z.shape[0]):
        delta[i] = gradient(z[i], y[i], parameter)


def softmax_loss(z, y, delta, row_loss, n, parameter):
    # y (rows,) holds class indices. z becomes z - max(z), and delta softmax(z) for the loss.
    softmax_exp(z, delta, n)
    for r in by_threads(row_loss.shape[0]):
        row = part(delta, r * n, r * n + n)
        total = softmax_normalize(row)
        z_row = part(z, r * n, r * n + n)
        row_loss[r] = np.float64(value(z_row, row, total, np.int64(y[r]), parameter))


def coupled_loss(z, y, delta, row_loss, n, parameter):
    # The same for a loss of the raw outputs of a row.
    for r in by_threads(row_loss.shape[0]):
        row, z_row = part(delta, r * n, r * n + n), part(z, r * n, r * n + n)
        row_loss[r] = np.float64(value(z_row, row, real(0), np.int64(y[r]), parameter))


def softmax_exp(z, out, n):
    # z (rows * n,) = z - max of its row; out = exp of that.
    for r in by_threads(quotient(z.shape[0], n)):
        row = part(z, r * n, r * n + n)
        highest = row[0]
        for j in range(1, n):
            highest = row[j] if row[j] > highest else highest
        for j in range(n):
            row[j] -= highest
    sync()
    for i in by_threads(z.shape[0]):
        out[i] = exp(z[i])
    sync()


def softmax_normalize(row):
    # row (n,) = row / sum(row); returns the sum.
    total = real(0)
    for j in range(row.shape[0]):
        total += row[j]
    for j in range(row.shape[0]):
        row[j] = row[j] / total
    return total


def link(step, task, z_at, n, moving, block):
    # z (rows, n) = output activation of z.
    first, last = rows_of_task(step, task, block)
    start = moving * view(step, N_STEP, np.int64)[ROW]
    z = span(z_at, (start + first) * n, (start + last) * n, real)  # (task's rows, n)
    apply_link(z, n)


def separate_link(z, n):
    for i in by_threads(z.shape[0]):
        z[i] = inverse_link(z[i])


def softmax_link(z, n):
    softmax_exp(z, z, n)
    for r in by_threads(quotient(z.shape[0], n)):
        softmax_normalize(part(z, r * n, r * n + n))
