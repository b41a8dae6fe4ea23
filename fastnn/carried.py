"""How users' registered functions travel with estimators, in pickles and to workers.

A pickle carries the functions that its estimator uses, and nothing where it uses none. What goes to
a worker of joblib or multiprocessing carries all of them, because parameters may be set there, as
in a grid search.

Functions are part of the same pickle as the estimator, and all that makes them is in it by its own
name: an unpickler that allows some names only sees every one. A function that can be imported is
pickled as its name. One that cannot, because it is a script's, a notebook's or a lambda, is pickled
as its code and the values that it uses; that code is for one version of Python.
"""

import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from multiprocessing.reduction import ForkingPickler
from types import CodeType, FunctionType, ModuleType

import numpy as np

from fastnn import config
from fastnn.kernels.fingerprint import (
    UNDEFINED,
    by_name,
    is_dispatcher,
    is_known_module,
    look_up,
    references,
)
from fastnn.kernels.losses import Loss
from fastnn.registration import adopt, entries_of, fingerprints, functions_of

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
        marked, made = [], {}
        for entry in self.entries:
            # What cannot be trained with any more, because a global has changed, stays behind.
            with suppress(TypeError, ValueError):
                marks = fingerprints(entry)
                marked.append((_portable_entry(entry, made), marks))
        return Arrived, (tuple(marked), ENVIRONMENT)

    def __deepcopy__(self, memo):
        return self


class Arrived:
    """Entries that came with an estimator, with what they mean where they came from."""

    def __init__(self, marked, environment):
        self.marked, self.environment = marked, environment


def packed(activation, loss, network=None):
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


def unpack(carried, *, from_parent=False):
    """Register what came with an estimator; what cannot be used stays unknown.

    What was `packed` in this process, for a copy, is registered already.
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
    return (_received, (plain[1], Carried(entries))) if entries else plain


def _received(sent, arrived):
    unpack(arrived, from_parent=True)
    return config.Sent(*sent)


ForkingPickler.register(config.Sent, _with_all_functions)
with suppress(ImportError):
    # Without this place in joblib, its workers get what an estimator uses, as files do.
    from joblib.externals.loky.backend import reduction

    reduction.register(config.Sent, _with_all_functions)


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


def _portable_entry(entry, made):
    name = "value" if isinstance(entry, Loss) else "forward"
    function, gradient = (portable(one, made) for one in functions_of(entry))
    return replace(entry, **{name: function, "gradient": gradient})


def portable(value, made):
    """A value that a function uses, as pickle takes it.

    ``made`` has what functions were made by value, which pickle then takes once.
    """
    if isinstance(value, FunctionType):
        if not is_importable(value):
            return made.get(value) or made.setdefault(value, _by_value(value, made))
        return value
    if is_known_module(value):
        return Call(import_module, value.__name__)
    if is_dispatcher(value):
        from fastnn.kernels.jit import jitted

        signatures = None if value._can_compile else value.nopython_signatures
        options = value.targetoptions
        return Call(jitted, _by_value(value.py_func, made), signatures, value.locals, options)
    return value


def _by_value(function, made):
    """A function as its code and the globals that it uses; of modules, what it uses of them."""
    names = {"__name__": function.__module__}
    for reference in references(function.__code__):
        if reference[0] not in function.__globals__:
            continue
        holder = names
        for name, value in zip(reference, look_up(function, reference), strict=False):
            if not isinstance(value, ModuleType) or is_known_module(value):
                if value is not UNDEFINED:
                    holder[name] = portable(value, made)
                break
            holder = holder.setdefault(name, MODULE(value.__name__, state={})).state
    cells = tuple(CELL(portable(cell.cell_contents, made)) for cell in function.__closure__ or ())
    code = _portable_code(function.__code__)
    return FUNCTION(code, names, function.__name__, function.__defaults__, cells)


def _portable_code(code):
    constants = tuple(
        _portable_code(one) if isinstance(one, CodeType) else one for one in code.co_consts
    )
    return CODE(
        code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_nlocals,
        code.co_stacksize, code.co_flags, code.co_code, constants, code.co_names, code.co_varnames,
        code.co_filename, code.co_name, code.co_qualname, code.co_firstlineno, code.co_linetable,
        code.co_exceptiontable, code.co_freevars, code.co_cellvars,
    )  # fmt: skip
