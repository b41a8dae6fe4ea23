"""The backend of a GPU."""

from functools import cache

from fastnn import forks
from fastnn.kernels.cuda import driver
from fastnn.kernels.cuda.compiler import CudaCompiler
from fastnn.kernels.cuda.machine import BlockMachine, GridMachine
from fastnn.kernels.cuda.reckoning import bytes_of_training, check_memory
from fastnn.kernels.passes import flops
from fastnn.kernels.trainer import Trainer
from fastnn.kernels.verbs import Verbs

# Threads of a block.
N_THREADS = 256
# A step of fewer floating point operations is one block's work, which does not have to meet others.
FLOPS_OF_ONE_BLOCK = 2e6
# A prediction of fewer floating point operations is left to the CPU, which has the same bits and
# does not have to be told the weights.
FLOPS_OF_A_LARGE_PREDICTION = 2e9


@cache
def compiler_for(cc):
    """The process's compiler for a compute capability, which has all units that it has made."""
    return CudaCompiler(cc, N_THREADS)


class CudaBackend(Verbs):
    """The compiled core on an NVIDIA GPU; see `fastnn.backends.Backend`.

    Parameters
    ----------
    cpu : Backend
        Makes small predictions.

    Raises
    ------
    RuntimeError
        If there is no GPU, no driver for it, or no package to compile for it.
    """

    def __init__(self, cpu):
        self.cpu = cpu
        with forks.importing:
            device = driver.device()
        self.machine = GridMachine(device, compiler_for(device.cc))

    @property
    def device_name(self):
        """The name of the GPU, and its compute capability."""
        device = self.machine.device
        return "{} (compute capability {}.{})".format(device.name, *device.cc)

    def trainer(self, network, data, state, *, regularization, batch_size):
        needed = bytes_of_training(network, data, state, batch_size)
        check_memory(self.machine.device, needed)
        machine = self.machine
        if flops(network, batch_size) <= FLOPS_OF_ONE_BLOCK:
            machine = BlockMachine(machine.device, machine.compiler)
        return Trainer(
            network, machine, data, state, regularization=regularization, batch_size=batch_size
        )

    def forward(self, network, params, X, *, link=True, plans=None):
        if flops(network, X.shape[0], backward=False) < FLOPS_OF_A_LARGE_PREDICTION:
            return self.cpu.forward(network, params, X, link=link, plans=plans)
        return super().forward(network, params, X, link=link)
