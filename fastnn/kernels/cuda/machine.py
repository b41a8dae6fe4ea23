"""The machine of a GPU, as plans see it: a grid of blocks of threads, and its memory."""

import numpy as np

from fastnn.kernels.cuda.dense import DenseProducts
from fastnn.kernels.cuda.memory import DeviceMemory
from fastnn.kernels.cuda.pace import FedPace, Pace
from fastnn.kernels.cuda.program import BlockProgram, Program
from fastnn.kernels.cuda.reckoning import RESERVE
from fastnn.kernels.cuda.square import SquareProducts


class GridMachine:
    """A grid of blocks; see `fastnn.kernels.machine.Machine`.

    Parameters
    ----------
    device : Device
        What has the memory and runs kernels; see `fastnn.kernels.cuda.driver.Device`.
    compiler : CudaCompiler
    """

    joins_phases = False
    # A plan with a group of more tasks than so many for each block is run by a launch a group.
    most_rounds = 4

    def __init__(self, device, compiler):
        self.device, self.compiler = device, compiler
        self.n_blocks, self.n_threads = device.n_blocks, compiler.n_threads
        # The memory of arrays of the host, by their identities, with these themselves, so that no
        # other array gets the same.
        self._mirrors = {}

    @property
    def most_tasks_that_meet(self):
        """Tasks of a plan's largest group, if all of the plan is to be one launch."""
        return self.most_rounds * self.n_blocks

    # ---- memory ----------------------------------------------------------------------

    def zeros(self, shape, dtype):
        memory = DeviceMemory.new(self.device, shape, dtype)
        self.device.clear(memory)
        return memory

    def mirror(self, array):
        if isinstance(array, DeviceMemory):
            return array
        if id(array) not in self._mirrors:
            if not array.dtype.isnative:
                raise TypeError(f"kernels read native arrays, got {array.dtype}")
            memory = DeviceMemory.new(self.device, array.shape, array.dtype)
            self._mirrors[id(array)] = array, memory
            self.device.write(memory, array)
        return self._mirrors[id(array)][1]

    def push(self, *arrays):
        for array in arrays:
            self.device.write(self.mirror(array), array)

    def pull(self, *arrays):
        for array in arrays:
            self.device.read(array, self.mirror(array))

    def is_too_large(self, X):
        if isinstance(X, DeviceMemory) or id(X) in self._mirrors:
            return False
        return X.nbytes + RESERVE > self.device.free_bytes()

    def locate(self, memory):
        memory = self.mirror(memory)
        return memory, memory.address

    # ---- work ------------------------------------------------------------------------

    def program(self, tables):
        return Program(self, tables)

    def pace(self, plan, flops, source=None):
        return Pace(plan.program, flops) if source is None else FedPace(plan.program, source)

    def row_block(self, rows, part_block=None):
        return -(-rows // self.n_blocks)

    # ---- products --------------------------------------------------------------------

    def tile_for(self, m, n, precision):
        """The tile for a product of so many rows and columns: wide where enough blocks have one."""
        small, wide = self.compiler.tiles[precision]
        return wide if 2 * wide.count(m, n) >= self.n_blocks and min(m, n) >= wide.tile_m else small

    def dense_products(self, operations):
        return DenseProducts(operations)

    def square_products(self, matrix):
        return SquareProducts(matrix, self)

    def product_arguments(self, precision):
        # There is nothing to be called by its address.
        return {"multiply_at": np.int64(0)}


class BlockMachine(GridMachine):
    """One block, which has a small network in its fast memory."""

    def __init__(self, device, compiler):
        super().__init__(device, compiler)
        self.n_blocks = 1

    def program(self, tables):
        return BlockProgram(self, tables)
