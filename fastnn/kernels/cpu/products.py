"""Products of matrices: templates of their units, and of the packing before them.

The register tiles take long to compile, so one unit of each precision has them: `multiply`. The
units of a product, such as `weight_gradient`, find out what their task is, in whole elements of
``itemsize`` bytes and so for both precisions alike, and call `multiply` at ``multiply_at``.
"""

import numpy as np

from fastnn.kernels.cpu.jit import part, quotient, span, view
from fastnn.kernels.cpu.matmul import Factor, Matrix, call_multiply
from fastnn.kernels.units import BIAS, N_STEP, ROW, ROWS, ZERO, rows_of_task


def multiply(
    a_at, row_stride, k_stride, b_at, b_stride, packed, c_at, c_stride, bias_at, init, m, n, k
):
    # C (m, n) = init + A (m, k) B (k, n). No unit of a plan: those below call it.
    far = np.int64(1) << np.int64(40)
    a, b, c = view(a_at, far, real), view(b_at, far, real), view(c_at, far, real)
    bias = view(bias_at, n, real)  # (n,), read only where the sums start from it
    if n == 1 and row_stride == 1 and c_stride == 1 and init != BIAS and packed == 0:
        # One column wastes the lanes of a vector: C' = B' A' instead, the same sums.
        a, b = b, a
        k_stride, b_stride = b_stride, k_stride
        m, n = n, m
    left, sums = Matrix(a, row_stride, k_stride), Matrix(c, c_stride, 1)
    matmul(left, Factor(b, b_stride, packed != 0), sums, bias, init, m, n, k)


def multiply_rows(
    step,
    task,
    multiply_at,
    itemsize,
    a_at,
    a_stride,
    a_moves,
    b_at,
    b_stride,
    packed,
    c_at,
    c_stride,
    c_moves,
    bias_at,
    init,
    n,
    k,
    block,
):
    # C (rows, n) = init + A (rows, k) B (k, n), for the task's rows of the mini-batch. What moves,
    # A or C, has all the data's rows, and the mini-batch's begin at the step's first row.
    state = view(step, N_STEP, np.int64)  # (8,)
    first = task * block
    a_row, c_row = first + a_moves * state[ROW], first + c_moves * state[ROW]
    a = (a_at + a_row * a_stride * itemsize, a_stride, 1)
    c = (c_at + c_row * c_stride * itemsize, c_stride)
    m = min(block, state[ROWS] - first)
    call_multiply(multiply_at, a, (b_at, b_stride, packed), c, bias_at, init, (m, n, k))


def weight_gradient(
    step,
    task,
    multiply_at,
    itemsize,
    a_at,
    a_stride,
    a_moves,
    delta_at,
    delta_stride,
    gradient_at,
    init,
    m,
    n,
    block,
):
    # gradient (m, n) = or += A^T delta, for the task's rows of it, summed over all rows of the
    # mini-batch, of A (rows, m) and delta (rows, n). A may move as above.
    state = view(step, N_STEP, np.int64)  # (8,)
    first, a_row = task * block, a_moves * state[ROW]
    a = (a_at + (a_row * a_stride + first) * itemsize, 1, a_stride)
    gradient = (gradient_at + first * n * itemsize, n)
    sizes = (min(block, m - first), n, state[ROWS])
    call_multiply(multiply_at, a, (delta_at, delta_stride, 0), gradient, 0, init, sizes)


def part_gradient(
    step,
    task,
    multiply_at,
    itemsize,
    a_at,
    a_stride,
    delta_at,
    delta_stride,
    parts_at,
    n_params,
    m,
    n,
    block,
):
    # The task's part (m, n) = A^T delta, summed over the task's rows of the mini-batch, of A
    # (rows, m) and delta (rows, n). Parts lie n_params apart.
    first = task * block
    a = (a_at + first * a_stride * itemsize, 1, a_stride)
    delta = (delta_at + first * delta_stride * itemsize, delta_stride, 0)
    own_part = (parts_at + task * n_params * itemsize, n)
    k = min(block, view(step, N_STEP, np.int64)[ROWS] - first)
    call_multiply(multiply_at, a, delta, own_part, 0, ZERO, (m, n, k))


def multiply_matrices(
    step,
    task,
    multiply_at,
    itemsize,
    a_at,
    row_stride,
    k_stride,
    b_at,
    b_stride,
    packed,
    c_at,
    m,
    n,
    k,
    block,
):
    # C (m, n) = A (m, k) B (k, n), for the task's rows of C; the mini-batch has no part in it.
    first = task * block
    a = (a_at + first * row_stride * itemsize, row_stride, k_stride)
    c = (c_at + first * n * itemsize, n)
    sizes = (min(block, m - first), n, k)
    call_multiply(multiply_at, a, (b_at, b_stride, packed), c, 0, ZERO, sizes)


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
    for r in range(first, last):
        out = span(c_at, (shift + r) * ld, (shift + r) * ld + n, real)  # (n,)
        for j in range(n):
            out[j] = bias[j]
        for i in range(starts[r], starts[r + 1]):
            add_scaled(out, values[i], view(weights_at, (indices[i] + 1) * n, real), indices[i] * n)


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
    # Returns the first place in the sorted indices whose entry is not below the value.
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
    pack(Matrix(source, k_stride, column_stride), packed, k, n, rows, columns)
