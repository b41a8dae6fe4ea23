"""The machine of the CPU: NumPy's memory, and threads that take tasks."""

import numpy as np

from fastnn.kernels.cpu import products, threads
from fastnn.kernels.cpu.compiler import COMPILER
from fastnn.kernels.cpu.dense import DenseProducts
from fastnn.kernels.cpu.lead import Program
from fastnn.kernels.cpu.pace import Pace
from fastnn.kernels.cpu.square import SquareProducts
from fastnn.kernels.plan import even_block

# ROW_BLOCK is the most rows of a task: enough to use a panel of weights many times.
ROW_BLOCK = 104


class CpuMachine:
    """The CPU with so many threads; see `fastnn.kernels.machine.Machine`."""

    compiler, joins_phases = COMPILER, True

    def __init__(self, n_threads):
        self.n_threads = n_threads

    def zeros(self, shape, dtype):
        return np.zeros(shape, dtype)

    def mirror(self, array):
        return array

    def push(self, *arrays):
        """Nothing: there is one memory."""

    def pull(self, *arrays):
        """Nothing: there is one memory."""

    def locate(self, memory):
        if not memory.dtype.isnative:
            raise TypeError(f"kernels read native arrays, got {memory.dtype}")
        return memory, threads.address(memory)

    def program(self, tables):
        return Program(tables)

    def is_too_large(self, X):
        return False

    def pace(self, plan, flops, source=None):
        return Pace(plan.program, flops, self.n_threads)

    def row_block(self, rows, part_block=None):
        if part_block is not None:
            # A task takes its rows through to their gradients.
            return part_block
        # As many blocks for each thread.
        n_blocks = -(-rows // ROW_BLOCK)
        return even_block(rows, -(-n_blocks // self.n_threads) * self.n_threads)

    def dense_products(self, operations):
        return DenseProducts(operations, self.n_threads)

    def square_products(self, matrix):
        return SquareProducts(matrix)

    def product_arguments(self, precision):
        return {"multiply_at": products.multiply_at(precision)}
