"""The meaning of a user's function, as a hash of all that it reaches.

Units are known by their names, in a process and on disk, and what a user's name stands for may
change. So the name of a unit that has users' functions in it carries a hash of them: of their code,
and of the values of the globals, and of the attributes of modules, that the code uses. These are
what they are when the unit is named, which every training does anew; Numba freezes them when it
compiles.

A value counts by its contents or, in Python, NumPy, SciPy, Numba and fastnn, by its name and the
version. What can be known by neither, because it may change unseen, is refused.
"""

import dis
import enum
import hashlib
import os
import sys
import sysconfig
from functools import lru_cache
from operator import is_
from types import CodeType, FunctionType, ModuleType

import numpy as np

from fastnn.kernels.dispatchers import described_options, is_dispatcher

# Packages whose contents are known by name and version, besides Python's own modules.
KNOWN_PACKAGES = ("fastnn", "numba", "numpy", "scipy")
# Packages whose functions Numba knows, by versions of its own.
NUMBAS = ("numba", "numpy", "scipy")
# Types of constants whose repr says all.
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))
# Fingerprints that are kept, with what they were taken of, by their functions.
_fingerprints = {}
MOST_FINGERPRINTS = 4096
# UNDEFINED is found where a name stands for nothing, so far.
UNDEFINED = object()


# ---- what code refers to ---------------------------------------------------------------------


@lru_cache(maxsize=4096)
def references(code):
    """The globals that code uses, each as a tuple of its name and the attributes taken of it.

    ``settings.SLOPE * x`` refers to ``("settings", "SLOPE")``. Functions within the code count.
    """
    found, chain = [], None
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            chain = [instruction.argval]
            found.append(chain)
        elif chain and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            chain.append(instruction.argval)
        elif instruction.opname not in ("EXTENDED_ARG", "CACHE"):
            chain = None
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found += references(inner)
    return tuple(dict.fromkeys(map(tuple, found)))


def look_up(function, reference):
    """The values along a reference: modules, and the first that is none.

    It may be `UNDEFINED`. What the code takes of a value that is no module is part of that value.
    """
    name, *attributes = reference
    value = function.__globals__.get(name, UNDEFINED)
    if value is UNDEFINED:
        value = function.__builtins__.get(name, UNDEFINED)
    values = [value]
    for attribute in attributes:
        if not isinstance(value, ModuleType):
            break
        value = getattr(value, attribute, UNDEFINED)
        values.append(value)
    return values


# ---- what is known by its name ---------------------------------------------------------------


@lru_cache(maxsize=4096)
def _version(package):
    """The version by which a package's contents are known; None if they are not."""
    if package in KNOWN_PACKAGES:
        return getattr(sys.modules.get(package), "__version__", "")
    if package not in sys.stdlib_module_names:
        return None
    # A user's file may have the name of a module of Python's that is not in use.
    path = getattr(sys.modules.get(package), "__file__", None)
    folders = tuple(map(sysconfig.get_path, ("stdlib", "platstdlib")))
    is_pythons = path is None or os.path.realpath(path).startswith(
        tuple(os.path.realpath(folder) + os.sep for folder in folders)
    )
    return sys.version if is_pythons else None


def is_known_module(value):
    """Whether a value is a module whose contents are known by name and version."""
    if not isinstance(value, ModuleType) or sys.modules.get(value.__name__) is not value:
        return False
    return _version(value.__name__.partition(".")[0]) is not None


