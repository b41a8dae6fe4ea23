"""The machine of a GPU as plans see it: a grid of blocks of threads, whoever these are.

What a GPU has of its own, its memory, its compiler and launches, subclasses bring.
"""

from fastnn.kernels.cuda.dense import DenseProducts
from fastnn.kernels.cuda.square import SquareProducts
from fastnn.kernels.cuda.tiles import Tile


class GridMachine:
    """A grid of blocks; see `fastnn.kernels.machine.Machine`.

    Parameters
    ----------
    n_blocks : int
        Blocks that run at one time.
    n_threads : int
        Threads of a block, a power of two and at least 16.

    Attributes
    ----------
    small, wide : Tile
        The tiles of products of few elements, and of many.
    """

    joins_phases = False

    def __init__(self, n_blocks, n_threads):
        self.n_blocks, self.n_threads = n_blocks, n_threads
        threads_m = 1 << (n_threads.bit_length() - 1) // 2
        threads_n = n_threads // threads_m
        self.small = Tile(2, 2, threads_m, threads_n, depth=16, quarter=2)
        self.wide = Tile(8, 8, threads_m, threads_n, depth=8, quarter=4)

    def tile_for(self, m, n):
        """The tile for a product of so many rows and columns: wide where enough blocks have one."""
        wide = self.wide
        n_tiles = -(-m // wide.tile_m) * -(-n // wide.tile_n)
        return wide if 2 * n_tiles >= self.n_blocks and min(m, n) >= wide.tile_m else self.small

    def row_block(self, rows, part_block=None):
        return -(-rows // self.n_blocks)

    def dense_products(self, operations):
        return DenseProducts(operations)

    def square_products(self, matrix):
        return SquareProducts(matrix, self)

    def product_arguments(self, precision):
        # There is nothing to be called by its address.
        return {"multiply_at": 0}
