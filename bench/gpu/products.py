"""Register-tiled float32 products by Numba on a GPU, beside cuBLAS's, for the shapes of a step.

C = A B or C = A^T B, row-major, every sum over k in order with explicit fma's, as on the CPU. A
block has a tile of C (tile_m, tile_n), a thread (rows, columns) sums in quarters 4 apart from each
other, two shared stages of ``depth`` steps, and loads of 16 bytes. Sizes are multiples of the tile.
"""

import json
import sys

import numpy as np
import seam
import staged
from numba import cuda, njit, types

from fastnn.kernels import floats

put4_out, fetch4_in = seam.make_put4(1), seam.make_fetch(4, 1)
fetch4, put4 = seam.make_fetch(4, 3), seam.make_put4(3)


def make_step(tile_m, tile_n, rows, columns, across_m, across_n):
    """One k of a tile: ``rows`` values of A, ``columns`` of B, and their products."""

    def step(sums, left, right, a_tile, a_at, b_tile, b_at):
        for i in range(rows // 4):
            fetch4(a_tile, a_at + i * across_m, left, i * 4)
        for j in range(columns // 4):
            fetch4(b_tile, b_at + j * across_n, right, j * 4)
        for i in range(rows):
            for j in range(columns):
                sums[i * columns + j] = cuda.fma(left[i], right[j], sums[i * columns + j])

    return seam.device(step)


def make_product(tile_m, tile_n, depth, rows, columns, transposed=False):
    """The kernel, and its threads a block; ``transposed`` for A given as (k, m)."""
    threads_m, threads_n = tile_m // rows, tile_n // columns
    n_threads = threads_m * threads_n
    a_stage, b_stage = depth * tile_m, depth * tile_n
    a_size, b_size, n_sums = 2 * a_stage, 2 * b_stage, rows * columns
    # The 16-byte pieces of a stage of A and B, and how many of each a thread brings.
    a_pieces, b_pieces = a_stage // 4, b_stage // 4
    a_each, b_each = -(-a_pieces // n_threads), -(-b_pieces // n_threads)
    n_a, n_b = 4 * a_each, 4 * b_each
    # Quarters of a thread lie a tile's fraction apart, so that a warp reads shared memory in a row.
    across_m, across_n = threads_m * 4, threads_n * 4
    step = make_step(tile_m, tile_n, rows, columns, across_m, across_n)

    def bring(a, b, next_a, next_b, m, n, k, row, column, p, t):
        for e in range(a_each):
            i = t + e * n_threads
            if a_pieces % n_threads == 0 or i < a_pieces:
                if transposed:
                    fetch4_in(
                        a, (p + i // (tile_m // 4)) * m + row + i % (tile_m // 4) * 4, next_a, e * 4
                    )
                else:
                    fetch4_in(
                        a, (row + i // (depth // 4)) * k + p + i % (depth // 4) * 4, next_a, e * 4
                    )
        for e in range(b_each):
            i = t + e * n_threads
            if b_pieces % n_threads == 0 or i < b_pieces:
                fetch4_in(
                    b, (p + i // (tile_n // 4)) * n + column + i % (tile_n // 4) * 4, next_b, e * 4
                )

    def store(a_tile, b_tile, next_a, next_b, stage, t):
        for e in range(a_each):
            i = t + e * n_threads
            if a_pieces % n_threads == 0 or i < a_pieces:
                if transposed:
                    put4(a_tile, stage * a_stage + i * 4, next_a, e * 4)
                else:
                    at = stage * a_stage + i % (depth // 4) * 4 * tile_m + i // (depth // 4)
                    for q in range(4):
                        a_tile[at + q * tile_m] = next_a[e * 4 + q]
        for e in range(b_each):
            i = t + e * n_threads
            if b_pieces % n_threads == 0 or i < b_pieces:
                put4(b_tile, stage * b_stage + i * 4, next_b, e * 4)

    bring, store = seam.device(bring), seam.device(store)

    def product(a, b, c, m, n, k, times):
        for _ in range(times):
            cuda.syncthreads()
            once(a, b, c, m, n, k)

    def once(a, b, c, m, n, k):
        a_tile = cuda.shared.array(a_size, types.float32)  # (2, depth, tile_m)
        b_tile = cuda.shared.array(b_size, types.float32)  # (2, depth, tile_n)
        sums = cuda.local.array(n_sums, types.float32)  # (rows, columns)
        left = cuda.local.array(rows, types.float32)
        right = cuda.local.array(columns, types.float32)
        next_a = cuda.local.array(n_a, types.float32)
        next_b = cuda.local.array(n_b, types.float32)
        t = np.int64(cuda.threadIdx.x)
        row, column = np.int64(cuda.blockIdx.y) * tile_m, np.int64(cuda.blockIdx.x) * tile_n
        ty, tx = t // threads_n * 4, t % threads_n * 4
        for i in range(n_sums):
            sums[i] = np.float32(0)
        bring(a, b, next_a, next_b, m, n, k, row, column, np.int64(0), t)
        stage = np.int64(0)
        for p in range(0, k, depth):
            store(a_tile, b_tile, next_a, next_b, stage, t)
            cuda.syncthreads()
            if p + depth < k:
                bring(a, b, next_a, next_b, m, n, k, row, column, np.int64(p + depth), t)
            a_at, b_at = stage * a_stage + ty, stage * b_stage + tx
            for _ in range(depth):
                step(sums, left, right, a_tile, a_at, b_tile, b_at)
                a_at += tile_m
                b_at += tile_n
            stage = 1 - stage
        for i in range(rows):
            at = (row + ty + i // 4 * across_m + i % 4) * n + column + tx
            for j in range(columns // 4):
                put4_out(c, at + j * across_n, sums, i * columns + j * 4)

    once = seam.device(once)
    return product, n_threads


fma = floats.make_fma("float32")


@njit
def in_order(a, b):
    """A B on the CPU, each sum over k in order with an explicit fma."""
    c = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for i in range(a.shape[0]):
        for p in range(a.shape[1]):
            for j in range(b.shape[1]):
                c[i, j] = fma(a[i, p], b[p, j], c[i, j])
    return c


SIGNATURE = types.void(*[types.float32[::1]] * 3, *[types.int64] * 4)
# Tiles are (tile_m, tile_n, depth, rows, columns).
LARGE = ((128, 128, 8, 8, 8), (128, 128, 16, 8, 8), (256, 128, 8, 16, 8), (64, 128, 8, 8, 8))
SMALL = ((64, 64, 16, 4, 4), (32, 64, 16, 4, 4), (32, 32, 32, 4, 4))
# What is multiplied: m, n, k, whether A is given transposed, and the tiles that are tried.
SHAPES = {
    "square 4096": (4096, 4096, 4096, False, LARGE),
    "L forward": (1024, 2048, 2048, False, LARGE),
    "L gradient": (2048, 2048, 1024, True, LARGE),
    "M forward": (256, 512, 784, False, SMALL),
    "M gradient": (768, 512, 256, True, SMALL),
    "A forward, 192 x 128": (192, 128, 784, False, SMALL),
    "A gradient, 768 x 128": (768, 128, 192, True, SMALL),
}


def cublas(results):
    """TFLOP/s of PyTorch's products, in float32 and tf32, by CUDA graphs where they are short."""
    import torch

    for name, (m, n, k, transposed, _) in SHAPES.items():
        a = torch.randn((k, m) if transposed else (m, k), device="cuda")
        b = torch.randn(k, n, device="cuda")
        a = a.T if transposed else a
        c = torch.empty(m, n, device="cuda")
        for tf32 in (False, True):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            torch.mm(a, b, out=c)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for _ in range(20):
                    torch.mm(a, b, out=c)
            graph.replay()
            times = []
            for _ in range(7):
                first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                first.record()
                graph.replay()
                last.record()
                last.synchronize()
                times.append(first.elapsed_time(last) / 20)
            ms = float(np.median(times))
            results[f"{name}: cuBLAS {'tf32' if tf32 else 'float32'}"] = {
                "us": round(ms * 1e3, 2), "tflops": round(2 * m * n * k / ms / 1e9, 2),
            }  # fmt: skip


def measure(name, make, tile, results):
    m, n, k, transposed, _ = SHAPES[name]
    if m % tile[0] or n % tile[1] or k % tile[2]:
        return
    product, n_threads = make(*tile, transposed)
    with seam.exact():
        kernel = seam.kernel(SIGNATURE)(product)
    rng = np.random.RandomState(0)
    a = rng.normal(size=(k, m) if transposed else (m, k)).astype(np.float32)
    b = rng.normal(size=(k, n)).astype(np.float32)
    ga, gb = cuda.to_device(a.ravel()), cuda.to_device(b.ravel())
    gc = cuda.device_array(m * n, np.float32)
    grid = (n // tile[1], m // tile[0])
    # Short products are repeated within a launch, which would take longer than they do.
    repeats = 20
    n_launches, times = (repeats, 1) if m * n > 1 << 20 else (1, repeats)

    def run():
        for _ in range(n_launches):
            kernel[grid, n_threads](ga, gb, gc, m, n, k, times)

    ms = seam.timed(run, repeats)
    got = gc.copy_to_host().reshape(m, n)[:8]
    expected = in_order(np.ascontiguousarray((a.T if transposed else a)[:8]), b)
    results[f"{name}: {tile}"] = {
        "us": round(ms * 1e3, 2), "tflops": round(2 * m * n * k / ms / 1e9, 2),
        "equal bits": bool((got == expected).all()), "blocks": grid[0] * grid[1],
        "registers": int(next(iter(kernel.overloads.values())).regs_per_thread),
    }  # fmt: skip


def main(path, *names):
    results = {}
    try:
        cublas(results)
    except Exception as error:
        results["cuBLAS"] = repr(error)[:300]
    for name in names or SHAPES:
        tiles = [(make_product, tile) for tile in SHAPES[name][-1]]
        if SHAPES[name][-1] is SMALL:
            tiles += [(staged.make_product, tile) for tile in staged.TILES]
        for make, tile in tiles:
            try:
                measure(name, make, tile, results)
            except Exception as error:
                results[f"{name}: {tile}"] = repr(error)[:300]
            with open(path, "w") as file:
                json.dump(results, file, indent=1)
    for key, value in results.items():
        print(key, value)


if __name__ == "__main__":
    main(*sys.argv[1:])
