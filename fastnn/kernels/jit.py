"""The only place that compiles: units, their names and flags, and their addresses.

A unit is one loop template bound to one piece of mathematics and one precision, such as
"activate, ReLU, float32". `unit` copies the template, binds the names it leaves open
(``real``, ``exp``, ``forward``, ...) in fresh globals, gives it a name of its own, under
which the cache on disk knows it, compiles it as a C callback of int64 arguments and returns its
address. Compiled code calls units by their addresses, with `call_unit`; see plan.py.

Functions that a unit calls are compiled by `bind`, which makes an ``@njit`` function of a
plain one in the same way; LLVM inlines those.
"""

import contextlib
import time
import types
from contextvars import ContextVar

from llvmlite import ir
from llvmlite.binding import ffi
from numba import jit, njit
from numba import types as nb
from numba.core import config
from numba.core.ccallback import CFunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import register_pass
from numba.core.registry import cpu_target
from numba.core.typed_passes import NativeLowering
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from fastnn import forks
from fastnn.kernels import cache

FLAGS = {"error_model": "numpy", "_nrt": False}
INLINED = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
# Arguments of its own that a unit has at most.
MAX_ARGUMENTS = 16

_units = {}
_functions = {}
# Functions that this thread calls with the name of each unit that it is about to compile or load.
_observers = ContextVar("observers", default=())
# Seconds that each unit took in this process, compiled or loaded.
SECONDS = {}

# Numba's and LLVM's own locks around compilation, which a user's functions take, too.
forks.wait_for(
    global_compiler_lock._lock, cpu_target.typing_context.callstack._lock, ffi.lib._lock._lock
)


def copy_function(function, name, bindings, cells=None):
    """A copy of a plain function, renamed, with ``bindings`` added to its globals."""
    clone = types.FunctionType(
        function.__code__, {**function.__globals__, **bindings}, name, function.__defaults__, cells
    )
    clone.__qualname__ = name
    clone.__module__ = function.__module__
    return clone


class _InlinedLibrary(JITCodeLibrary):
    """The code of a function that other libraries link in: neither optimised nor made machine code.

    Those who link it do both, to all that they have inlined. Numba would do it here, too.
    """

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self.codegen._data_layout

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _InlinedLowering(NativeLowering):
    """Lowering of a function that compiled code alone calls, to an `_InlinedLibrary`.

    Numba knows the function by a handle, which has to be a builtin method.
    """

    _name = "fastnn_inlined_lowering"

    def run_pass(self, state):
        state.flags.no_compile = True
        state.library = _InlinedLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        handle = object().__dir__
        state.targetctx.insert_user_function(handle, state.cr.fndesc, [state.library])
        state.cr = state.cr._replace(cfunc=handle)
        return True


class _InlinedCompiler(CompilerBase):
    """Numba's pipeline with `_InlinedLowering`."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [
            (_InlinedLowering, description) if step is NativeLowering else (step, description)
            for step, description in pipeline.passes
        ]
        pipeline.finalize()
        return [pipeline]


def bind(function, name, *, from_python=False, **bindings):
    """Compile a plain function as ``@njit`` under ``name``; cached in this process by it.

    Without ``from_python`` it can be called by compiled code only, and Python calling it would
    crash: what Python needs to call a function is a good part of what it takes to compile it.
    """
    flags = FLAGS if from_python else FLAGS | INLINED | {"pipeline_class": _InlinedCompiler}
    with forks.compiling:
        if name not in _functions:
            clone = copy_function(function, name, bindings)
            _functions[name] = njit(nogil=True, **flags)(clone)
        return _functions[name]


def bindings(*parts, **names):
    """``names``, and the parts bound in this order: each may call those before it."""
    for part in parts:
        names[part.__name__] = bind(part, part.__name__, **names)
    return names


def jitted(function, signatures, types_of_locals, options):
    """An ``@njit`` function by the options that another one has."""
    return jit(signatures, locals=types_of_locals, **options)(function)


def bind_again(dispatcher, name, cells, bindings):
    """Compile the function of an ``@njit`` function again, by its options, but under ``name``.

    The variables that it closes over are in ``cells``.
    """
    with forks.compiling:
        if name not in _functions:
            clone = copy_function(dispatcher.py_func, name, bindings, cells)
            signatures = None if dispatcher._can_compile else dispatcher.nopython_signatures
            options = dispatcher.targetoptions
            _functions[name] = jitted(clone, signatures, dispatcher.locals, options)
        return _functions[name]


class _Unit(CFunc):
    """A C callback that binds its template's names only if it has to be compiled."""

    def __init__(self, template, name, make_bindings):
        clone = copy_function(template, name, {})
        words = (nb.int64,) * clone.__code__.co_argcount
        super().__init__(clone, (words, nb.void), locals={}, options=FLAGS)
        self.make_bindings = make_bindings

    def prepare(self):
        """Load it or, if it is nowhere yet, compile it; of several processes one does."""
        if self.load():
            return
        with cache.compilation_lock(self.__name__):
            if not self.load():
                self.compile()

    @global_compiler_lock
    def load(self):
        """Whether the cache has it."""
        result = cache.load(self.__name__)
        if result is None:
            return False
        self._adopt(result)
        return True

    @global_compiler_lock
    def compile(self):
        """Compile it, and put it into the cache."""
        if config.DISABLE_JIT:
            raise RuntimeError(
                "NUMBA_DISABLE_JIT turns Numba's compiler off, without which fastnn cannot compile "
                "its kernels: unset it, or call fastnn.warmup() once without it, because kernels "
                "from the cache on disk work with it, too."
            )
        cache.announce()
        self._pyfunc.__globals__.update(self.make_bindings())
        result = self._compile_uncached()
        cache.save(self.__name__, result)
        self._adopt(result)

    def _adopt(self, result):
        self._library = result.library
        self._wrapper_name = result.fndesc.llvm_cfunc_wrapper_name
        self._wrapper_address = self._library.get_pointer_to_function(self._wrapper_name)


