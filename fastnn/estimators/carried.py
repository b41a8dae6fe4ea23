"""How users' registered functions travel with estimators, in pickles and to workers.

A pickle carries the functions that its estimator uses, and nothing where it uses none. A function
that can be imported is pickled as its name. One that cannot, because it is a script's, a notebook's
or a lambda, is pickled as its code and the values that it uses; that code is for one version of
Python. All of it is part of the same pickle as the estimator, with what makes functions by its
name: an unpickler that allows some names only sees every one.

What goes to a worker of joblib or multiprocessing carries all that is registered, because
parameters may be set there, as in a grid search. Every function goes as code and values, so that it
means there what it means here, whatever was changed since the start.
"""

import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from multiprocessing.reduction import ForkingPickler
from types import CodeType, FunctionType, ModuleType

import numpy as np

from fastnn.estimators import config
from fastnn.estimators.registration import adopt, entries_of, fingerprints, functions_of
from fastnn.kernels.dispatchers import is_dispatcher, recipe
from fastnn.kernels.fingerprint import (
    UNDEFINED,
    by_name,
    is_known_module,
    known_name,
    look_up,
    references,
)
from fastnn.kernels.losses import Loss

# Code is for one version of Python; fingerprints can be compared where all of this is the same.
ENVIRONMENT = (sys.implementation.cache_tag, sys.version, np.__version__)
# Modules that are something else in every process.
MAIN_MODULES = ("__main__", "__mp_main__")


# ---- what travels ----------------------------------------------------------------------------


class Carried:
    """Registered entries on their way; `Arrived` is what they are unpickled as."""

    def __init__(self, entries):
        self.entries = entries

    def __reduce__(self):
        return Arrived, (_marked(self.entries, _Portable(by_name=True)), ENVIRONMENT)

    def __deepcopy__(self, memo):
        return self


class Arrived:
    """Entries that came with an estimator, with what they mean where they came from."""

    def __init__(self, marked, environment):
        self.marked, self.environment = marked, environment


def taken_along(activation, loss, network=None):
    """The registered entries that an estimator takes along; None if it uses none.

    Parameters
    ----------
    activation, loss : object
        The estimator's parameters, which nobody may have checked.
    network : Network or None
        Its fitted network.
    """
    several = isinstance(activation, Iterable) and not isinstance(activation, str)
    activations = list(activation) if several else [activation]
    losses = [loss]
    if network is not None:
        activations += network.activations
        losses.append(network.loss)
    entries = entries_of(activations, losses)
    return Carried(entries) if entries else None


def take_over(carried, *, from_parent=False):
    """Register what came with an estimator; what cannot be used stays unknown.

    What was `taken_along` in this process, for a copy, is registered already.
    """
    if not isinstance(carried, Arrived):
        return
    tag, *_ = carried.environment
    for entry, marks in carried.marked:
        with suppress(TypeError, ValueError):
            functions = functions_of(entry)
            if tag == ENVIRONMENT[0] or all(map(is_importable, functions)):
                expected = marks if carried.environment == ENVIRONMENT else None
                adopt(entry, expected, from_parent=from_parent)


# ---- to workers ------------------------------------------------------------------------------


def _with_all_functions(sent):
    """The configuration on its way to a worker, reduced together with all that is registered."""
    entries = entries_of()
    plain = sent.__reduce_ex__(4)
    if not entries:
        return plain
    return _received, (plain[1], _marked(entries, _Portable(by_name=False)), ENVIRONMENT)


def _received(sent, marked, environment):
    take_over(Arrived(marked, environment), from_parent=True)
    return config.Sent(*sent)


def _nothing_more(carried):
    """Reduce the entries of an estimator on its way to a worker, where all go along anyway."""
    return Arrived, ((), ENVIRONMENT)


def _reduce_for_workers(register):
    register(config.Sent, _with_all_functions)
    register(Carried, _nothing_more)


_reduce_for_workers(ForkingPickler.register)
with suppress(ImportError):
    # Without this place in joblib, its workers get what an estimator uses, as files do.
    from joblib.externals.loky.backend import reduction

    _reduce_for_workers(reduction.register)


# ---- functions as pickle takes them ----------------------------------------------------------


class Call:
    """A call that is made when it is unpickled, with ``state``, if any, for its result."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state

    def __call__(self, *arguments, state=None):
        return Call(self, *arguments, state=state)

    def __reduce__(self):
        return self.function, self.arguments, self.state


# Classes that pickle does not find by their names.
_TYPES = Call(import_module, "types")
CELL, CODE, FUNCTION, MODULE = (
    Call(getattr, _TYPES, name) for name in ("CellType", "CodeType", "FunctionType", "ModuleType")
)


def is_importable(function):
    """Whether pickle finds a function by its name, in this process and in others."""
    module = function.__module__
    return (
        isinstance(module, str)
        and module not in MAIN_MODULES
        and by_name(module, function.__qualname__) is function
    )


def _marked(entries, portable):
    """Entries as pickle takes them, each with its fingerprints."""
    marked = []
    for entry in entries:
        # An entry that nothing can be trained with any more stays behind: a global has changed.
        with suppress(TypeError, ValueError):
            marks = fingerprints(entry)
            marked.append((portable.entry(entry), marks))
    return tuple(marked)


class _Portable:
    """Makes what functions use into what pickle takes.

    Functions that can be imported are left to it ``by_name``, or are made like all others.
    """

    def __init__(self, *, by_name):
        self._by_name = by_name
        # The functions that were made, so that each is pickled once.
        self._made = {}

    def entry(self, entry):
        name = "value" if isinstance(entry, Loss) else "forward"
        function, gradient = map(self.value, functions_of(entry))
        return replace(entry, **{name: function, "gradient": gradient})

    def value(self, value):
        if isinstance(value, FunctionType):
            if known_name(value) is not None or (self._by_name and is_importable(value)):
                return value
            return self._function(value)
        if is_known_module(value):
            return Call(import_module, value.__name__)
        if is_dispatcher(value):
            from fastnn.kernels.cpu.jit import jitted

            return Call(jitted, self._function(value.py_func), *recipe(value))
        return value

    def _function(self, function):
        """A function as its code and the globals that it uses; of modules, what it uses of them."""
        if function not in self._made:
            cells = [CELL(self.value(cell.cell_contents)) for cell in function.__closure__ or ()]
            self._made[function] = FUNCTION(
                _portable_code(function.__code__),
                self._globals(function),
                function.__name__,
                function.__defaults__,
                tuple(cells),
            )
        return self._made[function]

    def _globals(self, function):
        names = {"__name__": function.__module__}
        for reference in references(function.__code__):
            if reference[0] not in function.__globals__:
                continue
            holder = names
            for name, value in zip(reference, look_up(function, reference), strict=False):
                if not isinstance(value, ModuleType) or is_known_module(value):
                    if value is not UNDEFINED:
                        holder[name] = self.value(value)
                    break
                holder = holder.setdefault(name, MODULE(value.__name__, state={})).state
        return names


def _portable_code(code):
    constants = tuple(
        _portable_code(one) if isinstance(one, CodeType) else one for one in code.co_consts
    )
    return CODE(
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_nlocals,
        code.co_stacksize,
        code.co_flags,
        code.co_code,
        constants,
        code.co_names,
        code.co_varnames,
        code.co_filename,
        code.co_name,
        code.co_qualname,
        code.co_firstlineno,
        code.co_linetable,
        code.co_exceptiontable,
        code.co_freevars,
        code.co_cellvars,
    )
