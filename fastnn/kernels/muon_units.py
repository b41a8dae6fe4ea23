"""Muon: templates of its units, the parts of a step that are no matrix products."""

from math import sqrt

import numpy as np

from fastnn.kernels.memory import span, view
from fastnn.kernels.named import load
from fastnn.kernels.optimizers import Muon
from fastnn.kernels.units import Scaling

# With A, B and C, X <- A X + B (X X') X + C (X X')**2 X drives all singular values towards 1.
A, B, C = 3.4445, -4.7750, 2.0315
SMALLEST_NORM = 1e-7


def average_gradient(
    step,
    task,
    gradient_at,
    average_at,
    x_at,
    coefficients_at,
    scaling_at,
    offset,
    size,
    block,
    nesterov,
):
    # The average of the gradients of ``block`` weights of the ``size`` that begin at ``offset``,
    # and x (size,) = that average, with nesterov one step ahead.
    low, high = task * block, min(task * block + block, size)
    momentum = load(coefficients_at, 0, 1, real, Muon).momentum
    scale = load(scaling_at, 0, 1, real, Scaling).scale
    g = span(gradient_at, offset + low, offset + high, real)
    average = span(average_at, offset + low, offset + high, real)
    x = span(x_at, low, high, real)
    for i in by_threads(x.shape[0]):
        own = (real(1) - momentum) * (g[i] * scale)
        average[i] = momentum * average[i] + own
        x[i] = momentum * average[i] + own if nesterov else average[i]


def normalize_matrix(step, task, x_at, sums_at, n_sums, size, block):
    # x (size,) /= its norm, from the sums (n_sums,) of its squares.
    norm = sqrt(lane_sum(view(sums_at, n_sums, np.float64), 0, n_sums))
    factor = real(1.0 / max(norm, SMALLEST_NORM))
    x = span(x_at, task * block, min(task * block + block, size), real)
    for i in by_threads(x.shape[0]):
        x[i] = x[i] * factor


def mix(step, task, gram_at, square_at, n, target_at, block):
    # target (n, n) = a I + b gram + c square, for the task's rows.
    low, high = task * block, min(task * block + block, n)
    gram = span(gram_at, low * n, high * n, real)  # (task's rows, n)
    square = span(square_at, low * n, high * n, real)  # (task's rows, n)
    target = span(target_at, low * n, high * n, real)  # (task's rows, n)
    for i in by_threads(target.shape[0]):
        target[i] = real(B) * gram[i] + real(C) * square[i]
    sync()
    for row in by_threads(high - low):
        target[row * n + low + row] += real(A)


def orthogonal_update(step, task, params_at, x_at, coefficients_at, scale_at, offset, size, block):
    # The weights shrink, and go against the orthogonalised x (size,).
    low, high = task * block, min(task * block + block, size)
    c = load(coefficients_at, 0, 1, real, Muon)
    rate = c.rate * real(view(scale_at, 1, np.float64)[0])
    w, x = span(params_at, offset + low, offset + high, real), span(x_at, low, high, real)
    for i in by_threads(w.shape[0]):
        w[i] = c.keep * w[i] - rate * x[i]
