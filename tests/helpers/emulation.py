"""A GPU's machine without a GPU: the same templates, compiled for the CPU, on threads of its own.

Each thread of the system is a thread of a block. Blocks have memory of their own, and threads wait
for one another by spinning. So what runs here is all of a GPU's kernels but for the instructions
that the two do not have in common, and its results have to be the CPU's, bit by bit.
"""

import ctypes
import hashlib
import threading
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import types as nb
from numba.core.cgutils import alloca_once
from numba.extending import intrinsic

from fastnn.kernels import elementary
from fastnn.kernels.cpu import jit, threads
from fastnn.kernels.cpu.atomics import fetch_add, give_way, load_word, store_word
from fastnn.kernels.cpu.jit import call_unit
from fastnn.kernels.cuda import lanes, lead
from fastnn.kernels.cuda.grid_compiler import GridCompiler
from fastnn.kernels.cuda.machine import BlockMachine, GridMachine
from fastnn.kernels.memory import view
from fastnn.kernels.numba_internals import emit_array
from fastnn.kernels.verbs import Verbs

# Another emulation must not find the units of this one in the cache.
PREFIX = "emulated_" + hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
# What a thread knows of itself, int64: its number, its block's, how many blocks there are, the
# address of the block's memory, the words at which the block's and the warp's threads wait, the
# address of what the warp's lanes exchange, and the state of its random delays, or 0 for none.
THREAD, BLOCK, N_BLOCKS, FAST_AT, BLOCK_WAIT_AT, WARP_WAIT_AT, EXCHANGE_AT, DELAYS = range(8)
N_RECORD = 8
# Words by which threads wait, on different lines of the cache.
ARRIVED, GENERATION = 0, 16
N_WAIT = 32
WORD = ir.IntType(64)

_libc = ctypes.CDLL(None)


@cache
def _key():
    """The system's key for each thread's record, known to compiled code by a function's name."""
    key = ctypes.c_uint()
    assert _libc.pthread_key_create(ctypes.byref(key), None) == 0
    _libc.pthread_setspecific.argtypes = [ctypes.c_uint, ctypes.c_void_p]
    module = llvm.parse_assembly(f"""
        declare i8* @pthread_getspecific(i32)
        define i64 @fastnn_emulated_record() {{
            %place = call i8* @pthread_getspecific(i32 {key.value})
            %address = ptrtoint i8* %place to i64
            ret i64 %address
        }}
    """)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    llvm.add_symbol("fastnn_emulated_record", engine.get_function_address("fastnn_emulated_record"))
    return key.value, engine


def _record_function(module):
    name = "fastnn_emulated_record"
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(WORD, []), name)


@intrinsic
def record_at(typingctx):
    """The address of this thread's record."""

    def codegen(context, builder, signature, values):
        return builder.call(_record_function(builder.module), [])

    return nb.int64(), codegen


def of_record(word):
    return view(record_at(), N_RECORD, np.int64)[word]


def thread_number():
    return of_record(THREAD)


def block_number():
    return of_record(BLOCK)


def n_blocks():
    return of_record(N_BLOCKS)


def fast_memory():
    return of_record(FAST_AT)


@intrinsic
def fast_view(typingctx, first_byte, size, dtype):
    """The ``size`` elements of ``dtype`` from a byte of the block's memory on."""
    array_type = nb.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, signature, values):
        record = record_word(builder, FAST_AT)
        place = builder.add(record, values[0])
        data = builder.inttoptr(place, context.get_data_type(array_type.dtype).as_pointer())
        return emit_array(context, builder, array_type, data, values[1])

    return array_type(nb.int64, nb.int64, dtype), codegen


def record_word(builder, word):
    """Emit the load of a word of this thread's record."""
    at = builder.call(_record_function(builder.module), [])
    place = builder.add(at, ir.Constant(WORD, 8 * word))
    return builder.load(builder.inttoptr(place, WORD.as_pointer()))


def delay():
    # Where delays are wanted: a while that looks random.
    record = view(record_at(), N_RECORD, np.int64)
    if record[DELAYS] != 0:
        record[DELAYS] = (record[DELAYS] * 1103515245 + 12345) & 0x7FFFFFFF
        for _ in range((record[DELAYS] >> 16) & 7):
            give_way()


def wait_for_all(at, n):
    # Whoever comes last lets the others go.
    words = view(at, N_WAIT, np.int64)
    generation = load_word(words, GENERATION)
    if fetch_add(words, ARRIVED, 1) == n - 1:
        store_word(words, ARRIVED, 0)
        store_word(words, GENERATION, generation + 1)
    else:
        while load_word(words, GENERATION) == generation:
            give_way()


