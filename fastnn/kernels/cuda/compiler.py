"""The compiler of a GPU: units as functions in PTX, and a kernel that calls those of a plan.

A unit is compiled on its own, for one compute capability, and is called by its name. A plan's
kernel is `lead` with the units that the plan has; the linker puts them together. So another
activation is one more unit, and everything else is there already.
"""

import hashlib
import pickle
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import types as nb

from fastnn import forks
from fastnn.kernels import cache
from fastnn.kernels.compiler import copy_function
from fastnn.kernels.cuda import lanes, lead, packages, ptx
from fastnn.kernels.cuda.grid_compiler import GridCompiler
from fastnn.kernels.cuda.lead import ARRIVALS, JOB_BYTE
from fastnn.kernels.cuda.ptx import (
    add_release,
    block_count,
    block_index,
    fast_memory,
    load_acquire,
    thread_index,
    wait_for_block,
)
from fastnn.kernels.memory import quotient
from fastnn.kernels.named import store


def thread_number():
    return np.int64(thread_index())


def block_number():
    return np.int64(block_index())


def n_blocks():
    return np.int64(block_count())


def meet(meeting_at):
    # All blocks meet. Whoever comes last in a round makes the number of arrivals a multiple of
    # theirs, for which the first thread of each block waits.
    sync()
    if is_first_thread():
        before = add_release(meeting_at + ARRIVALS * 8, np.int64(1))
        target = (quotient(before, n_blocks()) + 1) * n_blocks()
        while load_acquire(meeting_at + ARRIVALS * 8) < target:
            pass
    sync()


