"""Products of the small networks' size: many stages of ``cp.async`` hide the way from memory.

A block has a tile of C, a thread (rows, columns) sums; ``stages`` buffers of ``depth`` steps each
are filled ahead. C = A B with A (m, k) keeps A's tile as [row][k], C = A^T B with A (k, m) as
[k][row]. Every sum is over k in order.
"""

import numpy as np
import seam
from numba import cuda, types

# Tiles are (tile_m, tile_n, depth, rows, columns, stages).
TILES = (
    (16, 16, 16, 1, 1, 8), (16, 16, 16, 2, 2, 8), (16, 16, 8, 2, 2, 12), (16, 16, 16, 1, 2, 8),
    (16, 32, 16, 2, 2, 6), (32, 32, 16, 2, 2, 5), (32, 32, 8, 4, 4, 8), (32, 32, 8, 4, 2, 8),
    (64, 32, 8, 4, 4, 6),
)  # fmt: skip


def make_product(tile_m, tile_n, depth, rows, columns, stages, transposed=False):
    """The kernel, and its threads a block; ``transposed`` for A given as (k, m)."""
    threads_n = tile_n // columns
    n_threads = tile_m // rows * threads_n
    # Four floats more than needed keep the rows of A's tile on different banks.
    lda = tile_m if transposed else depth + 4
    a_stage = depth * tile_m if transposed else tile_m * lda
    b_stage = depth * tile_n
    a_size, b_size, n_sums = stages * a_stage, stages * b_stage, rows * columns
    a_pieces, b_pieces = depth * tile_m // 4, b_stage // 4
    a_each, b_each = -(-a_pieces // n_threads), -(-b_pieces // n_threads)
    n_each = a_each + b_each
    wide, n_right = rows * depth, columns * depth
    fetch_a = seam.make_fetch(rows, 3) if transposed else seam.make_fetch(4, 3)
    fetch_b, wait = seam.make_fetch(columns, 3), seam.make_wait_group(stages - 2)
    ahead = stages - 1

    def place(a, b, a_tile, b_tile, m, n, k, row, column, at, to, t):
        # Where the pieces that a thread brings of each stage begin, in memory and in the tile.
        for e in range(a_each):
            i = t + e * n_threads
            if transposed:
                at[e] = seam.global_address(a, i // (tile_m // 4) * m + row + i % (tile_m // 4) * 4)
                to[e] = seam.shared_address(a_tile, i * 4)
            else:
                at[e] = seam.global_address(a, (row + i // (depth // 4)) * k + i % (depth // 4) * 4)
                to[e] = seam.shared_address(a_tile, i // (depth // 4) * lda + i % (depth // 4) * 4)
        for e in range(b_each):
            i = t + e * n_threads
            at[a_each + e] = seam.global_address(
                b, i // (tile_n // 4) * n + column + i % (tile_n // 4) * 4
            )
            to[a_each + e] = seam.shared_address(b_tile, i * 4)

    def bring(at, to, stage, a_bytes, b_bytes, t):
        # The next stage; ``at`` moves on to the one after.
        a_to, b_to = np.int32(stage * (a_stage * 4)), np.int32(stage * (b_stage * 4))
        for e in range(a_each):
            if a_pieces % n_threads == 0 or t + e * n_threads < a_pieces:
                seam.copy_async(to[e] + a_to, at[e])
            at[e] += a_bytes
        for e in range(b_each):
            if b_pieces % n_threads == 0 or t + e * n_threads < b_pieces:
                seam.copy_async(to[a_each + e] + b_to, at[a_each + e])
            at[a_each + e] += b_bytes

    def load(left, right, a_tile, a_at, b_tile, b_at):
        # All of a stage at once, so that the loads wait for one another no more than needed.
        if transposed:
            for u in range(depth):
                fetch_a(a_tile, a_at + u * lda, left, u * rows)
        else:
            for i in range(rows):
                for u in range(depth // 4):
                    fetch_a(a_tile, a_at + i * lda + u * 4, left, i * depth + u * 4)
        for u in range(depth):
            fetch_b(b_tile, b_at + u * tile_n, right, u * columns)

    def multiply(sums, left, right, u):
        for i in range(rows):
            for j in range(columns):
                s = i * columns + j
                x = left[u * rows + i] if transposed else left[i * depth + u]
                sums[s] = cuda.fma(x, right[u * columns + j], sums[s])

    place, bring, load, multiply = map(seam.device, (place, bring, load, multiply))

    def step(sums, left, right):
        # Written out, because NVVM does not unroll a loop around loops.
        multiply(sums, left, right, 0)
        multiply(sums, left, right, 1)
        multiply(sums, left, right, 2)
        multiply(sums, left, right, 3)
        multiply(sums, left, right, 4)
        multiply(sums, left, right, 5)
        multiply(sums, left, right, 6)
        multiply(sums, left, right, 7)
        if depth == 16:
            multiply(sums, left, right, 8)
            multiply(sums, left, right, 9)
            multiply(sums, left, right, 10)
            multiply(sums, left, right, 11)
            multiply(sums, left, right, 12)
            multiply(sums, left, right, 13)
            multiply(sums, left, right, 14)
            multiply(sums, left, right, 15)

    step = seam.device(step)

    def once(a, b, c, m, n, k):
        a_tile = cuda.shared.array(a_size, types.float32)  # (stages, tile)
        b_tile = cuda.shared.array(b_size, types.float32)  # (stages, depth, tile_n)
        sums = cuda.local.array(n_sums, types.float32)  # (rows, columns)
        left = cuda.local.array(wide, types.float32)
        right = cuda.local.array(n_right, types.float32)
        t = np.int64(cuda.threadIdx.x)
        row, column = np.int64(cuda.blockIdx.y) * tile_m, np.int64(cuda.blockIdx.x) * tile_n
        ty, tx = t // threads_n * rows, t % threads_n * columns
        for i in range(n_sums):
            sums[i] = np.float32(0)
        at = cuda.local.array(n_each, types.int64)
        to = cuda.local.array(n_each, types.int32)
        place(a, b, a_tile, b_tile, m, n, k, row, column, at, to, t)
        a_bytes, b_bytes = depth * 4 * (m if transposed else np.int64(1)), depth * 4 * n
        for s in range(ahead):
            if s * depth < k:
                bring(at, to, s, a_bytes, b_bytes, t)
            seam.commit()
        stage, following = np.int64(0), np.int64(ahead)
        for p in range(0, k, depth):
            wait()
            cuda.syncthreads()
            if p + ahead * depth < k:
                bring(at, to, following, a_bytes, b_bytes, t)
            seam.commit()
            a_at = stage * a_stage + (ty if transposed else ty * lda)
            b_at = stage * b_stage + tx
            load(left, right, a_tile, a_at, b_tile, b_at)
            step(sums, left, right)
            stage = stage + 1 if stage < ahead else np.int64(0)
            following = following + 1 if following < ahead else np.int64(0)
        for i in range(rows):
            for j in range(columns):
                c[(row + ty + i) * n + column + tx + j] = sums[i * columns + j]

    once = seam.device(once)

    def product(a, b, c, m, n, k, times):
        for _ in range(times):
            cuda.syncthreads()
            once(a, b, c, m, n, k)

    return product, n_threads
