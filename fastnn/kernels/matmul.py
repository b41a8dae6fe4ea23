"""The blocked matmul on the register tile, and the packing of its right factor.

C (m, n) = init + A (m, k) B (k, n). A has any strides and is read by scalar broadcast. The
rows of B are contiguous: either B lies in memory as it is, or it is packed. Packed B is a
sequence of panels, each `columns` of the tile wide (the last as wide as it needs to be, in
whole vectors) and k rows deep, so that the tile reads memory in order; the panel of column j
starts at element j * k.

``tile``, ``edge_tile``, ``narrow_tile`` and the tile's sizes are bound by `bindings`.
"""

from functools import cache

from fastnn.kernels import jit, simd

# Depth of a block of k: a panel of it stays in the first-level cache.
BLOCK_K = 512


def matmul(a, row_stride, k_stride, b, b_stride, k, c, c_stride, bias, init, m, n):
    # init: 0 zero, 1 add to C, 2 start from the bias. b_stride 0: B is packed.
    for p in range(0, k, BLOCK_K):
        depth = min(BLOCK_K, k - p)
        start = init if p == 0 else 1
        for j in range(0, n, COLUMNS):
            width = min(COLUMNS, n - j)
            if b_stride == 0:
                stride = COLUMNS if n - j > LANES else LANES
                b_offset = j * k + p * stride
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


def pack(source, k_stride, column_stride, packed, k, n, p_start, p_stop, j_start, j_stop):
    # Copy rows p and columns j of B into panels; j_start is the first column of a panel.
    for j in range(j_start, j_stop, COLUMNS):
        stride = COLUMNS if n - j > LANES else LANES
        width = min(stride, j_stop - j)
        for p in range(p_start, p_stop):
            panel_row = packed[j * k + p * stride : j * k + p * stride + width]
            offset = p * k_stride + j * column_stride
            for column in range(width):
                panel_row[column] = source[offset + column * column_stride]


def packed_size(k, n, precision):
    """Elements of B (k, n) when packed."""
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
    names = {
        "ROWS": shape.rows,
        "COLUMNS": shape.columns,
        "LANES": shape.lanes,
        "HALF": half.lanes,
        "tile": simd.make_tile(precision, shape, edge=False),
        "edge_tile": simd.make_tile(precision, shape, edge=True),
        "narrow_tile": simd.make_tile(precision, narrow, edge=True),
        "half_tile": simd.make_tile(precision, half, edge=True),
    }
    return {
        "matmul": jit.bind(matmul, f"matmul_{precision}", **names),
        "pack": jit.bind(pack, f"pack_{precision}", **names),
        "COLUMNS": shape.columns,
    }
