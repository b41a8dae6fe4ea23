"""Products of matrices by tiles: templates that the threads of a block carry out together.

A block makes one tile of C at a time, and a thread (ROWS, COLUMNS) sums of it. The factors come by
way of the block's fast memory, DEPTH steps of k at a time, while those before are multiplied.
Every sum goes through k in order, with explicit fma's, as on the CPU.

A thread's sums are in groups of QUARTER, which lie a fraction of the tile apart, so that the
threads of a warp read fast memory in a row. The names in capitals are those of a `Tile`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastnn.kernels.cuda.lead import STEP_BYTES
from fastnn.kernels.memory import quotient, remainder, span, view
from fastnn.kernels.units import BIAS, ZERO


@dataclass(frozen=True)
class Tile:
    """The shape of a tile.

    Parameters
    ----------
    rows, columns : int
        The sums of a thread.
    threads_m, threads_n : int
        The threads of a block, along the rows and the columns of the tile.
    depth : int
        The steps of k that are in fast memory at a time.
    quarter : int
        The sums of a thread that lie side by side.
    """

    rows: int
    columns: int
    threads_m: int
    threads_n: int
    depth: int
    quarter: int

    @property
    def tile_m(self):
        """Rows of the tile."""
        return self.rows * self.threads_m

    @property
    def tile_n(self):
        """Columns of the tile."""
        return self.columns * self.threads_n

    @property
    def label(self):
        """The tile's size, for names of what is compiled for it."""
        return f"{self.tile_m}x{self.tile_n}"

    def count(self, m, n):
        """The tiles that a matrix (m, n) has."""
        return -(-m // self.tile_m) * -(-n // self.tile_n)

    @property
    def n_threads(self):
        return self.threads_m * self.threads_n

    @property
    def stage(self):
        """Elements of both factors that are in fast memory at a time."""
        return self.depth * (self.tile_m + self.tile_n)

    def fast_bytes(self, itemsize):
        """Bytes of fast memory that a product needs: two stages, by turns."""
        return 2 * self.stage * itemsize

    def names(self):
        """The values of the templates' names in capitals."""
        return {
            "SUM_ROWS": self.rows, "SUM_COLUMNS": self.columns, "N_SUMS": self.rows * self.columns,
            "TILE_M": self.tile_m, "TILE_N": self.tile_n, "DEPTH": self.depth,
            "THREADS_N": self.threads_n, "QUARTER": self.quarter, "STAGE": self.stage,
            "ROW_QUARTERS": self.rows // self.quarter, "N_THREADS": self.n_threads,
            "COLUMN_QUARTERS": self.columns // self.quarter,
            "ACROSS_M": self.threads_m * self.quarter, "ACROSS_N": self.threads_n * self.quarter,
            "A_EACH": -(-self.depth * self.tile_m // self.n_threads),
            "B_EACH": -(-self.depth * self.tile_n // self.n_threads),
        }  # fmt: skip


def tiles_of(n_threads, precision="float32"):
    """The tiles of blocks of so many threads, a power of two and at least 16: small and wide.

    A sum in float64 takes two registers.
    """
    threads_m = 1 << (n_threads.bit_length() - 1) // 2
    threads_n = n_threads // threads_m
    small = Tile(2, 2, threads_m, threads_n, depth=16, quarter=2)
    columns = 8 if precision == "float32" else 4
    return small, Tile(8, columns, threads_m, threads_n, depth=8, quarter=4)


class Factor(NamedTuple):
    """A matrix: element (i, j) lies ``i * row_stride + j * column_stride`` after that at ``at``."""

    at: int
    row_stride: int
    column_stride: int


class Place(NamedTuple):
    """A tile of C, by its first row and column, and how large C and the sums are."""

    row: int
    column: int
    m: int
    n: int
    k: int


def multiply_tile(a, b, c, bias_at, init, place):
    # The tile of C (m, n) = init + A (m, k) B (k, n), whose threads begin and end together.
    stage = fast_view(STEP_BYTES, 2 * STAGE, real)  # (2, DEPTH, TILE_M + TILE_N)
    sums, left, right = sum_registers(), row_registers(), column_registers()
    next_a, next_b = a_registers(), b_registers()
    thread = thread_number()
    thread_m, thread_n = quotient(thread, THREADS_N), remainder(thread, THREADS_N)
    begin_sums(sums, c, bias_at, init, place, thread_m * QUARTER, thread_n * QUARTER)
    bring(a, b, place, 0, next_a, next_b)
    at = np.int64(0)
    for p in range(0, place.k, DEPTH):
        put(stage, at, a, b, next_a, next_b)
        sync()
        if p + DEPTH < place.k:
            bring(a, b, place, p + DEPTH, next_a, next_b)
        a_at = at + thread_m * QUARTER
        b_at = at + DEPTH * TILE_M + thread_n * QUARTER
        if p + DEPTH <= place.k:
            # Two at a time, as the compiler does not unroll a loop around loops.
            for _ in range(0, DEPTH, 2):
                add_products(sums, left, right, stage, a_at, b_at)
                add_products(sums, left, right, stage, a_at + TILE_M, b_at + TILE_N)
                a_at += 2 * TILE_M
                b_at += 2 * TILE_N
        else:
            for _ in range(place.k - p):
                add_products(sums, left, right, stage, a_at, b_at)
                a_at += TILE_M
                b_at += TILE_N
        at = STAGE - at
    end_sums(sums, c, place, thread_m * QUARTER, thread_n * QUARTER)
    sync()


def begin_sums(sums, c, bias_at, init, place, own_row, own_column):
    # The sums start from zero, from the bias or from C.
    for i in range(N_SUMS):
        sums[i] = real(0)
    if init == ZERO:
        return
    # One loop and no branches, or the sums would not be kept in registers.
    for i in range(N_SUMS):
        row = place.row + own_row + in_tile(quotient(i, SUM_COLUMNS), ACROSS_M)
        column = place.column + own_column + in_tile(remainder(i, SUM_COLUMNS), ACROSS_N)
        # Beyond the edges it is the last again, which is not stored.
        row, column = min(row, place.m - 1), min(column, place.n - 1)
        at = bias_at + column * ITEMSIZE
        if init != BIAS:
            at = c.at + (row * c.row_stride + column) * ITEMSIZE
        sums[i] = view(at, 1, real)[0]


def in_tile(i, across):
    # The row or the column of one of the thread's sums, from its first on.
    return quotient(i, QUARTER) * across + remainder(i, QUARTER)


def end_sums(sums, c, place, own_row, own_column):
    for i in range(SUM_ROWS):
        row = place.row + own_row + in_tile(i, ACROSS_M)
        for j in range(SUM_COLUMNS):
            column = place.column + own_column + in_tile(j, ACROSS_N)
            if row < place.m and column < place.n:
                at = row * c.row_stride + column
                span(c.at, at, at + 1, real)[0] = sums[i * SUM_COLUMNS + j]


def a_place(a, i):
    # Which element of the tile of A a thread brings: its step of k, and its row. Those that lie
    # side by side in memory are brought by threads side by side.
    if a.column_stride == 1:
        return remainder(i, DEPTH), quotient(i, DEPTH)
    return quotient(i, TILE_M), remainder(i, TILE_M)


def b_place(b, i):
    if b.column_stride == 1:
        return quotient(i, TILE_N), remainder(i, TILE_N)
    return remainder(i, DEPTH), quotient(i, DEPTH)


def bring(a, b, place, p, next_a, next_b):
    # The thread's elements of the stage that begins at step p of k. Beyond the edges they are zero,
    # and no sum that counts has any of them.
    thread = thread_number()
    for e in range(A_EACH):
        step, row = a_place(a, thread + e * N_THREADS)
        value = real(0)
        if step < DEPTH and p + step < place.k and place.row + row < place.m:
            at = (place.row + row) * a.row_stride + (p + step) * a.column_stride
            value = span(a.at, at, at + 1, real)[0]
        next_a[e] = value
    for e in range(B_EACH):
        step, column = b_place(b, thread + e * N_THREADS)
        value = real(0)
        if step < DEPTH and p + step < place.k and place.column + column < place.n:
            at = (p + step) * b.row_stride + (place.column + column) * b.column_stride
            value = span(b.at, at, at + 1, real)[0]
        next_b[e] = value


def put(stage, at, a, b, next_a, next_b):
    thread = thread_number()
    for e in range(A_EACH):
        step, row = a_place(a, thread + e * N_THREADS)
        if step < DEPTH and row < TILE_M:
            stage[at + step * TILE_M + row] = next_a[e]
    for e in range(B_EACH):
        step, column = b_place(b, thread + e * N_THREADS)
        if step < DEPTH and column < TILE_N:
            stage[at + DEPTH * TILE_M + step * TILE_N + column] = next_b[e]


def add_products(sums, left, right, stage, a_at, b_at):
    # One step of k: some of A, some of B, and their products.
    for i in range(ROW_QUARTERS):
        fetch(stage, a_at + i * ACROSS_M, left, i * QUARTER)
    for j in range(COLUMN_QUARTERS):
        fetch(stage, b_at + j * ACROSS_N, right, j * QUARTER)
    for i in range(SUM_ROWS):
        for j in range(SUM_COLUMNS):
            at = i * SUM_COLUMNS + j
            sums[at] = fma(left[i], right[j], sums[at])


def multiply_region(a, b, c, bias_at, init, region, sizes):
    # C within a region, (first row, one past the last, first column, one past the last).
    for row in range(region[0], region[1], TILE_M):
        for column in range(region[2], region[3], TILE_N):
            place = Place(row, column, region[1], region[3], sizes[2])
            multiply_tile(a, b, c, bias_at, init, place)


def call_multiply(multiply_at, a, b, c, bias_at, init, sizes):
    # All of C, on the way of a unit that is no product; see the CPU's `call_multiply`.
    m, n, _ = sizes
    sync()
    left, right = Factor(a[0], a[1], a[2]), Factor(b[0], b[1], np.int64(1))
    multiply_region(
        left, right, Factor(c[0], c[1], np.int64(1)), bias_at, init, (0, m, 0, n), sizes
    )


# The functions of a product, in the order in which they are to be bound.
PARTS = (
    in_tile, begin_sums, end_sums, a_place, b_place, bring, put, add_products, multiply_tile,
    multiply_region,
)  # fmt: skip
