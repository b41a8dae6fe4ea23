"""The only place that compiles: units, their names and flags, and their addresses.

A unit is one loop template bound to one piece of mathematics and one precision, such as
"activate, ReLU, float32". `unit` copies the template, binds the names it leaves open
(``real``, ``exp``, ``activation``, ...) in fresh globals, gives it a name of its own, under
which Numba's disk cache knows it, compiles it as a C callback and returns its address. All
units have one C signature, ``void(arguments, step, task)`` in int64, so that a root can call
any of them; see plan.py.

Functions that a unit calls are compiled by `bind`, which makes an ``@njit`` function of a
plain one in the same way; LLVM inlines those. Tests call them directly.
"""

import contextlib
import threading
import time
import types

from llvmlite import ir
from numba import carray, njit
from numba import types as nb
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from fastnn.kernels import cache

# The C signature of every unit: addresses of its arguments and of the step's state, task.
UNIT_TYPES = (nb.int64, nb.int64, nb.int64)
FLAGS = {"error_model": "numpy"}

# Reentrant: a template's bindings may be functions that are bound while it is.
_lock = threading.RLock()
_units = {}
_roots = {}
_functions = {}
# Called with the name of a unit or root before it is compiled or loaded; see `observed`.
_observers = []
# Seconds that each unit and root took in this process, compiled or loaded.
SECONDS = {}


def copy_function(function, name, bindings):
    """A copy of a plain function, renamed, with ``bindings`` added to its globals."""
    clone = types.FunctionType(
        function.__code__, {**function.__globals__, **bindings}, name, function.__defaults__
    )
    clone.__qualname__ = name
    clone.__module__ = function.__module__
    return clone


def bind(function, name, **bindings):
    """Compile a plain function as ``@njit`` under ``name``; cached in this process by it."""
    with _lock:
        if name not in _functions:
            clone = copy_function(function, name, bindings)
            _functions[name] = njit(nogil=True, **FLAGS)(clone)
        return _functions[name]


class _Unit(CFunc):
    """A C callback that binds its template's names only if it has to be compiled."""

    def __init__(self, template, name, make_bindings):
        super().__init__(
            copy_function(template, name, {}), (UNIT_TYPES, nb.void), locals={}, options=FLAGS
        )
        self.make_bindings = make_bindings
        cache.attach(self, self._pyfunc)

    def _compile_uncached(self):
        self._pyfunc.__globals__.update(self.make_bindings())
        return super()._compile_uncached()


@contextlib.contextmanager
def observed(observer):
    """Within this, tell ``observer(name)`` of what is about to be compiled or loaded."""
    if observer is None:
        yield
        return
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@contextlib.contextmanager
def _preparing(name):
    """Tell the observers, hold the lock between processes, take the time."""
    for observer in _observers:
        observer(name)
    begin = time.perf_counter()
    with cache.compilation_lock(name):
        yield
    SECONDS[name] = time.perf_counter() - begin


def unit(template, name, make_bindings=dict):
    """The address of a unit, which is compiled or loaded from disk on first need.

    Parameters
    ----------
    template : function
        ``template(arguments, step, task)``, plain Python.
    name : str
        The unit's name, unique to this template, mathematics and precision.
    make_bindings : callable
        Returns the names to bind; called only if the unit has to be compiled.
    """
    with _lock:
        if name not in _units:
            compiled = _Unit(template, name, make_bindings)
            with _preparing(name):
                compiled.compile()
            _units[name] = compiled
        return _units[name].address


def root(template, name, signature, *, parallel, **bindings):
    """A compiled root: an njit function of one signature, called from Python."""
    with _lock:
        if name not in _roots:
            clone = copy_function(template, name, bindings)
            compiled = njit(nogil=True, parallel=parallel, **FLAGS)(clone)
            cache.attach(compiled, clone)
            with _preparing(name):
                compiled.compile(signature)
            compiled.disable_compile()
            _roots[name] = compiled
        return _roots[name]


@intrinsic
def call_unit(typingctx, address, arguments, step, task):
    """Call the unit at ``address``."""

    def codegen(context, builder, signature, values):
        word = ir.IntType(64)
        pointer = ir.FunctionType(ir.VoidType(), [word] * 3).as_pointer()
        builder.call(builder.inttoptr(values[0], pointer), values[1:])
        return context.get_dummy_value()

    return nb.void(nb.int64, *UNIT_TYPES), codegen


@intrinsic
def _pointer(typingctx, address):
    def codegen(context, builder, signature, values):
        return builder.inttoptr(values[0], ir.IntType(8).as_pointer())

    return nb.voidptr(nb.int64), codegen


@njit
def view(address, size, dtype):
    """The ``size`` elements of ``dtype`` at ``address``, as a 1-D array."""
    return carray(_pointer(address), (size,), dtype)
