"""Activations and losses of the user's own, compiled into the core under a name."""

import os
import types
from numbers import Real

from fastnn.kernels.activations import ACTIVATIONS, Activation
from fastnn.kernels.fingerprint import fingerprint
from fastnn.kernels.losses import LOSSES, NUMBERS, Loss
from fastnn.notices import advise

# The fingerprints of entries that came with estimators from other processes, by kind and name;
# None for entries that a forked process began with. Other estimators may bring newer ones.
_adopted = {}
OUT_ACTIVATIONS = ("identity", "exp", "logistic")


def register_activation(name, forward, gradient, *, gradient_of="input"):
    """Make an activation of your own known by a name.

    The functions are compiled when a fit first needs them. Joblib's workers get them with the
    estimator, and a pickled estimator takes along those that it uses: as names where they can be
    imported, which they must be where it is loaded; otherwise, from a script or a notebook, as code
    for this version of Python.

    Parameters
    ----------
    name : str
        What to write as ``activation``; not the name of one of fastnn's own. A name that was
        registered before means the new functions from now on.
    forward : function
        ``forward(x)``, the activation of one unit, with plain scalar arithmetic. `math`'s ``exp``,
        ``log``, ``log1p`` and ``tanh`` become versions that are vectorised and have the same bits
        on every machine; other functions of `math`, and NumPy's, are those of Numba. It may call
        other plain functions and functions for Numba's ``@njit``, and use numbers, strings,
        tuples, NumPy arrays and enumerations that are globals or attributes of modules. Every fit
        takes these as they are then. It must not close over variables.
    gradient : function
        ``gradient(x)``, its derivative at x.
    gradient_of : {"input", "output"}, default="input"
        With "output", gradient is a function of ``forward(x)`` instead, which saves memory.

    Raises
    ------
    TypeError
        If a function is not a plain Python function, or returns no number, or uses an object of
        another type, which could change unseen.
    ValueError
        If the name is taken by fastnn, or a function closes over variables or calls itself.

    See Also
    --------
    register_loss : The same for losses.

    Examples
    --------
    >>> from fastnn import MLPRegressor, register_activation
    >>> def square(x):
    ...     return x * x
    >>> def square_gradient(x):
    ...     return 2 * x
    >>> register_activation("square", square, square_gradient)
    >>> X, y = [[-1.0], [0.0], [1.0], [2.0]], [1.0, 0.0, 1.0, 4.0]
    >>> model = MLPRegressor(
    ...     hidden_layer_sizes=2, activation="square", solver="lbfgs", alpha=0, random_state=0
    ... )
    >>> print(f"{model.fit(X, y).score(X, y):.3f}")
    1.000
    """
    _check_name(name, ACTIVATIONS)
    entry = _activation(name, forward, gradient, gradient_of)
    for what, function in (("forward", forward), ("gradient", gradient)):
        _check_function(what, function, 1)
    ACTIVATIONS[name] = entry
    _adopted.pop(("activation", name), None)


def register_loss(name, value, gradient, *, out_activation="identity"):
    """Make a loss of your own for `MLPRegressor` known by a name.

    A row's loss is the sum over its outputs. What is said of functions and names at
    `register_activation` holds here, too.

    Parameters
    ----------
    name : str
        What to write as ``loss``; not the name of one of fastnn's own.
    value : function
        ``value(x, y)``, the loss of one output, from its value x before the output activation and
        its target y.
    gradient : function
        ``gradient(x, y)``, the derivative with respect to x.
    out_activation : {"identity", "exp", "logistic"}, default="identity"
        What makes a prediction of x.

    Raises
    ------
    TypeError
        If a function is not a plain Python function, or returns no number, or uses an object of
        another type, which could change unseen.
    ValueError
        If the name is taken by fastnn, a function closes over variables or calls itself, or the
        output activation is not known.

    See Also
    --------
    register_activation : The same for activations.

    Examples
    --------
    >>> from math import exp, log
    >>> from fastnn import MLPRegressor, register_loss
    >>> def log_cosh(x, y):
    ...     return log(exp(x - y) + exp(y - x))
    >>> def log_cosh_gradient(x, y):
    ...     return 2 / (1 + exp(2 * (y - x))) - 1
    >>> register_loss("log_cosh", log_cosh, log_cosh_gradient)
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> model = MLPRegressor("log_cosh", (), solver="lbfgs", alpha=0, random_state=0)
    >>> print(model.fit(X, y).predict([[3.0]]).round(2))
    [7.]
    """
    _check_name(name, LOSSES)
    entry = _loss(name, value, gradient, out_activation)
    for what, function in (("value", value), ("gradient", gradient)):
        _check_function(what, function, 2)
    LOSSES[name] = entry
    _adopted.pop(("loss", name), None)