def hash_of(*parts):
    """A hash of some values, as part of a name."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def unit_with_words(step, task, arguments_at):
    # Many arguments would go by way of the stack.
    template(step, task, *load_words(arguments_at))


def kernel(job):
    # The words of the job go by way of fast memory, where `lead` finds them.
    job_at = fast_memory() + JOB_BYTE
    if is_first_thread():
        store(job_at, 0, 1, np.int64, job)
    sync()
    lead(job_at)


class CompiledUnit:
    """A unit by its name in PTX; its text there is compiled, or loaded from disk, on first need.

    Where the kernels of its plans are on disk, that is never.
    """

    def __init__(self, name, compile_text, kept_as):
        self.name, self._compile_text, self._kept_as = name, compile_text, kept_as

    @cached_property
    def text(self):
        """The unit in PTX."""
        return kept(self._kept_as, self._compile_text, str.encode, bytes.decode)


def kept(name, make, to_bytes, from_bytes):
    """Load what the disk has under a name, or make it, in one process of several, and keep it."""
    with forks.compiling:
        found = cache.load(name, from_bytes)
        if found is not None:
            return found
        with cache.compilation_lock(name):
            found = cache.load(name, from_bytes)
            if found is None:
                cache.announce()
                found = make()
                cache.save(name, found, to_bytes)
        return found


@dataclass(frozen=True)
class Kernel:
    """A kernel that a device has loaded, the threads of its blocks, and their fast memory."""

    function: object
    n_threads: int
    fast_bytes: int


class CudaCompiler(GridCompiler):
    """The compiler for devices of one compute capability.

    Parameters
    ----------
    cc : tuple of int
        The compute capability.
    n_threads : int
        Threads of a block.

    Attributes
    ----------
    units : list of CompiledUnit
        Those that plans have needed so far. A plan knows them by their places here.
    """

    def __init__(self, cc, n_threads):
        super().__init__(n_threads)
        self.cc = cc
        self.units, self._numbers, self._functions, self._cubins = [], {}, {}, {}

    # ---- what templates call ---------------------------------------------------------

    def bind(self, function, name, **names):
        return self._bound(function, name, names, None)

    def bind_again(self, dispatcher, name, cells, names):
        return self._bound(dispatcher.py_func, name, names, cells)

    def _bound(self, function, name, names, cells):
        if name not in self._functions:
            clone = copy_function(function, name, names, cells)
            self._functions[name] = packages.device_function(clone)
        return self._functions[name]

    @cached_property
    def device_names(self):
        """The names that no precision has a part in."""
        names = lanes.names_of(self.n_threads)
        names["sync"] = wait_for_block
        names["fast_memory"], names["fast_view"] = fast_memory, ptx.fast_view
        for part in (thread_number, block_number, n_blocks, *lanes.PARTS):
            names[part.__name__] = self.bind(part, part.__name__, **names)
        return names

    def from_lane(self, precision):
        """A function that returns another lane's value."""
        return ptx.FROM_LANE[precision]

    def registers(self, precision, tile):
        """The registers of a thread's sums and factors, and how it fetches the latter."""
        sizes = tile.names()
        return {
            "sum_registers": ptx.make_registers(sizes["N_SUMS"], precision),
            "row_registers": ptx.make_registers(tile.rows, precision),
            "column_registers": ptx.make_registers(tile.columns, precision),
            "a_registers": ptx.make_registers(sizes["A_EACH"], precision),
            "b_registers": ptx.make_registers(sizes["B_EACH"], precision),
            "fetch": ptx.make_fetch(tile.quarter, precision),
        }

    # ---- units and kernels -----------------------------------------------------------

    def compile(self, unit):
        with forks.compiling:
            if unit.name not in self._numbers:
                self._numbers[unit.name] = len(self.units)
                self.units.append(self._compiled(unit))
            return self._numbers[unit.name]

    def _compiled(self, unit):
        # With a user's names in it, a unit's name may not be one in PTX.
        name = unit.name
        if not re.fullmatch(r"[A-Za-z]\w{1,150}", name, re.ASCII):
            name = "unit_" + hash_of(name)
        return CompiledUnit(name, lambda: self._text(unit, name), self._kept_as("ptx", name))

    def _kept_as(self, kind, name):
        """The name under which the cache knows what was made by these packages for this device."""
        origin = hash_of(*packages.versions(), self.cc, self.n_threads)[:16]
        return f"{kind}_{origin}_{hash_of(name)}"

    def _text(self, unit, name):
        template = self.bind(unit.template, f"template_{name}", **unit.make_names(self))
        load_words = ptx.make_load_words(len(unit.fields))
        function = copy_function(
            unit_with_words, name, {"template": template, "load_words": load_words}
        )
        return packages.compile_ptx(function, nb.void(*[nb.int64] * 3), self.cc, name=name)

    def kernel(self, numbers, device):
        """The kernel of a plan that has these units, and their numbers there."""
        names = {self.units[number].name: self.units[number] for number in numbers}
        units = [names[name] for name in sorted(names)]
        kernel = Kernel(device.load(*self.cubin(units)), self.n_threads, self.fast_bytes)
        places = {unit.name: place for place, unit in enumerate(units)}
        return kernel, [places[self.units[number].name] for number in numbers]

    def cubin(self, units):
        """The code of the kernel of these units, and its name there."""
        label = hash_of(*(unit.name for unit in units))
        if label not in self._cubins:
            name = self._kept_as("cubin", label)
            self._cubins[label] = kept(
                name, lambda: self._linked(units), pickle.dumps, pickle.loads
            )
        return self._cubins[label]

    def _linked(self, units):
        text = self.kernel_text(units)
        entry = re.search(r"\.visible \.entry (\w+)", text).group(1)
        return packages.link([text, *(unit.text for unit in units)], self.cc)[0], entry

    def kernel_text(self, units):
        """The PTX of the kernel of plans that have these units, numbered in this order."""
        call_unit = ptx.make_call_unit([unit.name for unit in units])
        names = self.device_names | {"call_unit": call_unit}
        label = hash_of(*(unit.name for unit in units))
        for part in (meet, *lead.PARTS, lead.lead):
            names[part.__name__] = self.bind(part, f"{part.__name__}_{label}", **names)
        signature = nb.void(nb.UniTuple(nb.int64, lead.N_JOB))
        clone = copy_function(kernel, f"kernel_{label}", names)
        return packages.compile_ptx(clone, signature, self.cc, n_threads=self.n_threads)
