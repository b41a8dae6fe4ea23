"""Atomic words for threads that work together, and a polite way to wait for one another.

An array of words is int64; words that different threads write should be a cache line apart. All
threads see the operations on words in one order.
"""

import os
import platform

from llvmlite import ir
from numba import types as nb
from numba.extending import intrinsic

from fastnn.kernels.cpu.simd import data_pointer

IS_X86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")


@intrinsic
def fetch_add(typingctx, words, index, number):
    """Add a number to a word; returns the value before."""

    def codegen(context, builder, signature, values):
        place = data_pointer(context, builder, signature.args[0], *values[:2])
        return builder.atomic_rmw("add", place, values[2], "seq_cst")

    return nb.int64(words, nb.int64, nb.int64), codegen


@intrinsic
def compare_swap(typingctx, words, index, expected, value):
    """Write a word if it is as expected; returns whether it was."""

    def codegen(context, builder, signature, values):
        place = data_pointer(context, builder, signature.args[0], *values[:2])
        result = builder.cmpxchg(place, *values[2:], "seq_cst")
        return builder.extract_value(result, 1)

    return nb.boolean(words, nb.int64, nb.int64, nb.int64), codegen


@intrinsic
def load_word(typingctx, words, index):
    """Read a word: all that its writer wrote before it can be read after this."""

    def codegen(context, builder, signature, values):
        place = data_pointer(context, builder, signature.args[0], *values)
        return builder.load_atomic(place, "seq_cst", 8)

    return nb.int64(words, nb.int64), codegen


@intrinsic
def store_word(typingctx, words, index, value):
    """Write a word, after all that this thread wrote before."""

    def codegen(context, builder, signature, values):
        place = data_pointer(context, builder, signature.args[0], *values[:2])
        builder.store_atomic(values[2], place, "seq_cst", 8)
        return context.get_dummy_value()

    return nb.void(words, nb.int64, nb.int64), codegen


@intrinsic
def pause(typingctx):
    """Tell the processor that this is a loop that waits."""

    def codegen(context, builder, signature, values):
        if IS_X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            builder.call(function, [])
        return context.get_dummy_value()

    return nb.void(), codegen


@intrinsic
def give_way(typingctx):
    """Let another thread have this core, if one wants it."""

    def codegen(context, builder, signature, values):
        if os.name == "posix":
            kind = ir.FunctionType(ir.IntType(32), [])
            name = "sched_yield"
            function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            builder.call(function, [])
        return context.get_dummy_value()

    return nb.void(), codegen
