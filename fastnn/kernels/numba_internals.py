"""Parts of Numba and llvmlite that have no promise of stability, and the versions that have them.

No other module imports these parts (`dispatchers` reads some attributes). They are:

- ``_FunctionCompiler``, and how compiled functions call each other, for `NativeFunction`: a unit is
  compiled when it has to be, or taken from the cache.
- The passes of ``compiler``, ``compiler_machinery``, ``typed_passes`` and ``codegen``, for
  `InlinedCompiler`: functions that only compiled code calls are neither optimised nor wrapped.
- ``CompileResult`` with its library, ``serialize`` and LLVM's table of symbols, for `to_bytes` and
  `from_bytes`: what the cache on disk keeps.
- ``cpu_target``: the processor that code is for, how it lays out data, and its assembly.
- The locks of Numba's compiler and of llvmlite, which a fork waits for.
- ``populate_array``, for `emit_array`: an array of memory that Numba has not allocated.

A version of Numba outside of the range that is tested is refused here, when the first fit imports
the kernels: it may lack these parts, or crash.
"""

import pickle
import re
from functools import cache

import numba

# The versions that are tested: from the first, and before the second. pyproject.toml says the same.
FIRST_NUMBA, FIRST_NUMBA_TOO_NEW = (0, 61), (0, 69)


def check_version(version):
    """Raise ImportError unless this version of Numba is in the range that is tested."""
    found = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if FIRST_NUMBA <= found < FIRST_NUMBA_TOO_NEW:
        return
    first, too_new = (".".join(map(str, one)) for one in (FIRST_NUMBA, FIRST_NUMBA_TOO_NEW))
    upgrade = ", or a newer fastnn" if found >= FIRST_NUMBA_TOO_NEW else ""
    raise ImportError(
        f"fastnn cannot use Numba {version}, because it is tested with Numba from {first} to "
        f"before {too_new} and depends on parts of Numba that change between versions. Install "
        f"one of those, for instance with: pip install 'numba>={first},<{too_new}'{upgrade}."
    )


check_version(numba.__version__)

from llvmlite import binding as llvm
from llvmlite import ir
from llvmlite.binding import ffi
from numba import types as nb
from numba.core.cgutils import alloca_once
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompilerBase, CompileResult, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import register_pass
from numba.core.dispatcher import _FunctionCompiler
from numba.core.registry import cpu_target
from numba.core.serialize import dumps
from numba.core.typed_passes import NativeLowering
from numba.np.arrayobj import populate_array

# ---- units -----------------------------------------------------------------------------------


class _WithoutWrapper(_FunctionCompiler):
    """Compiles a function for callers that are compiled, too."""

    def _customize_flags(self, flags):
        flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
        flags.enable_pyobject = False
        return flags


class NativeFunction:
    """A compiled function of int64 arguments, which gets its code after its constructor.

    It is called by its address, as `emit_call` and `threads.call` do it. A C callback, such as
    Numba's ``cfunc`` makes, would copy its arguments for the function itself once more, by loads
    that wait for the stores before them.
    """

    def __init__(self, function, options):
        self.__name__, self._function = function.__name__, function
        self._words = (nb.int64,) * function.__code__.co_argcount
        self._compiler = _WithoutWrapper(function, cpu_target, options, {}, Compiler)

    def compiled(self, bindings):
        """Numba's result of compiling the function with ``bindings`` in its globals."""
        self._function.__globals__.update(bindings)
        return self._compiler.compile(self._words, nb.void)

    def adopt(self, result):
        """Have the code of such a result."""
        self._library = result.library
        self.address = self._library.get_pointer_to_function(result.fndesc.llvm_func_name)


# By Numba's convention a function has two arguments before its own: the places of its result and
# of an exception. Ours have neither, and write there what nobody reads.
N_PLACES = 2


def emit_call(builder, address, words):
    """Emit a call of the `NativeFunction` at an address, with words for its arguments."""
    place = alloca_once(builder, ir.IntType(64), size=N_PLACES)
    pointer = ir.IntType(64).as_pointer()
    types = [pointer] * N_PLACES + [word.type for word in words]
    function = ir.FunctionType(ir.IntType(32), types).as_pointer()
    builder.call(builder.inttoptr(address, function), [place] * N_PLACES + list(words))


def to_bytes(result):
    """A result as bytes, which mean the same in another process.

    Dynamic globals are addresses of this one: of large arrays and of ctypes' functions.
    """
    if result.library.has_dynamic_globals or result.lifted:
        raise ValueError("such code is for this process alone")
    return dumps((_names_called(result.library), result._reduce()))


def from_bytes(payload):
    """The result of those bytes; None where this process lacks a function that its code calls."""
    names, reduced = pickle.loads(payload)
    if not _are_there(names):
        return None
    return CompileResult._rebuild(cpu_target.target_context, *reduced)


def _names_called(library):
    """Names of the functions that the code calls and that are not its own, nor LLVM's."""
    return [
        function.name
        for function in library._final_module.functions
        if function.is_declaration and not function.name.startswith("llvm.")
    ]


def _are_there(names):
    """Whether LLVM finds the functions of these names; it ends the process if it misses one."""
    if any(llvm.address_of_symbol(name) is None for name in names):
        # Brings those of all of Numba and its extensions, and is most of what loading would cost.
        cpu_target.target_context.refresh()
    return all(llvm.address_of_symbol(name) is not None for name in names)


# ---- functions that units inline -------------------------------------------------------------


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


class InlinedCompiler(CompilerBase):
    """Numba's pipeline with `_InlinedLowering`."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [
            (_InlinedLowering, description) if step is NativeLowering else (step, description)
            for step, description in pipeline.passes
        ]
        pipeline.finalize()
        return [pipeline]


# ---- the processor ---------------------------------------------------------------------------


def processor():
    """The processor that code is for, as a tuple of strings."""
    return cpu_target.target_context.codegen().magic_tuple()


@cache
def target_data():
    """The layout of data on this processor, as LLVM has it."""
    return cpu_target.target_context.codegen().target_data


def assembly(text):
    """The assembly that LLVM makes of a module's text."""
    return cpu_target.target_context.codegen()._tm.emit_assembly(llvm.parse_assembly(text))


# ---- locks, arrays ---------------------------------------------------------------------------


# Reentrant locks around compilation, which a user's functions take, too.
COMPILERS_LOCKS = (
    global_compiler_lock._lock, cpu_target.typing_context.callstack._lock, ffi.lib._lock._lock,
)  # fmt: skip


def emit_array(context, builder, array_type, data, size):
    """A 1-D array of ``size`` elements at the pointer ``data``."""
    element = context.get_data_type(array_type.dtype)
    itemsize = context.get_constant(nb.intp, context.get_abi_sizeof(element))
    array = context.make_array(array_type)(context, builder)
    populate_array(
        array, data=data, shape=[size], strides=[itemsize], itemsize=itemsize, meminfo=None
    )
    return array._getvalue()
