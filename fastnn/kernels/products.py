"""Products of matrices: templates of their units, and of the packing before them."""

import numpy as np

from fastnn.kernels.jit import part, quotient, span, view
from fastnn.kernels.units import BIAS, N_STEP, ROW, ROWS, ZERO, rows_of_task

# How a product C = A B goes with the mini-batch. FOR_ROWS: its rows are those of C, and a task
# takes some of them. OVER_ROWS: they are what the sums run over, and a task takes some rows of C.
# OVER_TASK_ROWS: the sums run over the task's rows of the mini-batch, and every task has a C of its
# own. OF_MATRICES: the mini-batch has no part in it, and a task takes some rows of C.
FOR_ROWS, OVER_ROWS, OVER_TASK_ROWS, OF_MATRICES = range(4)
# Flags of a product: A holds all the data's rows, of which the mini-batch's begin at the step's
# first row; C does; and B is packed, so that its stride is of no use.
A_MOVES, C_MOVES, B_PACKED = 1, 2, 4


def multiply(
    step, task, kind, flags, a_at, row_stride, k_stride, b_at, b_stride, c_at, c_stride, bias_at,
    init, m, n, k, block, task_stride
):  # fmt: skip
    # C (m, n) = init + A (m, k) B (k, n), or the task's part of it. The kind says which of m and k
    # is the number of the mini-batch's rows: those that the step has, not those given. From one
    # task's own C to the next's there are task_stride elements.
    state = view(step, N_STEP, np.int64)  # (8,)
    rows, first = state[ROWS], task * block
    packed = flags & B_PACKED
    a_start = state[ROW] if flags & A_MOVES else 0
    c_start = state[ROW] if flags & C_MOVES else 0
    if kind == OVER_TASK_ROWS:
        height, depth = m, min(block, rows - first)
        a_shift, b_shift = (a_start + first) * k_stride, first * b_stride
        c_shift = task * task_stride
    else:
        height = min(block, (rows if kind == FOR_ROWS else m) - first)
        depth = rows if kind == OVER_ROWS else k
        a_shift = first * row_stride + a_start * (row_stride if kind == FOR_ROWS else k_stride)
        b_shift, c_shift = 0, (first + c_start) * c_stride
    far = np.int64(1) << np.int64(40)
    a = view(a_at + a_shift * ITEMSIZE, far, real)
    b = view(b_at + b_shift * ITEMSIZE, far, real)
    c = view(c_at + c_shift * ITEMSIZE, far, real)
    width = n
    if n == 1 and row_stride == 1 and c_stride == 1 and init != BIAS and not packed:
        # One column wastes the lanes of a vector: C' = B' A' instead, the same sums.
        a, b = b, a
        k_stride, b_stride = b_stride, k_stride
        height, width = n, height
    matmul(
        a, row_stride, k_stride, b, b_stride, packed, depth, c, c_stride, view(bias_at, n, real),
        init, height, width,
    )  # fmt: skip


def csr_matmul(
    step, task, start_at, indices_at, values_at, weights_at, c_at, c_moving, ld, bias_at, n, block
):  # fmt: skip
    # c (rows, ld) = bias + X W, one multiply-add of a row of W per non-zero, in order.
    first, last = rows_of_task(step, task, block)
    shift = c_moving * view(step, N_STEP, np.int64)[ROW]
    starts = view(start_at, last + 1, np.int64)  # (rows + 1,)
    indices = view(indices_at, starts[last], np.int64)  # (nnz,)
    values = view(values_at, starts[last], real)  # (nnz,)
    bias = view(bias_at, n, real)  # (n,)
    for r in range(first, last):
        out = span(c_at, (shift + r) * ld, (shift + r) * ld + n, real)  # (n,)
        for j in range(n):
            out[j] = bias[j]
        for i in range(starts[r], starts[r + 1]):
            add_scaled(out, values[i], view(weights_at, (indices[i] + 1) * n, real), indices[i] * n)


def csr_gradient(
    step, task, start_at, indices_at, values_at, delta_at, ld, gradient_at, n, n_features, init,
    block
):  # fmt: skip
    # gradient (n_features, n) = or += X^T delta, for the task's features. Rows are taken in
    # order, so each sum is the dense one without its zeros.
    rows = view(step, N_STEP, np.int64)[ROWS]
    low, high = task * block, min(task * block + block, n_features)
    gradient = view(gradient_at, high * n, real)  # (n_features, n)
    if init == ZERO:
        for i in range(low * n, high * n):
            gradient[i] = real(0)
    starts = view(start_at, rows + 1, np.int64)  # (rows + 1,)
    indices = view(indices_at, starts[rows], np.int64)  # (nnz,)
    values = view(values_at, starts[rows], real)  # (nnz,)
    delta = view(delta_at, rows * ld, real)  # (rows, ld)
    for r in range(rows):
        i, end = starts[r], starts[r + 1]
        i += first_not_below(part(indices, i, end), low)
        while i < end and indices[i] < high:
            at = indices[i] * n
            add_scaled(part(gradient, at, at + n), values[i], delta, r * ld)
            i += 1


def add_scaled(out, scale, x, offset):
    # out += scale * x[offset:], each with one rounding.
    row = part(x, offset, offset + out.shape[0])
    for j in range(out.shape[0]):
        out[j] = fma(scale, row[j], out[j])


def first_not_below(indices, value):
    # The first place in the sorted indices whose entry is not below the value.
    low, high = 0, indices.shape[0]
    while low < high:
        middle = quotient(low + high, 2)
        if indices[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


def pack_panels(step, task, source_at, k_stride, column_stride, packed_at, k, n, along_k, block):
    # Pack B (k, n): ``block`` rows of it a task where along_k, else ``block`` columns.
    size = k if along_k else n
    low, high = task * block, min(task * block + block, size)
    far = np.int64(1) << np.int64(40)
    source, packed = view(source_at, far, real), view(packed_at, far, real)
    rows = (low, high) if along_k else (0, k)
    columns = (0, n) if along_k else (low, high)
    pack(source, k_stride, column_stride, packed, k, n, rows[0], rows[1], columns[0], columns[1])