def known_name(value):
    """The module, name and version of what is known by these; None for anything else."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if isinstance(value, np.ufunc):
        # Most do not say where they are from.
        name = value.__name__
        module = "numpy" if getattr(np, name, None) is value else "scipy.special"
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    version = _version(module.partition(".")[0])
    if version is None or value is not by_name(module, name):
        return None
    return module, name, version


def by_name(module, qualname):
    """The value that an imported module has under a qualified name; None if there is none."""
    value = sys.modules.get(module)
    for name in qualname.split("."):
        value = getattr(value, name, None)
    return value


def is_numbas(function):
    """Whether a function is of a package whose functions Numba knows."""
    return (function.__module__ or "").partition(".")[0] in NUMBAS


# ---- the hash --------------------------------------------------------------------------------


def fingerprint(function):
    """A hash of a plain or ``@njit`` function and all that it reaches: 16 hexadecimal digits.

    Raises
    ------
    TypeError
        If it reaches a value that is known neither by its contents nor by its name.
    ValueError
        If a function that it reaches closes over variables, or calls itself.
    """
    known = _fingerprints.get(function)
    if known is not None and known.holds():
        return known.digits
    description = _Description()
    text = repr(description.value(function, ""))
    digits = hashlib.sha256(text.encode()).hexdigest()[:16]
    if not description.is_mutable:
        if len(_fingerprints) >= MOST_FINGERPRINTS:
            _fingerprints.clear()
        _fingerprints[function] = _Known(digits, description.functions, description.references)
    return digits


class _Known:
    """A fingerprint, and what it was taken of: it holds while that is still the same objects."""

    def __init__(self, digits, functions, references):
        self.digits = digits
        # Functions with their code and their two kinds of defaults.
        self._functions = functions
        # Functions, what they refer to, and the values of that.
        self._references = references

    def holds(self):
        for function, *parts in self._functions:
            if not all(map(is_, _parts(function), parts)):
                return False
        for function, reference, values in self._references:
            now = look_up(function, reference)
            if len(now) != len(values) or not all(map(is_, now, values)):
                return False
        return True


def _parts(function):
    return function.__code__, function.__defaults__, function.__kwdefaults__


@lru_cache(maxsize=4096)
def _described_code(code):
    """Everything about code that has a meaning, hashed; names of its local variables do not."""
    n_arguments = code.co_argcount + code.co_kwonlyargcount
    described = (
        code.co_code, code.co_exceptiontable, code.co_flags, code.co_argcount,
        code.co_posonlyargcount, code.co_kwonlyargcount, code.co_varnames[:n_arguments],
        code.co_names, code.co_freevars, code.co_cellvars,
        [_described_constant(constant) for constant in code.co_consts],
    )  # fmt: skip
    return hashlib.sha256(repr(described).encode()).hexdigest()


def _described_constant(constant):
    if isinstance(constant, CodeType):
        return _described_code(constant)
    return _Description().value(constant, "a constant")


class _Description:
    """Values as nested tuples of what they mean; each function is described once."""

    def __init__(self):
        # The fingerprint is taken of these, as `_Known` has it. The last says whether any of them
        # can change while it is the same object.
        self.functions, self.references, self.is_mutable = [], [], False
        self._described = {}
        # The functions that are being described, each used by the one before it.
        self._within = []

    def function(self, function):
        """A plain function: its code, its defaults, and what it refers to."""
        name = known_name(function)
        if name is not None:
            return name
        if function.__closure__:
            raise ValueError(
                f"{function.__qualname__!r} must not close over variables, but uses "
                f"{function.__code__.co_freevars}. Make them global constants."
            )
        return self._once(function, function)

    def _dispatcher(self, dispatcher):
        """A function for ``@njit``, its options and, where they were given, its signatures."""
        what = f"an option of {dispatcher.__qualname__!r}"
        described = self._once(dispatcher, dispatcher.py_func)
        return "njit", described, self._options(described_options(dispatcher), what)

    def _options(self, option, what):
        if isinstance(option, dict):
            return [(name, self._options(one, what)) for name, one in sorted(option.items())]
        return self.value(frozenset(option) if isinstance(option, set) else option, what)

    def _once(self, owner, function):
        """The description of the function of ``owner``, which is that function or calls it."""
        if owner in self._within:
            raise ValueError(
                f"{function.__qualname__!r} calls itself, by itself or by way of others. "
                "Write it as a loop."
            )
        if owner not in self._described:
            self._within.append(owner)
            self._described[owner] = self._hashed(function)
            self._within.pop()
        return self._described[owner]

    def _hashed(self, function):
        self.functions.append((function, *_parts(function)))
        self.is_mutable |= bool(function.__closure__)
        parts = [_described_code(function.__code__)]
        defaults = (function.__defaults__ or (), tuple((function.__kwdefaults__ or {}).items()))
        parts.append(self._data(defaults, "the default of an argument"))
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for name, cell in cells:
            parts.append((name, self.value(cell.cell_contents, repr(name))))
        for reference in references(function.__code__):
            parts.append((reference, self._referred(function, reference)))
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _referred(self, function, reference):
        values = look_up(function, reference)
        self.references.append((function, reference, values))
        for n, value in enumerate(values):
            if is_known_module(value):
                version = _version(value.__name__.partition(".")[0])
                return value.__name__, reference[n + 1 :], version
        return self.value(values[-1], repr(".".join(reference[: len(values)])))

    def value(self, value, what):
        """Any value; ``what`` it is says a message."""
        if value is UNDEFINED:
            return "undefined"
        if isinstance(value, FunctionType):
            return self.function(value)
        if is_dispatcher(value):
            return self._dispatcher(value)
        name = known_name(value) if callable(value) else None
        return self._data(value, what) if name is None else name

    def _data(self, value, what):
        """A value that is no function."""
        kind = type(value)
        if kind in PLAIN:
            return kind.__name__, repr(value)
        if kind is tuple:
            return [self._data(item, what) for item in value]
        if kind is frozenset:
            return "frozenset", sorted(repr(self._data(item, what)) for item in value)
        if kind is slice:
            return "slice", self._data((value.start, value.stop, value.step), what)
        if kind is np.ndarray or (isinstance(value, np.generic) and _is_numpys(kind)):
            if not value.dtype.hasobject:
                self.is_mutable |= isinstance(value, np.ndarray | np.void)
                return _described_array(value)
        elif isinstance(value, enum.Enum):
            return self._data(kind, what), value.name
        elif isinstance(value, tuple) and hasattr(kind, "_fields"):
            return self._data(kind, what), self._data(tuple(value), what)
        elif isinstance(value, type):
            return self._class(value, what)
        elif _is_numbas_type(value):
            return "type", str(value)
        raise self._refusal(value, what)

    def _class(self, cls, what):
        """An enumeration, a named tuple or an exception; Numba compiles no other classes."""
        name = cls.__qualname__
        if issubclass(cls, enum.Enum):
            members = [(key, self._data(one.value, what)) for key, one in cls.__members__.items()]
            return name, [base.__qualname__ for base in cls.__mro__], members
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            defaults = tuple(cls._field_defaults.items())
            return name, cls._fields, self._data(defaults, what)
        if issubclass(cls, BaseException):
            return name
        raise self._refusal(cls, what)

    def _refusal(self, value, what):
        is_class = isinstance(value, type)
        kind = value.__qualname__ if is_class else type(value).__qualname__
        kind = f"the class {kind}" if is_class else f"an object of type {kind}"
        return TypeError(
            f"{self._within[-1].__qualname__!r} uses {what}, {kind}, which cannot be compiled or "
            "could change unseen. Make it a global number, tuple, NumPy array or plain function."
        )


def _is_numpys(kind):
    return kind.__module__.partition(".")[0] == "numpy"


def _is_numbas_type(value):
    """Whether a value is one of Numba's types of numbers, which cast."""
    numba = sys.modules.get("numba")
    return numba is not None and isinstance(value, numba.types.Number | numba.types.Boolean)


def _described_array(value):
    # The repr of a structured dtype says its fields, its str does not.
    contents = hashlib.sha256(value.tobytes()).hexdigest()
    return "array", repr(value.dtype), value.shape, contents
