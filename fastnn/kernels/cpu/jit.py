"""The only place that compiles: units, their names and flags, and their addresses.

A unit is one loop template bound to one piece of mathematics and one precision, such as
"activate, ReLU, float32". `unit` copies the template, binds the names it leaves open
(``real``, ``exp``, ``forward``, ...) in fresh globals, gives it a name of its own, under
which the cache on disk knows it, compiles it as a function of int64 arguments and returns its
address. Compiled code calls units by their addresses, with `call_unit`; see plan.py.

Functions that a unit calls are compiled by `bind`, which makes an ``@njit`` function of a
plain one in the same way; LLVM inlines those.
"""

import contextlib
import time
from contextvars import ContextVar

from llvmlite import ir
from numba import config, jit, njit
from numba import types as nb
from numba.extending import intrinsic

from fastnn import forks
from fastnn.kernels import cache
from fastnn.kernels.compiler import copy_function
from fastnn.kernels.dispatchers import recipe
from fastnn.kernels.numba_internals import (
    COMPILERS_LOCKS,
    InlinedCompiler,
    NativeFunction,
    emit_call,
    global_compiler_lock,
)
from fastnn.kernels.plan import MAX_ARGUMENTS

FLAGS = {"error_model": "numpy", "_nrt": False}
INLINED = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}

_units = {}
_functions = {}
# Functions that this thread calls with the name of each unit that it is about to compile or load.
_observers = ContextVar("observers", default=())
# Seconds that each unit took in this process, compiled or loaded.
SECONDS = {}

forks.wait_for(*COMPILERS_LOCKS)


def bind(function, name, *, from_python=False, **bindings):
    """Compile a plain function as ``@njit`` under ``name``; cached in this process by it.

    Without ``from_python`` it can be called by compiled code only, and Python calling it would
    crash: what Python needs to call a function is a good part of what it takes to compile it.
    """
    flags = FLAGS if from_python else FLAGS | INLINED | {"pipeline_class": InlinedCompiler}
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
            _functions[name] = jitted(clone, *recipe(dispatcher))
        return _functions[name]


class _Unit(NativeFunction):
    """A function that binds its template's names only if it has to be compiled."""

    def __init__(self, template, name, make_bindings):
        super().__init__(copy_function(template, name, {}), FLAGS)
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
        self.adopt(result)
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
        result = self.compiled(self.make_bindings())
        cache.save(self.__name__, result)
        self.adopt(result)


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
            emit_call(builder, address, [step, task, *own])
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return nb.void(*[nb.int64] * 5), codegen


@intrinsic
def call_with_three(typingctx, address, step, task, a, b, c):
    """Call the unit at ``address``, which has three arguments of its own."""

    def codegen(context, builder, signature, values):
        emit_call(builder, values[0], values[1:])
        return context.get_dummy_value()

    return nb.void(*[nb.int64] * 6), codegen
