"""The peak of this machine in fused multiply-adds, per core and with every core.

    python bench/peak.py

A loop of independent chains of vector fused multiply-adds, all in registers: enough chains to
hide the latency, few enough for the registers of AVX2. Each core runs its own copy.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

N_CHAINS = 12
N_ITERATIONS = 5_000_000
N_RUNS = 30


def vector_bytes():
    """Bytes of the widest vector register of this CPU."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx") else 16


@intrinsic
def fma_chains(typingctx, scalar, n_iterations):
    """x = x * scalar + scalar, n_iterations times in each chain; the sum of the chains."""

    def codegen(context, builder, signature, arguments):
        scalar_type = context.get_value_type(signature.args[0])
        lanes = vector_bytes() * 8 // signature.args[0].bitwidth
        vector = ir.VectorType(scalar_type, lanes)
        fma = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(vector, [vector] * 3),
            f"llvm.fma.v{lanes}f{signature.args[0].bitwidth}",
        )
        lane_type = ir.IntType(32)
        operand = builder.insert_element(
            ir.Constant(vector, ir.Undefined), arguments[0], lane_type(0)
        )
        operand = builder.shuffle_vector(
            operand,
            ir.Constant(vector, ir.Undefined),
            ir.Constant(ir.VectorType(lane_type, lanes), [0] * lanes),
        )
        chains = [cgutils.alloca_once_value(builder, operand) for _ in range(N_CHAINS)]
        with cgutils.for_range(builder, arguments[1]):
            for chain in chains:
                x = builder.load(chain)
                builder.store(builder.call(fma, [x, operand, operand]), chain)
        total = builder.load(chains[0])
        for chain in chains[1:]:
            total = builder.fadd(total, builder.load(chain))
        return builder.extract_element(total, lane_type(0))

    return scalar(scalar, types.intp), codegen


@njit(nogil=True)
def run_chains(scalar, n_iterations):
    return fma_chains(scalar, n_iterations)


def measure(dtype, n_threads=None):
    """Billions of floating-point operations a second, the best of a few runs.

    Parameters
    ----------
    dtype : str
        "float32" or "float64".
    n_threads : int or None
        Cores that run at the same time; None: all that this process may use.
    """
    n_threads = n_threads or n_cores()
    scalar = np.dtype(dtype).type(0.5)
    run_chains(scalar, 1)
    lanes = vector_bytes() // scalar.itemsize
    flops = 2.0 * N_CHAINS * lanes * N_ITERATIONS * n_threads
    best = np.inf
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in range(N_RUNS):
            start = perf_counter()
            list(pool.map(run_chains, [scalar] * n_threads, [N_ITERATIONS] * n_threads))
            best = min(best, perf_counter() - start)
    return flops / best / 1e9


def n_cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


if __name__ == "__main__":
    for dtype in ("float32", "float64"):
        print(
            f"{dtype}: {measure(dtype, 1):.0f} GFLOP/s on one core, "
            f"{measure(dtype):.0f} on {n_cores()}"
        )
