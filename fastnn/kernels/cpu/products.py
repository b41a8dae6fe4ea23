"""Products of matrices: templates of their units, and of the packing before them.

The register tiles take long to compile, so one unit of each precision has them: `multiply`. The
units of a product, such as `weight_gradient`, find out what their task is, in whole elements of
``itemsize`` bytes and so for both precisions alike, and call `multiply` at ``multiply_at``.
"""

import numpy as np

from fastnn.kernels.catalog import Unit, make_unit
from fastnn.kernels.cpu import matmul
from fastnn.kernels.cpu.compiler import COMPILER
from fastnn.kernels.cpu.matmul import Factor, Matrix, call_multiply
from fastnn.kernels.memory import view
from fastnn.kernels.units import BIAS, N_STEP, ROW, ROWS, ZERO


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


def pack_panels(step, task, source_at, k_stride, column_stride, packed_at, k, n, along_k, block):
    # Pack B (k, n): ``block`` rows of it a task where along_k, else ``block`` columns.
    size = k if along_k else n
    low, high = task * block, min(task * block + block, size)
    far = np.int64(1) << np.int64(40)
    source, packed = view(source_at, far, real), view(packed_at, far, real)
    rows = (low, high) if along_k else (0, k)
    columns = (0, n) if along_k else (low, high)
    pack(Matrix(source, k_stride, column_stride), packed, k, n, rows, columns)


# ---- the units -------------------------------------------------------------------------------


def _of_matmul(name):
    """A factory of "matmul" or of "pack"."""
    return lambda compiler, precision: matmul.bindings(precision)[name]


def multiply_at(precision):
    """The address of the one function that multiplies matrices of a precision."""
    return COMPILER.compile(make_unit(multiply, precision, matmul=_of_matmul("matmul")))


def factors(precision):
    """Arguments that every product has: the address of `multiply`, and the bytes of an element."""
    return {"multiply_at": multiply_at(precision), "itemsize": np.dtype(precision).itemsize}


def _without_mathematics(template):
    """A unit that needs no mathematics of a precision."""
    return Unit(template.__name__, template, lambda compiler: {})


def multiply_rows_unit():
    return _without_mathematics(multiply_rows)


def weight_gradient_unit():
    return _without_mathematics(weight_gradient)


def part_gradient_unit():
    return _without_mathematics(part_gradient)


def multiply_matrices_unit():
    return _without_mathematics(multiply_matrices)


def pack_unit(precision):
    return make_unit(pack_panels, precision, pack=_of_matmul("pack"))
