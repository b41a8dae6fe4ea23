"""How warnings reach the user: under whose module they come, and at which line they point.

Those that scikit-learn gives, too, come under its module, so that filters that a program has for
scikit-learn's go on to work. Advice, which scikit-learn does not give, has a category of its own.
All of them point at the line of the user's program that led to the fit, through however many
searches and pipelines.
"""

import os
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from types import BuiltinFunctionType

from fastnn import streams
from fastnn.exceptions import AdviceWarning

# Where scikit-learn's multi-layer perceptrons are defined, and warn.
SKLEARN_MODULE = "sklearn.neural_network._multilayer_perceptron"
OWN_MODULE = "fastnn"
# Packages whose frames are never the user's; neither are those of Python's own library.
MACHINERY = ("fastnn", "sklearn", "joblib", "scipy", "numba")
# Folders and files of scikit-learn that pass a call for a fit on, and do not make several of it.
PASSING_ON = ("base.py", "pipeline.py", "compose", "utils", "callback")


class _Advice:
    """Whether advice is wanted, and what fits that are among others have given, from which line."""

    is_wanted = True
    given_among_others = set()


def warn(message, category=UserWarning, module=SKLEARN_MODULE):
    """Give a warning that scikit-learn gives, too, or one of the user's own asking."""
    _give(message, category, module, find_caller())


def advise(message):
    """Give a warning that scikit-learn does not give, unless no advice is wanted.

    The fits of a search, an ensemble and the like give it once for a line of the program. Python's
    filter does not see to that, because scikit-learn resets what it remembers in every fit.
    """
    if not _Advice.is_wanted:
        return
    caller = find_caller()
    given = (message, caller.filename, caller.lineno)
    if caller.is_among_others and given in _Advice.given_among_others:
        return
    _give(message, AdviceWarning, OWN_MODULE, caller)
    # Not reached where a filter has made an error of it.
    if caller.is_among_others:
        _Advice.given_among_others.add(given)


def want_advice(wanted):
    """Say whether `advise` is to warn, for the whole process."""
    _Advice.is_wanted = wanted


def advice_is_wanted():
    """Whether `advise` warns."""
    return _Advice.is_wanted


def _give(message, category, module, caller):
    if not isinstance(warnings.warn, BuiltinFunctionType):
        # The program has put a function in its place, mostly one that says nothing.
        warnings.warn(message, category, stacklevel=3)
        return
    try:
        warnings.warn_explicit(
            message, category, caller.filename, caller.lineno, module, caller.registry
        )
    except (AttributeError, ValueError):
        # There may be no stderr to show it on, which is no reason to lose a fit.
        if streams.can_write(sys.stderr):
            raise


@dataclass(frozen=True)
class Caller:
    """The line that called for a fit.

    Parameters
    ----------
    filename : str
    lineno : int
    registry : dict
        Where Python keeps which warnings this module has given.
    is_among_others : bool
        Whether it called for several fits, by a search, an ensemble or the like.
    """

    filename: str
    lineno: int
    registry: dict
    is_among_others: bool


def find_caller():
    """The innermost line of the user's program that is being executed.

    Where there is none in this thread, as in joblib's workers, it is the one that called the
    estimator's method.
    """
    folders = _folders()
    libraries = tuple(folders.values())
    passing_on = tuple(folders["sklearn"] + name for name in PASSING_ON)
    multiplying = (folders["sklearn"], folders["joblib"])
    # Methods of estimators are called through a wrapper in sklearn.base.
    methods = (folders["fastnn"], passing_on[0])
    frame, calls_method, is_among_others = sys._getframe(1), None, False
    while frame is not None:
        filename = frame.f_code.co_filename
        if not (filename.startswith(libraries) or _is_pythons(filename)):
            break
        if calls_method is None and not filename.startswith(methods):
            calls_method = frame
        if filename.startswith(multiplying) and not filename.startswith(passing_on):
            is_among_others = True
        frame = frame.f_back
    frame = frame or calls_method or sys._getframe(1)
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    return Caller(frame.f_code.co_filename, frame.f_lineno, registry, is_among_others)


@cache
def _folders():
    """The folder of each package of MACHINERY, with a separator at the end."""
    return {name: os.path.join(os.path.dirname(find_spec(name).origin), "") for name in MACHINERY}


def _is_pythons(filename):
    """Whether a file is of Python's own library."""
    folder = os.path.join(os.path.dirname(os.__file__), "")
    # Other packages are in a folder of that folder, site-packages or dist-packages.
    is_inside = filename.startswith(folder) and "-packages" not in filename[len(folder) :]
    return is_inside or filename.startswith("<frozen ")
