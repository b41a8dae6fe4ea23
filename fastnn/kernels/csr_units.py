"""Products with a sparse left factor: templates of their units.

See units.py for what templates are and how their comments say shapes and who writes.
"""

import numpy as np

from fastnn.kernels.memory import part, quotient, span, view
from fastnn.kernels.units import N_STEP, ROW, ROWS, ZERO, rows_of_task


def csr_matmul(
    step, task, start_at, indices_at, values_at, weights_at, c_at, c_moving, ld, bias_at, n, block
):
    # c (rows, ld) = bias + X W, one multiply-add of a row of W for each non-zero, in order.
    first, last = rows_of_task(step, task, block)
    shift = c_moving * view(step, N_STEP, np.int64)[ROW]
    starts = view(start_at, last + 1, np.int64)  # (rows + 1,)
    indices = view(indices_at, starts[last], np.int64)  # (nnz,)
    values = view(values_at, starts[last], real)  # (nnz,)
    bias = view(bias_at, n, real)  # (n,)
    for r in by_warps(first, last):
        out = span(c_at, (shift + r) * ld, (shift + r) * ld + n, real)  # (n,)
        for j in by_lanes(n):
            out[j] = bias[j]
        for i in range(starts[r], starts[r + 1]):
            row = span(weights_at, indices[i] * n, (indices[i] + 1) * n, real)  # (n,)
            for j in by_lanes(n):
                out[j] = fma(values[i], row[j], out[j])


def csr_gradient(
    step,
    task,
    start_at,
    indices_at,
    values_at,
    delta_at,
    ld,
    gradient_at,
    n,
    n_features,
    init,
    block,
):
    # gradient (n_features, n) = or += X^T delta, for the task's features. It takes the rows in
    # order, so each sum is the dense one without its zeros. A thread has some of the columns.
    rows = view(step, N_STEP, np.int64)[ROWS]
    low, high = task * block, min(task * block + block, n_features)
    gradient = view(gradient_at, high * n, real)  # (n_features, n)
    if init == ZERO:
        for feature in range(low, high):
            row = part(gradient, feature * n, feature * n + n)
            for j in by_threads(n):
                row[j] = real(0)
    starts = view(start_at, rows + 1, np.int64)  # (rows + 1,)
    indices = view(indices_at, starts[rows], np.int64)  # (nnz,)
    values = view(values_at, starts[rows], real)  # (nnz,)
    delta = view(delta_at, rows * ld, real)  # (rows, ld)
    for r in range(rows):
        i, end = starts[r], starts[r + 1]
        i += first_not_below(part(indices, i, end), low)
        while i < end and indices[i] < high:
            row = part(gradient, indices[i] * n, (indices[i] + 1) * n)  # (n,)
            own_delta = part(delta, r * ld, r * ld + n)  # (n,)
            for j in by_threads(n):
                row[j] = fma(values[i], own_delta[j], row[j])
            i += 1


def first_not_below(indices, value):
    # Returns the first place in the sorted indices whose entry is not below the value.
    low, high = 0, indices.shape[0]
    while low < high:
        middle = quotient(low + high, 2)
        if indices[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low
