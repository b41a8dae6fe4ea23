"""Numba on a GPU as the probes beside this use it: binding, exact arithmetic, and PTX by hand."""

import contextlib
from functools import partial

import numpy as np

if not hasattr(np, "row_stack"):
    # It is all of NumPy 2.5 that numba-cuda 0.30 misses.
    np.row_stack = np.vstack

from llvmlite import ir
from numba import cuda
from numba import types as nb
from numba.cuda.cudadrv import nvvm
from numba.extending import intrinsic

from fastnn.kernels import elementary
from fastnn.kernels.compiler import copy_function
from fastnn.kernels.cpu.compiler import COMPILER

# Without LTO: with it the linker generates the code, and contracts by itself.
device = cuda.jit(device=True, forceinline=True, lto=False)
kernel = partial(cuda.jit, lto=False)

IR = {
    nb.int32: ir.IntType(32),
    nb.int64: ir.IntType(64),
    nb.float32: ir.FloatType(),
    nb.float64: ir.DoubleType(),
}
LETTERS = {nb.int32: "r", nb.int64: "l", nb.float32: "f", nb.float64: "d"}
_functions = {}


@contextlib.contextmanager
def exact():
    """Compile without contraction of a * b + c into an fma, as libNVVM would do by itself."""
    original = nvvm.compile_ir
    nvvm.compile_ir = partial(original, fma=False)
    try:
        yield
    finally:
        nvvm.compile_ir = original


def bind(function, name, **bindings):
    """A plain function as a device function, its open names bound, inlined into its callers."""
    if name not in _functions:
        _functions[name] = device(copy_function(function, name, bindings))
    return _functions[name]


def mathematics(precision):
    """`elementary.bindings` for the GPU: the same intrinsics, polynomials and functions."""
    own = {function.__name__ for function in elementary.FUNCTIONS}
    names = {
        key: value
        for key, value in elementary.bindings(COMPILER, precision).items()
        if key not in own
    }
    for function in elementary.FUNCTIONS:
        names[function.__name__] = bind(function, f"{function.__name__}_{precision}", **names)
    return names


def bound(function, precision):
    """A function of the registries for the GPU, with those of its module that it calls."""
    names = mathematics(precision)
    module = function.__module__.split(".")[-1]
    for name in function.__code__.co_names:
        helper = function.__globals__.get(name)
        if name not in names and type(helper) is type(function):
            names[name] = bound(helper, precision)
    return bind(function, f"{module}_{function.__name__}_{precision}", **names)


def ptx(text, returns, arguments, *, memory=True):
    """A device function that is one PTX instruction; ``returns`` is a type, a list or None."""
    many = isinstance(returns, list)
    outputs = returns if many else [returns] if returns else []
    result = nb.Tuple(outputs) if many else returns or nb.void
    constraints = ["=" + LETTERS[t] for t in outputs] + [LETTERS[t] for t in arguments]
    constraints += ["~{memory}"] if memory else []
    if many:
        ir_type = ir.LiteralStructType([IR[t] for t in outputs])
    else:
        ir_type = IR[outputs[0]] if outputs else ir.VoidType()

    def codegen(context, builder, signature, values):
        function = ir.FunctionType(ir_type, [IR[t] for t in arguments])
        value = builder.asm(function, text, ",".join(constraints), values, memory)
        if not outputs:
            return context.get_dummy_value()
        if not many:
            return value
        parts = [builder.extract_value(value, i) for i in range(len(outputs))]
        return context.make_tuple(builder, signature.return_type, parts)

    # An intrinsic needs its arguments spelled out.
    names = ", ".join(["typingctx", *(f"a{i}" for i in range(len(arguments)))])
    scope = {"codegen": codegen, "signature": result(*arguments)}
    exec(f"def instruction({names}): return signature, codegen", scope)
    return intrinsic(scope["instruction"])


VECTOR = ir.VectorType(ir.FloatType(), 4)


