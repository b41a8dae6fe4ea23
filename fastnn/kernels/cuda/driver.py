"""NVIDIA's driver: devices, their memory, and launches of kernels.

What the driver reports is a MemoryError where memory is short, and otherwise a RuntimeError that
says what happened.
"""

import contextlib
import ctypes
import os
import threading
from functools import cache

import numpy as np

from fastnn.kernels.cuda import packages

# Older devices than those of compute capability OLDEST are not tested.
OLDEST = (7, 5)
# A kernel has to be told that its blocks may have more shared memory than USUAL_FAST_BYTES.
USUAL_FAST_BYTES = 48 << 10
# Data go to a device and back by way of pinned memory of STAGE_BYTES.
STAGE_BYTES = 4 << 20
NOT_IN_A_FORK = (
    "device='cuda' cannot be used in a process that was forked from one that has used it. Have "
    "joblib start its workers anew (its default backend 'loky' does), or multiprocessing (with the "
    "start method 'spawn')."
)


class Device:
    """A GPU: its memory, a stream of work, and kernels.

    Parameters
    ----------
    number : int

    Attributes
    ----------
    name : str
    cc : tuple of int
        Its compute capability.
    n_blocks : int
        Its multiprocessors, each of which runs a block.
    most_fast_bytes : int
        The most shared memory that a block may have.

    Raises
    ------
    RuntimeError
        If there is no such device, or it is not supported.
    """

    def __init__(self, number=0):
        self.driver = packages.driver()
        self._process = os.getpid()
        self._lock = threading.RLock()
        handle = self._call("cuDeviceGet", number)
        attribute = self.driver.CUdevice_attribute

        def number_of(name):
            which = getattr(attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
            return int(self._call("cuDeviceGetAttribute", which, handle))

        self.name = self._call("cuDeviceGetName", 256, handle).decode().rstrip("\0")
        self.cc = number_of("COMPUTE_CAPABILITY_MAJOR"), number_of("COMPUTE_CAPABILITY_MINOR")
        if self.cc < OLDEST:
            raise RuntimeError(
                f"device='cuda' needs a GPU of compute capability {OLDEST[0]}.{OLDEST[1]} or more "
                f"(Turing, from 2018), but {self.name} has {self.cc[0]}.{self.cc[1]}. Use "
                "device='cpu'."
            )
        self.n_blocks = number_of("MULTIPROCESSOR_COUNT")
        self.most_fast_bytes = number_of("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN")
        # The context is that of every library that uses the device's primary one.
        self._context = self._call("cuDevicePrimaryCtxRetain", handle)
        self._enter()
        self._stream = self._call("cuStreamCreate", 1)  # CU_STREAM_NON_BLOCKING
        self._stage_at = int(self._call("cuMemHostAlloc", STAGE_BYTES, 0))
        self._stage = np.ctypeslib.as_array(
            (ctypes.c_uint8 * STAGE_BYTES).from_address(self._stage_at)
        )
        self._functions = {}

    def _call(self, name, *arguments):
        """Call the driver, and return what it returns."""
        error, *values = getattr(self.driver, name)(*arguments)
        if int(error) != 0:
            self._raise(name, error)
        return values[0] if values else None

    def _raise(self, name, error):
        if error.name == "CUDA_ERROR_OUT_OF_MEMORY":
            raise MemoryError(
                f"The GPU has not enough memory: {self.free_bytes() / 1e9:.2f} GB are free. Use a "
                "smaller batch_size or network, or device='cpu'."
            )
        _, text = self.driver.cuGetErrorString(error)
        raise RuntimeError(
            f"The GPU reports {error.name} in {name}: {text.decode() if text else ''}. If that is "
            "not in your hands, start the process anew, or use device='cpu'."
        )

    def _enter(self):
        """Have the calling thread work on this device."""
        if os.getpid() != self._process:
            raise RuntimeError(NOT_IN_A_FORK)
        self._call("cuCtxSetCurrent", self._context)

    # ---- memory ----------------------------------------------------------------------

    def free_bytes(self):
        """Bytes of memory that are free."""
        self._enter()
        _, free, _ = self.driver.cuMemGetInfo()
        return int(free)

    def allocate(self, n_bytes):
        """The address of new memory."""
        self._enter()
        return int(self._call("cuMemAllocAsync", n_bytes, self._stream))

    def release(self, address):
        """Give memory back, once the work that was ordered before is done."""
        # A lost device, or one whose process ends, has nothing to give back.
        with contextlib.suppress(RuntimeError):
            self._enter()
            self._call("cuMemFreeAsync", address, self._stream)

    def clear(self, memory):
        """Fill memory with zeros."""
        self._enter()
        self._call("cuMemsetD8Async", memory.address, 0, memory.nbytes, self._stream)

    def write(self, memory, array):
        """Copy an array of the host to memory of the same shape and type."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        with self._lock:
            self._enter()
            for first in range(0, len(data), STAGE_BYTES):
                piece = data[first : first + STAGE_BYTES]
                self._stage[: len(piece)] = piece
                target = memory.address + first
                self._call("cuMemcpyHtoDAsync", target, self._stage_at, len(piece), self._stream)
                # The next piece goes by way of the same memory.
                self.wait()

    def read(self, array, memory):
        """Copy memory to an array of the host of the same shape and type."""
        data = np.empty(memory.nbytes, np.uint8)
        with self._lock:
            self._enter()
            for first in range(0, len(data), STAGE_BYTES):
                size = min(STAGE_BYTES, len(data) - first)
                source = memory.address + first
                self._call("cuMemcpyDtoHAsync", self._stage_at, source, size, self._stream)
                self.wait()
                data[first : first + size] = self._stage[:size]
        array[...] = data.view(memory.dtype).reshape(memory.shape)

    # ---- kernels ---------------------------------------------------------------------

    def load(self, cubin, name):
        """The kernel of that name in a cubin."""
        key = (name, hash(cubin))
        with self._lock:
            if key not in self._functions:
                self._enter()
                module = self._call("cuModuleLoadData", cubin)
                # The module stays as long as the process.
                function = self._call("cuModuleGetFunction", module, name.encode())
                self._functions[key] = function, module
            return self._functions[key][0]

    def launch(self, kernel, job, n_blocks, fast_bytes, *, meets):
        """Run a kernel on a job (16,), int64; blocks that meet are all there at one time."""
        self._enter()
        if fast_bytes > USUAL_FAST_BYTES:
            attribute = self.driver.CUfunction_attribute
            which = attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._call("cuFuncSetAttribute", kernel.function, which, fast_bytes)
        words = np.ascontiguousarray(job)
        # The driver copies the parameters from where these pointers say.
        pointers = words.ctypes.data + 8 * np.arange(len(words), dtype=np.uint64)
        shape = (n_blocks, 1, 1, kernel.n_threads, 1, 1, fast_bytes, self._stream)
        if meets:
            launched = ("cuLaunchCooperativeKernel", kernel.function, *shape, pointers.ctypes.data)
        else:
            launched = ("cuLaunchKernel", kernel.function, *shape, pointers.ctypes.data, 0)
        self._call(*launched)

    def wait(self):
        """Wait for all work that was ordered."""
        self._call("cuStreamSynchronize", self._stream)


@cache
def device():
    """The first device, for the whole process."""
    return Device()
