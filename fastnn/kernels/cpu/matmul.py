"""The blocked matmul on the register tile, and the packing of its right factor.

C (m, n) = init + A (m, k) B (k, n). A has any strides and is read by scalar broadcast. The
rows of B are contiguous: either B lies in memory as it is, or it is packed. Packed B is a
sequence of panels, each `columns` of the tile wide (the last as wide as it needs to be, in
whole vectors) and k rows deep, so that the tile reads memory in order; the panel of column j
starts at element j * k.

``tile``, ``edge_tile``, ``narrow_tile`` and the tile's sizes are bound by `bindings`.
"""

from functools import cache

from llvmlite import ir
from numba import types as nb
from numba.extending import intrinsic

from fastnn.kernels.cpu import jit, simd
from fastnn.kernels.cpu.jit import part, quotient

# BLOCK_K is the depth of a block of k: a panel of it stays in the first-level cache.
BLOCK_K = 512
# Up to FEW_ROWS rows of C, the product goes row by row: a register tile always computes all of its
# rows, and those that do not exist in vain.
FEW_ROWS = 3


def matmul_rows(a, row_stride, k_stride, b, b_stride, k, c, c_stride, bias, init, m, n):
    # `matmul` for a few rows and B as it lies in memory: row by row, as wide as registers allow.
    for i in range(m):
        for j in range(0, n, ROW_COLUMNS):
            if n - j >= ROW_COLUMNS:
                row_tile(a, i * row_stride, row_stride, k_stride, b, j, b_stride, k,
                         c, i * c_stride + j, c_stride, bias, j, init, 1, ROW_COLUMNS)  # fmt: skip
                continue
            for rest in range(j, n, LANES):
                row_edge(a, i * row_stride, row_stride, k_stride, b, rest, b_stride, k, c,
                         i * c_stride + rest, c_stride, bias, rest, init, 1, n - rest)  # fmt: skip


def matmul(a, row_stride, k_stride, b, b_stride, packed, k, c, c_stride, bias, init, m, n):
    # The sums start from zero, from C or from the bias, as init says. Where B is packed, nothing
    # reads b_stride.
    if m <= FEW_ROWS and not packed:
        matmul_rows(a, row_stride, k_stride, b, b_stride, k, c, c_stride, bias, init, m, n)
        return
    for p in range(0, k, BLOCK_K):
        depth = min(BLOCK_K, k - p)
        start = init if p == 0 else 1
        j = 0
        while j < n:
            width = tile_width(n - j)
            if packed:
                panel = quotient(j, COLUMNS) * COLUMNS
                stride = COLUMNS if n - panel > LANES else LANES
                b_offset = panel * k + p * stride + j - panel
            else:
                stride = b_stride
                b_offset = p * b_stride + j
            for i in range(0, m, ROWS):
                height = min(ROWS, m - i)
                a_offset = i * row_stride + p * k_stride
                c_offset = i * c_stride + j
                if width <= HALF:
                    half_tile(a, a_offset, row_stride, k_stride, b, b_offset, stride, depth,
                              c, c_offset, c_stride, bias, j, start, height, width)  # fmt: skip
                elif width <= LANES:
                    narrow_tile(a, a_offset, row_stride, k_stride, b, b_offset, stride, depth,
                                c, c_offset, c_stride, bias, j, start, height, width)  # fmt: skip
                elif height == ROWS and width == COLUMNS:
                    tile(a, a_offset, row_stride, k_stride, b, b_offset, stride, depth,
                         c, c_offset, c_stride, bias, j, start, height, width)  # fmt: skip
                else:
                    edge_tile(a, a_offset, row_stride, k_stride, b, b_offset, stride, depth,
                              c, c_offset, c_stride, bias, j, start, height, width)  # fmt: skip
            j += width


def tile_width(columns):
    # Returns the columns that the next tile takes of those that are left. Two tiles take a vector
    # and a half.
    if columns >= COLUMNS:
        return COLUMNS
    return LANES if LANES < columns <= LANES + HALF else columns


def pack(source, k_stride, column_stride, packed, k, n, p_start, p_stop, j_start, j_stop):
    # Copy rows p and columns j of B into panels; j_start is the first column of a panel. Either
    # the rows or the columns of B are contiguous. Some rows of all panels are copied at a time, as
    # rows may be a power of two apart, and few of those survive in the first-level cache.
    for first in range(p_start, p_stop, LANES):
        last = min(first + LANES, p_stop)
        for j in range(j_start, j_stop, COLUMNS):
            stride = COLUMNS if n - j > LANES else LANES
            width = min(stride, j_stop - j)
            if column_stride == 1:
                pack_rows(source, k_stride, packed, j * k, stride, first, last, j, width)
            else:
                pack_columns(source, column_stride, packed, j * k, stride, first, last, j, width)


def pack_rows(source, k_stride, packed, panel, stride, first, last, j, width):
    # ``panel`` is where the panel (k, stride) begins.
    for p in range(first, last):
        offset, target = p * k_stride + j, panel + p * stride
        row = part(source, offset, offset + width)
        packed_row = part(packed, target, target + width)
        for column in range(width):
            packed_row[column] = row[column]


def pack_columns(source, column_stride, packed, panel, stride, first, last, j, width):
    for column in range(0, width, LANES):
        offset, target = (j + column) * column_stride, panel + column
        if last - first == LANES and width - column >= LANES:
            transpose(
                source, offset + first, column_stride, packed, target + first * stride, stride
            )
            continue
        for i in range(min(LANES, width - column)):
            for p in range(first, last):
                packed[target + p * stride + i] = source[offset + i * column_stride + p]


@intrinsic
def call_multiply(
    typingctx, multiply_at, a_at, row_stride, k_stride, b_at, b_stride, packed, k, c_at, c_stride,
    bias_at, init, m, n
):  # fmt: skip
    """Call the compiled `fastnn.kernels.cpu.products.multiply` at that address."""

    def codegen(context, builder, signature, values):
        kind = ir.FunctionType(ir.VoidType(), [simd.WORD] * len(values[1:]))
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return nb.void(*[nb.int64] * 14), codegen


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
    for helper in (tile_width, matmul_rows, pack_rows, pack_columns):
        name = helper.__name__
        names[name] = jit.bind(helper, f"{name}_{precision}", **names)
    return {
        "matmul": jit.bind(matmul, f"matmul_{precision}", **names),
        "pack": jit.bind(pack, f"pack_{precision}", **names),
    }