@contextlib.contextmanager
def observed(observer):
    """Within this, tell ``observer(name)`` of what this thread is about to compile or load."""
    token = _observers.set((*_observers.get(), observer))
    try:
        yield
    finally:
        _observers.reset(token)


def unit(template, name, make_bindings=dict):
    """The address of a unit, which is compiled or loaded from disk on first need.

    Parameters
    ----------
    template : function
        ``template(step, task, ...)``, plain Python, all of its arguments int64.
    name : str
        The unit's name, unique to this template, mathematics and precision.
    make_bindings : callable
        Returns the names to bind; called only if the unit has to be compiled.
    """
    if name not in _units:
        with forks.compiling:
            if name not in _units:
                _units[name] = _prepared(_Unit(template, name, make_bindings))
    return _units[name].address


def _prepared(new):
    """The new unit, compiled or loaded; observers are told, and the time is taken."""
    for observer in _observers.get():
        observer(new.__name__)
    begin = time.perf_counter()
    new.prepare()
    SECONDS[new.__name__] = time.perf_counter() - begin
    return new


def _emit_call(builder, address, words):
    pointer = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * len(words)).as_pointer()
    builder.call(builder.inttoptr(address, pointer), words)


@intrinsic
def call_unit(typingctx, address, step, task, count, arguments):
    """Call the unit at ``address`` with step, task and the ``count`` words at ``arguments``."""

    def codegen(context, builder, signature, values):
        word = ir.IntType(64)
        address, step, task, count, arguments = values
        words = builder.inttoptr(arguments, word.as_pointer())
        done = builder.append_basic_block("done")
        switch = builder.switch(count, done)
        for n in range(MAX_ARGUMENTS + 1):
            block = builder.append_basic_block(f"call_with_{n}")
            switch.add_case(ir.Constant(word, n), block)
            builder.position_at_end(block)
            own = [builder.load(builder.gep(words, [ir.Constant(word, i)])) for i in range(n)]
            _emit_call(builder, address, [step, task, *own])
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return nb.void(*[nb.int64] * 5), codegen


@intrinsic
def call_with_three(typingctx, address, step, task, a, b, c):
    """Call the unit at ``address``, which has three arguments of its own."""

    def codegen(context, builder, signature, values):
        _emit_call(builder, values[0], values[1:])
        return context.get_dummy_value()

    return nb.void(*[nb.int64] * 6), codegen


@intrinsic
def quotient(typingctx, size, divisor):
    """size // divisor for numbers not below zero; Numba's own ``//`` takes long to compile."""

    def codegen(context, builder, signature, values):
        return builder.udiv(*values)

    return nb.int64(nb.int64, nb.int64), codegen


def _emit_array(context, builder, array_type, data, size):
    """A 1-D array of ``size`` elements at the pointer ``data``."""
    element = context.get_data_type(array_type.dtype)
    itemsize = context.get_constant(nb.intp, context.get_abi_sizeof(element))
    array = context.make_array(array_type)(context, builder)
    populate_array(
        array, data=data, shape=[size], strides=[itemsize], itemsize=itemsize, meminfo=None
    )
    return array._getvalue()


def _emit_pointer(context, builder, array_type, address):
    return builder.inttoptr(address, context.get_data_type(array_type.dtype).as_pointer())


@intrinsic
def view(typingctx, address, size, dtype):
    """The ``size`` elements of ``dtype`` at ``address``, as a 1-D array."""
    array_type = nb.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, signature, values):
        data = _emit_pointer(context, builder, array_type, values[0])
        return _emit_array(context, builder, array_type, data, values[1])

    return array_type(nb.int64, nb.int64, dtype), codegen


@intrinsic
def span(typingctx, address, first, last, dtype):
    """The elements from ``first`` to ``last`` of those of ``dtype`` at ``address``."""
    array_type = nb.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, signature, values):
        address, first, last, _ = values
        data = builder.gep(_emit_pointer(context, builder, array_type, address), [first])
        return _emit_array(context, builder, array_type, data, builder.sub(last, first))

    return array_type(nb.int64, nb.int64, nb.int64, dtype), codegen


@intrinsic
def part(typingctx, array, first, last):
    """The elements from ``first`` to ``last`` of a 1-D array. Slices take Numba long to compile."""

    def codegen(context, builder, signature, values):
        whole, first, last = values
        data = context.make_array(array)(context, builder, whole).data
        return _emit_array(
            context, builder, array, builder.gep(data, [first]), builder.sub(last, first)
        )

    return array(array, nb.int64, nb.int64), codegen
