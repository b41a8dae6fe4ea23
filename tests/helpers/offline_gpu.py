"""A GPU that is not there: plans are compiled and linked for it, but nothing runs."""

import re
from functools import cache

from fastnn.kernels.cuda import packages
from fastnn.kernels.cuda.compiler import CudaCompiler
from fastnn.kernels.cuda.machine import GridMachine
from fastnn.kernels.verbs import Verbs

N_THREADS = 256


class OfflineDevice:
    """Has addresses, but no memory."""

    n_blocks, most_fast_bytes = 132, 227 << 10

    def __init__(self):
        self.next = 1 << 20
        self.loaded = []

    def allocate(self, n_bytes):
        self.next += -(-n_bytes // 256) * 256
        return self.next

    def free_bytes(self):
        return 1 << 36

    def release(self, address):
        pass

    def clear(self, memory):
        pass

    def write(self, memory, array):
        pass

    def load(self, cubin, name):
        self.loaded.append((cubin, name))
        return name


@cache
def compiler(cc):
    return CudaCompiler(cc, N_THREADS)


class OfflineBackend(Verbs):
    """The verbs for a GPU of compute capability ``cc``."""

    def __init__(self, cc=(9, 0)):
        self.machine = GridMachine(OfflineDevice(), compiler(cc))


# Instructions that a unit must not have: approximations, results that are subnormal made zero,
# arithmetic whose rounding is not said, so that the assembler may contract it, and memory of a
# thread's own, where registers ought to do.
FORBIDDEN = (
    r"\.approx\b",
    r"\.ftz\b",
    r"\.full\b",
    r"\b(?:add|sub|mul|mad)\.f(?:32|64)\b",
    r"\b(?:ld|st)\.local\b",
    r"\.nc\b",
)


def objections(text):
    """The forbidden instructions in a text of PTX."""
    return [found for pattern in FORBIDDEN for found in re.findall(pattern, text)]


def resources(log):
    """Of each kernel that was assembled: bytes of stack and of spills, and registers, by name."""
    found = re.findall(
        r"Function properties for (\S+)\s+ptxas\s+\.\s+(\d+) bytes stack frame, "
        r"(\d+) bytes spill stores, (\d+) bytes spill loads\s+ptxas info\s+: Used (\d+) registers",
        log,
    )
    return {name: tuple(map(int, numbers)) for name, *numbers in found}


def as_kernel(text):
    """The text of a function as that of a kernel, which has no caller whose registers it saves."""
    text = re.sub(r"\.visible \.func\s+\(\.param \.b64 func_retval0\) ", ".visible .entry ", text)
    return re.sub(r"st\.param\.b64\s+\[func_retval0(?:\+0)?\], [^;]+;", "", text)


def assemble(units, cc):
    """The text of a kernel of these units, and what the assembler says of it and of each."""
    kernel = compiler(cc).kernel_text(units)
    packages.link([kernel, *(unit.text for unit in units)], cc)
    log = ""
    for unit in units:
        log += packages.link([as_kernel(unit.text)], cc)[1]
    return kernel, log
