"""The blocked matmul on the register tile, and the packing of its right factor.

C (m, n) = init + A (m, k) B (k, n). A has any strides and is read by scalar broadcast. The
rows of B are contiguous: either B lies in memory as it is, or it is packed. Packed B is a
sequence of panels, each `columns` of the tile wide (the last as wide as it needs to be, in
whole vectors) and k rows deep, so that the tile reads memory in order; the panel of column j
starts at element j * k.

``tile``, ``edge_tile``, ``narrow_tile`` and the tile's sizes are bound by `bindings`.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import types as nb
from numba.extending import intrinsic

from fastnn.kernels.cpu import jit, simd
from fastnn.kernels.memory import part, quotient
from fastnn.kernels.numba_internals import emit_call

# BLOCK_K is the depth of a block of k: a panel of it stays in the first-level cache.
BLOCK_K = 512
# Up to FEW_ROWS rows of C, the product goes row by row: a register tile always computes all of its
# rows, and those that do not exist in vain.
FEW_ROWS = 3


class Matrix(NamedTuple):
    """A matrix in memory: element (i, j) is ``values[i * row_stride + j * column_stride]``."""

    values: np.ndarray
    row_stride: int
    column_stride: int


class Factor(NamedTuple):
    """The right factor of a product: rows that lie ``row_stride`` apart, or packed panels."""

    values: np.ndarray
    row_stride: int
    packed: bool


def from_place(matrix, i, j):
    # The matrix from its element (i, j) on.
    start = i * matrix.row_stride + j * matrix.column_stride
    values = part(matrix.values, start, matrix.values.shape[0])
    return Matrix(values, matrix.row_stride, matrix.column_stride)


def matmul_rows(a, b, c, bias, init, m, n, k):
    # `matmul` for a few rows and B as it lies in memory: row by row, as wide as registers allow.
    rows = Matrix(b.values, b.row_stride, 1)
    for i in range(m):
        left = from_place(a, i, 0)
        for j in range(0, n, ROW_COLUMNS):
            if n - j >= ROW_COLUMNS:
                right, sums = from_place(rows, 0, j), from_place(c, i, j)
                row_tile(left, right, sums, part(bias, j, n), init, k, 1, ROW_COLUMNS)
                continue
            for rest in range(j, n, LANES):
                right, sums = from_place(rows, 0, rest), from_place(c, i, rest)
                row_edge(left, right, sums, part(bias, rest, n), init, k, 1, n - rest)


def panel_at(b, p, j, k, n):
    # The rows of B from p and its columns from j on, within the panel that has column j.
    if not b.packed:
        return from_place(Matrix(b.values, b.row_stride, 1), p, j)
    first = quotient(j, COLUMNS) * COLUMNS
    stride = COLUMNS if n - first > LANES else LANES
    start = first * k + p * stride + j - first
    return Matrix(part(b.values, start, b.values.shape[0]), stride, 1)


def matmul(a, b, c, bias, init, m, n, k):
    # The sums start from zero, from C or from the bias, as init says. Where B is packed, nothing
    # reads its stride.
    if m <= FEW_ROWS and not b.packed:
        matmul_rows(a, b, c, bias, init, m, n, k)
        return
    for p in range(0, k, BLOCK_K):
        depth = min(BLOCK_K, k - p)
        start = init if p == 0 else 1
        j = 0
        while j < n:
            width = tile_width(n - j)
            right, own_bias = panel_at(b, p, j, k, n), part(bias, j, n)
            for i in range(0, m, ROWS):
                height = min(ROWS, m - i)
                left, sums = from_place(a, i, p), from_place(c, i, j)
                if width <= HALF:
                    half_tile(left, right, sums, own_bias, start, depth, height, width)
                elif width <= LANES:
                    narrow_tile(left, right, sums, own_bias, start, depth, height, width)
                elif height == ROWS and width == COLUMNS:
                    tile(left, right, sums, own_bias, start, depth, height, width)
                else:
                    edge_tile(left, right, sums, own_bias, start, depth, height, width)
            j += width


def tile_width(columns):
    # Returns the columns that the next tile takes of those that are left. Two tiles take a vector
    # and a half.
    if columns >= COLUMNS:
        return COLUMNS
    return LANES if LANES < columns <= LANES + HALF else columns


def pack(source, packed, k, n, rows, columns):
    # Copy the rows and columns of B between these limits into panels; the first column is that of
    # a panel. Either the rows or the columns of B are contiguous. Some rows of all panels are
    # copied at a time, as rows may be a power of two apart, and few of those survive in the
    # first-level cache.
    for first in range(rows[0], rows[1], LANES):
        last = min(first + LANES, rows[1])
        for j in range(columns[0], columns[1], COLUMNS):
            stride = COLUMNS if n - j > LANES else LANES
            width = min(stride, columns[1] - j)
            panel = Matrix(part(packed, j * k, packed.shape[0]), stride, 1)  # (k, stride)
            if source.column_stride == 1:
                pack_rows(from_place(source, 0, j), panel, first, last, width)
            else:
                pack_columns(from_place(source, 0, j), panel, first, last, width)


def pack_rows(source, panel, first, last, width):
    # The first ``width`` columns of some rows.
    for p in range(first, last):
        row = from_place(source, p, 0).values
        packed_row = from_place(panel, p, 0).values
        for column in range(width):
            packed_row[column] = row[column]


def pack_columns(source, panel, first, last, width):
    for column in range(0, width, LANES):
        own, target = from_place(source, first, column), from_place(panel, first, column)
        if last - first == LANES and width - column >= LANES:
            transpose(own.values, 0, source.column_stride, target.values, 0, panel.row_stride)
            continue
        for i in range(min(LANES, width - column)):
            for p in range(last - first):
                target.values[p * panel.row_stride + i] = own.values[i * source.column_stride + p]


@intrinsic
def call_multiply(typingctx, multiply_at, a, b, c, bias_at, init, sizes):
    """Call the compiled `fastnn.kernels.cpu.products.multiply` at that address.

    Of A, B and C it takes the address and the strides, of B whether it is packed, too; the sizes
    are m, n and k.
    """

    def codegen(context, builder, signature, values):
        words = []
        for kind, value in zip(signature.args, values, strict=True):
            parts = range(len(kind)) if isinstance(kind, nb.BaseTuple) else ()
            words += [builder.extract_value(value, i) for i in parts] or [value]
        emit_call(builder, words[0], words[1:])
        return context.get_dummy_value()

    i, three = nb.int64, nb.UniTuple(nb.int64, 3)
    return nb.void(i, three, three, nb.UniTuple(nb.int64, 2), i, i, three), codegen


def packed_size(k, n, precision):
    """The number of elements of B (k, n) when packed."""
    tile = simd.tile_shape(precision)
    whole, rest = divmod(n, tile.columns)
    rest_width = 0 if rest == 0 else tile.lanes if rest <= tile.lanes else tile.columns
    return k * (whole * tile.columns + rest_width)


@cache
def bindings(precision):
    """The names that the functions of this module leave open, and the functions."""
    shape = simd.tile_shape(precision)
    narrow = simd.Tile(shape.rows, 1, shape.lanes)
    half = simd.Tile(shape.rows, 1, shape.lanes // 2)
    row = simd.Tile(1, 4, shape.lanes)
    names = {
        "ROW_COLUMNS": row.columns,
        "row_tile": simd.make_tile(precision, row, edge=False),
        "row_edge": simd.make_tile(precision, simd.Tile(1, 1, shape.lanes), edge=True),
        "ROWS": shape.rows,
        "COLUMNS": shape.columns,
        "LANES": shape.lanes,
        "HALF": half.lanes,
        "transpose": simd.make_transpose(precision, shape.lanes),
        "tile": simd.make_tile(precision, shape, edge=False),
        "edge_tile": simd.make_tile(precision, shape, edge=True),
        "narrow_tile": simd.make_tile(precision, narrow, edge=True),
        "half_tile": simd.make_tile(precision, half, edge=True),
    }
    for helper in (from_place, tile_width, matmul_rows, panel_at, pack_rows, pack_columns):
        name = helper.__name__
        names[name] = jit.bind(helper, f"{name}_{precision}", **names)
    return {
        "matmul": jit.bind(matmul, f"matmul_{precision}", **names),
        "pack": jit.bind(pack, f"pack_{precision}", **names),
    }