def _address(context, builder, array_type, array, index, space):
    """A pointer to an element, in the address space that it is known to be in."""
    data = context.make_array(array_type)(context, builder, array).data
    place = builder.gep(data, [index])
    if space and place.type.addrspace != space:
        place = builder.addrspacecast(place, place.type.pointee.as_pointer(space))
    return place


def make_fetch(n, space):
    """``fetch(array, index, target, at)``: n elements in one load of 4 n bytes."""
    vector_type = ir.VectorType(ir.FloatType(), n)

    @intrinsic
    def fetch(typingctx, array, index, target, at):
        def codegen(context, builder, signature, values):
            place = _address(context, builder, signature.args[0], *values[:2], space)
            place = builder.bitcast(place, vector_type.as_pointer(place.type.addrspace))
            vector = builder.load(place, align=4 * n)
            data = context.make_array(signature.args[2])(context, builder, values[2]).data
            for i in range(n):
                to = builder.gep(data, [builder.add(values[3], ir.Constant(IR[nb.int64], i))])
                item = builder.extract_element(vector, ir.Constant(IR[nb.int32], i))
                builder.store(item, to)
            return context.get_dummy_value()

        return nb.void(array, nb.int64, target, nb.int64), codegen

    return fetch


def make_put4(space):
    """``put4(array, index, source, at)``: four elements in one store of 16 bytes."""

    @intrinsic
    def put4(typingctx, array, index, source, at):
        def codegen(context, builder, signature, values):
            place = _address(context, builder, signature.args[0], *values[:2], space)
            place = builder.bitcast(place, VECTOR.as_pointer(place.type.addrspace))
            data = context.make_array(signature.args[2])(context, builder, values[2]).data
            vector = ir.Constant(VECTOR, ir.Undefined)
            for i in range(4):
                at = builder.gep(data, [builder.add(values[3], ir.Constant(IR[nb.int64], i))])
                vector = builder.insert_element(
                    vector, builder.load(at), ir.Constant(IR[nb.int32], i)
                )
            builder.store(vector, place, align=16)
            return context.get_dummy_value()

        return nb.void(array, nb.int64, source, nb.int64), codegen

    return put4


load_acquire = ptx("ld.acquire.gpu.global.s32 $0, [$1];", nb.int32, [nb.int64])
add_release = ptx("atom.add.release.gpu.global.s32 $0, [$1], $2;", nb.int32, [nb.int64, nb.int32])
copy_async = ptx("cp.async.cg.shared.global [$0], [$1], 16;", None, [nb.int32, nb.int64])
commit = ptx("cp.async.commit_group;", None, [])
cluster_arrive = ptx("barrier.cluster.arrive.release.aligned;", None, [])
cluster_wait = ptx("barrier.cluster.wait.acquire.aligned;", None, [])


def make_wait_group(n):
    """Wait until at most n groups of copies are on their way."""
    return ptx(f"cp.async.wait_group {n};", None, [])


@intrinsic
def shared_address(typingctx, array, index):
    """The address of an element within shared memory, 32 bits."""

    def codegen(context, builder, signature, values):
        place = _address(context, builder, signature.args[0], *values, 3)
        return builder.ptrtoint(place, IR[nb.int32])

    return nb.int32(array, nb.int64), codegen


@intrinsic
def global_address(typingctx, array, index):
    """The address of an element in global memory, 64 bits."""

    def codegen(context, builder, signature, values):
        place = _address(context, builder, signature.args[0], *values, 1)
        return builder.ptrtoint(place, IR[nb.int64])

    return nb.int64(array, nb.int64), codegen


def address(array):
    """The address of a device array."""
    return array.__cuda_array_interface__["data"][0]


def timed(run, n=1, repeats=7):
    """Median milliseconds of ``run()`` by CUDA events, divided by n."""
    run()
    times = []
    for _ in range(repeats):
        first, last = cuda.event(), cuda.event()
        first.record()
        run()
        last.record()
        last.synchronize()
        times.append(cuda.event_elapsed_time(first, last) / n)
    return float(np.median(times))
