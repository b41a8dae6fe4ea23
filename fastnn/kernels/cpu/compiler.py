"""The compiler of the CPU, and what templates leave open that it binds."""

from llvmlite import ir
from numba import types as nb
from numba.extending import intrinsic

from fastnn.kernels.cpu import jit
from fastnn.kernels.cpu.matmul import call_multiply
from fastnn.kernels.cpu.simd import make_lane_sum


@intrinsic
def nothing(typingctx):
    """Wait for the other threads of the block: a thread has its task to itself."""

    def codegen(context, builder, signature, values):
        return context.get_dummy_value()

    return nb.void(), codegen


@intrinsic
def always(typingctx):
    """True: one thread does what is done once, and everything else."""

    def codegen(context, builder, signature, values):
        return ir.Constant(ir.IntType(1), 1)

    return nb.boolean(), codegen


class CpuCompiler:
    """The compiler of the CPU; see `fastnn.kernels.compiler.Compiler`."""

    bind, bind_again = staticmethod(jit.bind), staticmethod(jit.bind_again)

    def compile(self, unit):
        return jit.unit(unit.template, unit.name, lambda: unit.make_names(self))

    def names(self, precision):
        loops = dict.fromkeys(("by_threads", "by_warps", "by_lanes"), range)
        others = {"sync": nothing, "is_first_thread": always, "call_multiply": call_multiply}
        return loops | others

    def lane_sum(self, precision, of):
        return make_lane_sum(precision, of=of)


COMPILER = CpuCompiler()