def sync():
    delay()
    wait_for_all(of_record(BLOCK_WAIT_AT), N_THREADS)  # noqa: F821


def from_lane(value, distance):
    # The value of the lane whose number differs by this one bit.
    lane = lane_number()  # noqa: F821
    exchange = view(of_record(EXCHANGE_AT), LANES, real)  # noqa: F821
    exchange[lane] = value
    wait_for_all(of_record(WARP_WAIT_AT), LANES)  # noqa: F821
    other = exchange[lane ^ distance]
    wait_for_all(of_record(WARP_WAIT_AT), LANES)  # noqa: F821
    return other


def meet(meeting_at):
    # All blocks meet; the words are as the GPU has them.
    sync()
    if is_first_thread():  # noqa: F821
        words = view(meeting_at, lead.N_MEETING, np.int64)
        target = (fetch_add(words, lead.ARRIVALS, 1) // n_blocks() + 1) * n_blocks()
        while load_word(words, lead.ARRIVALS) < target:
            give_way()
    sync()


def make_local(n, scalar):
    """An intrinsic that makes an array of n on the stack."""
    array_type = nb.Array(scalar, 1, "C")

    @intrinsic
    def local(typingctx):
        def codegen(context, builder, signature, values):
            element = context.get_data_type(scalar)
            place = alloca_once(builder, ir.ArrayType(element, n))
            data = builder.bitcast(place, element.as_pointer())
            return emit_array(context, builder, array_type, data, ir.Constant(WORD, n))

        return array_type(), codegen

    return local


def fetch(source, at, target, to):
    for i in range(QUARTER):  # noqa: F821
        target[to + i] = source[at + i]


class EmulatedCompiler(GridCompiler):
    """The compiler of blocks of ``n_threads``; ``barriers=False`` leaves `sync` out."""

    def __init__(self, n_threads, barriers=True):
        super().__init__(n_threads)
        self.barriers = barriers
        self.prefix = f"{PREFIX}_{n_threads}" + ("" if barriers else "_free")

    def bind(self, function, name, **names):
        return jit.bind(function, f"{self.prefix}_{name}", **names)

    def bind_again(self, dispatcher, name, cells, names):
        return jit.bind_again(dispatcher, f"{self.prefix}_{name}", cells, names)

    def compile(self, unit):
        _key()
        name = f"{self.prefix}_{unit.name}"
        return jit.unit(unit.template, name, lambda: unit.make_names(self))

    @cached_property
    def device_names(self):
        """The names that no precision has a part in."""
        names = lanes.names_of(self.n_threads) | {"fast_view": fast_view}
        own = (of_record, thread_number, block_number, n_blocks, fast_memory, delay)
        for part in (*own, wait_for_all, sync, *lanes.PARTS, meet):
            names[part.__name__] = self.bind(part, part.__name__, **names)
        if not self.barriers:
            names["sync"] = self.bind(delay, "delay_alone", **names)
        return names

    def from_lane(self, precision):
        """A function that returns another lane's value."""
        names = elementary.bindings(self, precision) | self.device_names
        return self.bind(from_lane, f"from_lane_{precision}", **names)

    def registers(self, precision, tile):
        scalar = getattr(nb, precision)
        sizes = tile.names()
        label = f"{tile.label}_{precision}"
        return {
            "sum_registers": make_local(sizes["N_SUMS"], scalar),
            "row_registers": make_local(tile.rows, scalar),
            "column_registers": make_local(tile.columns, scalar),
            "a_registers": make_local(sizes["A_EACH"], scalar),
            "b_registers": make_local(sizes["B_EACH"], scalar),
            "fetch": self.bind(fetch, f"fetch_{label}", QUARTER=tile.quarter),
        }

    def kernel(self, numbers, device):
        """`lead` for these threads; units are known by their addresses."""
        return EmulatedKernel(self._lead_at(), self.n_threads, self.fast_bytes), numbers

    def _lead_at(self):
        _key()

        def make_names():
            names = self.device_names | {"call_unit": call_unit}
            for part in lead.PARTS:
                names[part.__name__] = self.bind(part, part.__name__, **names)
            return names

        return jit.unit(lead.lead, f"{self.prefix}_lead", make_names)


@dataclass(frozen=True)
class EmulatedKernel:
    """`lead` at an address, for blocks of so many threads."""

    address: int
    n_threads: int
    fast_bytes: int


class EmulatedDevice:
    """A device whose memory is the host's, and whose threads are the system's.

    With ``delays`` they wait at random at barriers.
    """

    def __init__(self, n_blocks, delays=False):
        self.n_blocks, self.delays = n_blocks, delays
        self.name, self.cc = "an emulated GPU", (9, 0)
        self.most_fast_bytes = 200 << 10
        self.allocated, self.n_launches, self.free = {}, 0, 1 << 40

    def allocate(self, n_bytes):
        # Aligned as a device's is; what nobody has written is no number.
        memory = np.full(n_bytes + 64, 0xFF, np.uint8)
        address = -(-threads.address(memory) // 64) * 64
        self.allocated[address] = memory
        return address

    def free_bytes(self):
        return self.free

    def release(self, address):
        del self.allocated[address]

    def clear(self, memory):
        ctypes.memset(memory.address, 0, memory.nbytes)

    def write(self, memory, array):
        array = np.ascontiguousarray(array)
        assert memory.nbytes == array.nbytes and memory.dtype == array.dtype
        ctypes.memmove(memory.address, threads.address(array), array.nbytes)

    def read(self, array, memory):
        assert memory.shape == array.shape and memory.dtype == array.dtype
        found = np.empty(memory.shape, memory.dtype)
        ctypes.memmove(threads.address(found), memory.address, memory.nbytes)
        array[...] = found

    def wait(self):
        """Nothing: a launch returns when its work is done."""

    def launch(self, kernel, job, n_blocks, fast_bytes, *, meets):
        """Have every thread of every block go through the job; of those that meet, at a time."""
        assert not meets or n_blocks <= self.n_blocks
        assert fast_bytes <= self.most_fast_bytes
        self.n_launches += 1
        for first in range(0, n_blocks, n_blocks if meets else self.n_blocks):
            some = range(first, n_blocks if meets else min(first + self.n_blocks, n_blocks))
            self._run(kernel, job.copy(), some, n_blocks, fast_bytes)

    def _run(self, kernel, job, blocks, n_blocks, fast_bytes):
        width = min(32, kernel.n_threads)
        n_warps = kernel.n_threads // width
        fast = np.full((len(blocks), -(-fast_bytes // 8)), -1, np.int64)
        waits = np.zeros((len(blocks), 1 + n_warps, N_WAIT), np.int64)
        exchange = np.zeros((len(blocks), n_warps, 32), np.int64)
        records = np.zeros((len(blocks), kernel.n_threads, N_RECORD), np.int64)
        job_at, (key, _) = threads.address(job), _key()

        def run(place, thread):
            warp, record = thread // width, records[place, thread]
            record[[THREAD, BLOCK, N_BLOCKS]] = thread, blocks[place], n_blocks
            record[FAST_AT] = threads.address(fast[place])
            record[BLOCK_WAIT_AT] = threads.address(waits[place, 0])
            record[WARP_WAIT_AT] = threads.address(waits[place, 1 + warp])
            record[EXCHANGE_AT] = threads.address(exchange[place, warp])
            record[DELAYS] = 1 + thread + 1000 * place if self.delays else 0
            _libc.pthread_setspecific(key, threads.address(record))
            threads.call(kernel.address, job_at)

        all_threads = [
            threading.Thread(target=run, args=(place, thread))
            for place in range(len(blocks))
            for thread in range(kernel.n_threads)
        ]
        for one in all_threads:
            one.start()
        for one in all_threads:
            one.join()


class EmulatedMachine(GridMachine):
    """The machine with an emulated device; ``wide`` says which tiles all products have."""

    def __init__(
        self, n_blocks=2, n_threads=16, *, delays=False, barriers=True, wide=None, meets=True
    ):
        compiler = EmulatedCompiler(n_threads, barriers)
        super().__init__(EmulatedDevice(n_blocks, delays), compiler)
        self.most_rounds = 1 << 40 if meets else 0
        self._only_wide = wide

    def tile_for(self, m, n, precision):
        if self._only_wide is None:
            return super().tile_for(m, n, precision)
        return self.compiler.tiles[precision][self._only_wide]


class EmulatedBackend(Verbs):
    """The verbs by an emulated machine; with ``resident`` by one block with a network of its own.

    It has ``fast_bytes`` of fast memory then.
    """

    def __init__(self, *args, resident=False, fast_bytes=200 << 10, **settings):
        self.machine = EmulatedMachine(*args, **settings)
        if resident:
            self.machine.device.most_fast_bytes = fast_bytes
            self.machine = BlockMachine(self.machine.device, self.machine.compiler)