def _activation(name, forward, gradient, gradient_of):
    if gradient_of not in ("input", "output"):
        raise ValueError(f"gradient_of must be 'input' or 'output', got {gradient_of!r}.")
    return Activation(
        name, "registered by the user", forward, gradient, gradient_of=gradient_of, is_users=True
    )


def _loss(name, value, gradient, out_activation):
    if out_activation not in OUT_ACTIVATIONS:
        raise ValueError(
            f"out_activation must be one of {OUT_ACTIVATIONS}, got {out_activation!r}."
        )
    return Loss(name, out_activation, value, gradient, NUMBERS, is_users=True)


def _check_name(name, registry):
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"name must be a str that is an identifier, got {name!r}.")
    if name in registry and not registry[name].is_users:
        raise ValueError(f"name {name!r} is one of fastnn's own. Choose another.")


def _check_plain(what, function):
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"{what} must be a plain Python function, got {function!r}.")


def _check_function(what, function, n_arguments):
    """Raise TypeError or ValueError for what cannot be compiled, or could change unseen."""
    _check_plain(what, function)
    fingerprint(function)
    try:
        result = function(*[0.5] * n_arguments)
    except Exception as error:
        arguments = ", ".join(["0.5"] * n_arguments)
        raise TypeError(f"{what}({arguments}) raised {error!r}.") from error
    if not isinstance(result, Real):
        raise TypeError(f"{what} must return a number, got {result!r} for 0.5.")


def functions_of(entry):
    """The two functions of a registered entry."""
    return (entry.value if isinstance(entry, Loss) else entry.forward), entry.gradient


def fingerprints(entry):
    """The fingerprints that the functions of an entry have at present."""
    return tuple(map(fingerprint, functions_of(entry)))


def entries_of(activations=None, losses=None):
    """The users' entries among these names, which may be anything; by default all there are."""
    return [
        entry
        for names, registry in ((activations, ACTIVATIONS), (losses, LOSSES))
        for entry in list(registry.values())
        if entry.is_users and (names is None or entry.name in names)
    ]


def adopt(entry, expected=None, *, from_parent=False):
    """Register an entry that came with an estimator, unless this process has one of its own.

    Parameters
    ----------
    entry : Activation or Loss
        Unpickled, and nobody has checked it.
    expected : tuple of str or None
        Its `fingerprints` where it came from, if they can be compared with those of this process.
    from_parent : bool
        Whether it came from the process that started this one, which may have changed its mind.

    Raises
    ------
    TypeError, ValueError
        If the entry cannot be used here.
    """
    kind, registry, entry = _rebuilt(entry)
    origin, known = (kind, entry.name), registry.get(entry.name)
    _check_name(entry.name, registry)
    if expected is not None and _adopted.get(origin) == expected:
        return
    is_own = known is not None and origin not in _adopted
    meaning = fingerprints(known if is_own else entry)
    if expected is not None and meaning != expected:
        advise(
            f"The {kind} {entry.name!r} that came with an estimator means something else here than "
            "where that was pickled: its code, or the value of something that it uses, is "
            "different in this process, and what is here counts."
        )
    if is_own:
        return
    if not from_parent and known is not None and _adopted[origin] not in (None, meaning):
        advise(
            f"The {kind} {entry.name!r} that came with an estimator takes the place of another "
            "one of this name, which came with another estimator."
        )
    registry[entry.name] = entry
    _adopted[origin] = meaning if expected is None else expected


def _rebuilt(entry):
    """The kind of an unpickled entry, its registry, and the entry as it is registered here."""
    if isinstance(entry, Loss):
        kind, registry = "loss", LOSSES
        rebuilt = _loss(entry.name, entry.value, entry.gradient, entry.out_activation)
    elif isinstance(entry, Activation):
        kind, registry = "activation", ACTIVATIONS
        rebuilt = _activation(entry.name, entry.forward, entry.gradient, entry.gradient_of)
    else:
        raise TypeError(f"{entry!r} is no activation and no loss.")
    for function in functions_of(rebuilt):
        _check_plain("function", function)
    return kind, registry, rebuilt


def _after_fork_in_child():
    # An entry that the parent has registered is not the child's own.
    for kind, registry in (("activation", ACTIVATIONS), ("loss", LOSSES)):
        _adopted.update({(kind, name): None for name, e in registry.items() if e.is_users})


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def check_known(activations, loss):
    """Raise ValueError if a network needs what was registered in another process only."""
    for what, names, registry in (
        ("activation", activations, ACTIVATIONS),
        ("loss", [loss], LOSSES),
    ):
        for name in names:
            if name not in registry:
                raise ValueError(
                    f"The {what} {name!r} of this model is not registered in this process. Call "
                    f"fastnn.register_{what}({name!r}, ...) as where the model was fitted."
                )
