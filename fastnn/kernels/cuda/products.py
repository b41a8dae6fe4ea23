"""Units of products on a GPU: which tile of which matrices a task is; see tiles.py."""

import numpy as np

from fastnn.kernels.catalog import bound, constant, make_unit
from fastnn.kernels.cuda.tiles import Factor
from fastnn.kernels.memory import quotient, remainder, view
from fastnn.kernels.plan import N_STEP, ROW, ROWS
from fastnn.kernels.units import BIAS, ZERO


def multiply_rows(
    step,
    task,
    a_at,
    a_stride,
    a_moves,
    b_at,
    b_row_stride,
    b_column_stride,
    c_at,
    c_stride,
    c_moves,
    bias_at,
    n,
    k,
    block,
    column_block,
):
    # C (rows, n) = bias, or 0 where there is none, + A (rows, k) B (k, n), for some of its rows and
    # columns. What moves, A or C, has all the data's rows, and the mini-batch's begin at the step's
    # first row.
    state = view(step, N_STEP, np.int64)  # (8,)
    across = quotient(n + column_block - 1, column_block)
    row, column = quotient(task, across) * block, remainder(task, across) * column_block
    a = Factor(a_at + a_moves * state[ROW] * a_stride * ITEMSIZE, a_stride, np.int64(1))
    c = Factor(c_at + c_moves * state[ROW] * c_stride * ITEMSIZE, c_stride, np.int64(1))
    region = (row, min(row + block, state[ROWS]), column, min(column + column_block, n))
    b = Factor(b_at, b_row_stride, b_column_stride)
    multiply_region(a, b, c, bias_at, BIAS if bias_at != 0 else ZERO, region, (0, 0, k))


def weight_gradient(
    step, task, a_at, a_stride, a_moves, delta_at, delta_stride, gradient_at, init, m, n
):
    # A tile of gradient (m, n) = or += A^T delta, summed over all rows of the mini-batch, of A
    # (rows, m) and delta (rows, n). A may move as above.
    state = view(step, N_STEP, np.int64)  # (8,)
    a = Factor(a_at + a_moves * state[ROW] * a_stride * ITEMSIZE, np.int64(1), a_stride)
    region, sizes = tile_of(task, m, n), (m, n, state[ROWS])
    delta = Factor(delta_at, delta_stride, np.int64(1))
    multiply_region(a, delta, Factor(gradient_at, n, np.int64(1)), 0, init, region, sizes)


def tile_of(task, m, n):
    # The region (first row, last, first column, last) of one tile of a matrix (m, n).
    across = quotient(n + TILE_N - 1, TILE_N)
    row, column = quotient(task, across) * TILE_M, remainder(task, across) * TILE_N
    return row, min(row + TILE_M, m), column, min(column + TILE_N, n)


def part_gradient(
    step, task, a_at, a_stride, delta_at, delta_stride, parts_at, n_params, m, n, part_block
):
    # A tile of one of the parts (m, n) = A^T delta, each summed over ``part_block`` rows of the
    # mini-batch, of A (rows, m) and delta (rows, n). Parts lie n_params apart.
    rows = view(step, N_STEP, np.int64)[ROWS]
    across = quotient(n + TILE_N - 1, TILE_N) * quotient(m + TILE_M - 1, TILE_M)
    number, tile = quotient(task, across), remainder(task, across)
    first = number * part_block
    a = Factor(a_at + first * a_stride * ITEMSIZE, np.int64(1), a_stride)
    delta = Factor(delta_at + first * delta_stride * ITEMSIZE, delta_stride, np.int64(1))
    own_part = Factor(parts_at + number * n_params * ITEMSIZE, n, np.int64(1))
    sizes = (m, n, min(part_block, rows - first))
    multiply_region(a, delta, own_part, 0, ZERO, tile_of(tile, m, n), sizes)


def bias_gradient(step, task, delta_at, delta_stride, gradient_at, init, n):
    # gradient (n,) = or += the sum of delta (rows, n) over the rows, in order.
    rows = view(step, N_STEP, np.int64)[ROWS]
    sum_columns(delta_at, delta_stride, gradient_at, init, n, rows)


def part_bias_gradient(step, task, delta_at, delta_stride, parts_at, n_params, n, part_block):
    # The same for one of the parts, each of ``part_block`` rows.
    first = task * part_block
    size = min(part_block, view(step, N_STEP, np.int64)[ROWS] - first)
    delta_at += first * delta_stride * ITEMSIZE
    sum_columns(delta_at, delta_stride, parts_at + task * n_params * ITEMSIZE, ZERO, n, size)


def sum_columns(delta_at, delta_stride, gradient_at, init, n, rows):
    delta = view(delta_at, rows * delta_stride, real)  # (rows, delta_stride)
    gradient = view(gradient_at, n, real)  # (n,)
    for j in by_threads(n):
        total = real(0) if init == ZERO else gradient[j]
        for r in range(rows):
            total += delta[r * delta_stride + j]
        gradient[j] = total


def multiply_matrices(
    step, task, a_at, a_row_stride, a_k_stride, b_at, b_row_stride, b_column_stride, c_at, m, n, k
):
    # A tile of C (m, n) = A (m, k) B (k, n); the mini-batch has no part in it.
    a = Factor(a_at, a_row_stride, a_k_stride)
    b = Factor(b_at, b_row_stride, b_column_stride)
    multiply_region(a, b, Factor(c_at, n, np.int64(1)), 0, ZERO, tile_of(task, m, n), (m, n, k))


# ---- the units -------------------------------------------------------------------------------


def product_unit(template, precision, tile):
    """The unit of a product by tiles of this shape."""

    def multiply_region(compiler, precision):
        return compiler.product_functions(precision, tile)["multiply_region"]

    sizes = {"TILE_M": constant(tile.tile_m), "TILE_N": constant(tile.tile_n)}
    return make_unit(
        template,
        precision,
        tile.label,
        multiply_region=multiply_region,
        tile_of=bound(tile_of, tile.label, **sizes),
        **sizes,
    )


def bias_gradient_unit(precision):
    return make_unit(bias_gradient, precision)


def part_bias_gradient_unit(precision):
    return make_unit(part_bias_gradient, precision)
