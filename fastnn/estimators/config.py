"""Defaults of estimators: for the process, for a block, and in joblib's workers.

A thread sees, in this order: the innermost `config_context` that it entered; else the innermost
one that the main thread is in, because the threads of joblib's pools enter none; else what
`set_config` set for the process. A worker process takes over the configuration of the process that
started it with every estimator that it gets from there.
"""

import multiprocessing
import os
import threading
from contextlib import contextmanager
from contextvars import ContextVar

from sklearn.utils._param_validation import StrOptions, validate_parameter_constraints

from fastnn import notices
from fastnn.estimators.parameter_table import TABLE

_PARAMETERS = sorted(
    (entry for entry in TABLE if entry.setting is not None), key=lambda entry: entry.name
)
# INITIAL is configured at the start; an estimator whose parameter was not given has the other.
INITIAL = {entry.name: entry.setting for entry in _PARAMETERS}
ESTIMATOR_DEFAULTS = {entry.name: entry.default for entry in _PARAMETERS}


def _allowed(parameter):
    """The constraint of a setting, which may be more than an estimator's parameter may be.

    None leaves the setting as it is, and its initial value is the way back to none at all.
    """
    return [
        *parameter.constraint,
        *([] if parameter.allows(None) else [None]),
        *([] if parameter.allows(parameter.setting) else [StrOptions({parameter.setting})]),
    ]


_CONSTRAINTS = {entry.name: _allowed(entry) for entry in _PARAMETERS}

_current = ContextVar("fastnn_config", default=None)


class _Process:
    """The configuration of this process, and the contexts that its main thread is in."""

    settings = dict(INITIAL)
    contexts = []
    # Whether anything was ever configured; in which process set_config was called.
    is_used = False
    set_in = None


def _in_force():
    """The settings that this thread sees, to read or to change."""
    settings = _current.get()
    if settings is None:
        settings = _Process.contexts[-1] if _Process.contexts else _Process.settings
    return settings


def _after_fork_in_child():
    # The child's threads begin where the parent's was; a worker's configuration comes later.
    _Process.settings = dict(_in_force())
    _Process.contexts = []
    _current.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _given(caller, settings):
    """The settings that are not None, checked."""
    validate_parameter_constraints(_CONSTRAINTS, settings, caller)
    return {name: value for name, value in settings.items() if value is not None}


def get_config():
    """The defaults in force for estimators in this thread.

    Returns
    -------
    config : dict
        The keys are the parameters of `set_config`.

    See Also
    --------
    set_config : Set defaults for the process.
    config_context : Set defaults for a block.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.get_config()
    {'device': 'cpu', 'dtype': 'auto', 'n_jobs': 'auto'}
    """
    return dict(_in_force())


def set_config(device=None, dtype=None, n_jobs=None):
    """Set defaults for estimators whose own parameter is at its default.

    They hold for all threads of the process, and for its joblib workers. Within a
    `config_context` they hold until its end. What an estimator was given always wins.

    Parameters
    ----------
    device : {'cpu', 'cuda', 'auto'}, default=None
        Where to train and predict. None leaves the setting unchanged.
    dtype : {'auto', 'float32', 'float64'}, default=None
        The precision of estimators with dtype='auto'. 'auto' is the precision of the data. None
        leaves the setting unchanged.
    n_jobs : int or 'auto', default=None
        Threads of estimators with n_jobs=None, with joblib's meaning for negative numbers. 'auto'
        leaves the number to fastnn. None leaves the setting unchanged.

    Raises
    ------
    ValueError
        If a value is not one of these.

    See Also
    --------
    config_context : Set defaults for a block.
    get_config : The defaults in force.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.set_config(dtype="float32", n_jobs=1)
    >>> fastnn.get_config()
    {'device': 'cpu', 'dtype': 'float32', 'n_jobs': 1}
    >>> fastnn.set_config(dtype="auto", n_jobs="auto")
    """
    given = _given("set_config", {"device": device, "dtype": dtype, "n_jobs": n_jobs})
    in_force = _in_force()
    in_force.update(given)
    _Process.is_used = True
    if in_force is _Process.settings:
        _Process.set_in = os.getpid()


@contextmanager
def config_context(device=None, dtype=None, n_jobs=None):
    """Set defaults, for a block, for estimators whose own parameter is at its default.

    At the end of the block all settings are what they were before. A block that the main thread
    enters holds also for threads that enter none of their own, such as joblib's, and for joblib's
    worker processes; one that another thread enters holds for that thread only.

    A fit takes its precision from the block that it runs in; a trained model keeps it. Threads and
    device of a prediction come from the block that the prediction runs in.

    Parameters
    ----------
    device : {'cpu', 'cuda', 'auto'}, default=None
        Where to train and predict. None leaves the setting unchanged.
    dtype : {'auto', 'float32', 'float64'}, default=None
        The precision of estimators with dtype='auto'. 'auto' is the precision of the data. None
        leaves the setting unchanged.
    n_jobs : int or 'auto', default=None
        Threads of estimators with n_jobs=None, with joblib's meaning for negative numbers. 'auto'
        leaves the number to fastnn. None leaves the setting unchanged.

    Returns
    -------
    context : context manager
        For a ``with`` statement.

    Raises
    ------
    ValueError
        If a value is not one of these.

    See Also
    --------
    set_config : Set defaults for the process.
    get_config : The defaults in force.

    Examples
    --------
    >>> import fastnn
    >>> with fastnn.config_context(dtype="float32"):
    ...     fastnn.get_config()["dtype"]
    'float32'
    >>> fastnn.get_config()["dtype"]
    'auto'
    """
    given = _given("config_context", {"device": device, "dtype": dtype, "n_jobs": n_jobs})
    settings = {**_in_force(), **given}
    _Process.is_used = True
    for_all = threading.current_thread() is threading.main_thread()
    if for_all:
        _Process.contexts.append(settings)
    token = _current.set(settings)
    try:
        yield
    finally:
        _current.reset(token)
        # By identity: tasks of an event loop leave their blocks in any order.
        _Process.contexts = [other for other in _Process.contexts if other is not settings]


def effective(name, value):
    """An estimator's parameter, or what is configured if it was left at its default."""
    if value != ESTIMATOR_DEFAULTS[name]:
        return value
    configured = _in_force()[name]
    return value if configured == "auto" else configured


def want_advice(wanted):
    """Say whether this process, and joblib's workers that it starts, are to give advice."""
    notices.want_advice(wanted)
    _Process.is_used = True


class Sent(tuple):
    """The sender's process, its settings, and whether it wants advice.

    The process is None if nothing was ever configured in it.
    """

    def __reduce_ex__(self, protocol):
        # joblib.hash pickles by protocol 3, and what goes to a worker by a later one: a result
        # depends on the settings that a fit sees, but not on the process, new in every run, nor on
        # what is said about it.
        pid, settings, advice = self
        return Sent, ((pid, settings, advice) if protocol > 3 else (None, settings, True),)


def taken_along():
    """The configuration that an estimator takes along to a worker."""
    pid = os.getpid() if _Process.is_used else None
    return Sent((pid, dict(_in_force()), notices.advice_is_wanted()))


def take_over(sent):
    """Take over the configuration that came with an estimator from the process that started this.

    From anywhere else, a file for instance, nothing is taken over; nor are the settings where this
    process has called `set_config` itself.
    """
    parent = multiprocessing.parent_process()
    if sent is None or parent is None:
        return
    pid, settings, advice = sent
    if pid != parent.pid:
        return
    want_advice(advice)
    if _Process.set_in != os.getpid():
        _Process.settings = dict(settings)
