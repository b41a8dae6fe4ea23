"""Activations and losses of the user's own, compiled into the core under a name."""

import pickle
import types
from contextlib import suppress
from numbers import Real

from fastnn.kernels.activations import ACTIVATIONS, Activation
from fastnn.kernels.losses import LOSSES, Loss

# Names of the entries that are users'.
_registered_activations = set()
_registered_losses = set()
# Those that came with an estimator from another process, which may bring newer ones.
_from_elsewhere = set()
OUT_ACTIVATIONS = ("identity", "exp", "logistic")


def register_activation(name, forward, gradient, *, gradient_of="input"):
    """Make an activation of your own known by a name.

    The functions are compiled when a fit first needs them. Joblib's workers and unpickled
    estimators get them with the estimator.

    Parameters
    ----------
    name : str
        What to write as ``activation``; not the name of one of fastnn's own. A name that was
        registered before means the new functions from now on.
    forward : function
        ``forward(x)``, the activation of one unit, with plain scalar arithmetic. ``exp``, ``log``,
        ``log1p`` and ``tanh``, imported from `math` by these names, become versions that are
        vectorised and have the same bits on every machine. It may call other plain functions
        and use global constants, but not close over variables.
    gradient : function
        ``gradient(x)``, its derivative at x.
    gradient_of : {"input", "output"}, default="input"
        With "output", gradient is a function of ``forward(x)`` instead, which saves memory.

    Raises
    ------
    TypeError
        If a function is not a plain Python function, or returns no number.
    ValueError
        If the name is taken by fastnn or a function closes over variables.

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
    _check_name(name, ACTIVATIONS, _registered_activations)
    if gradient_of not in ("input", "output"):
        raise ValueError(f"gradient_of must be 'input' or 'output', got {gradient_of!r}.")
    for what, function in (("forward", forward), ("gradient", gradient)):
        _check_function(what, function, 1)
    summary = "registered by the user"
    ACTIVATIONS[name] = Activation(name, summary, forward, gradient, gradient_of=gradient_of)
    _registered_activations.add(name)
    _from_elsewhere.discard(("activation", name))


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
        If a function is not a plain Python function, or returns no number.
    ValueError
        If the name is taken by fastnn, a function closes over variables or the output activation
        is not known.

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
    _check_name(name, LOSSES, _registered_losses)
    if out_activation not in OUT_ACTIVATIONS:
        raise ValueError(
            f"out_activation must be one of {OUT_ACTIVATIONS}, got {out_activation!r}."
        )
    for what, function in (("value", value), ("gradient", gradient)):
        _check_function(what, function, 2)
    LOSSES[name] = Loss(
        name, out_activation, value, gradient, "real numbers", is_of_two=True,
    )  # fmt: skip
    _registered_losses.add(name)
    _from_elsewhere.discard(("loss", name))


def _check_name(name, registry, registered):
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"name must be a str that is an identifier, got {name!r}.")
    if name in registry and name not in registered:
        raise ValueError(f"name {name!r} is one of fastnn's own. Choose another.")


def _check_function(what, function, n_arguments):
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"{what} must be a plain Python function, got {function!r}.")
    if function.__closure__:
        raise ValueError(
            f"{what} must not close over variables, but uses {function.__code__.co_freevars}. "
            "Make them global constants."
        )
    try:
        result = function(*[0.5] * n_arguments)
    except Exception as error:
        arguments = ", ".join(["0.5"] * n_arguments)
        raise TypeError(f"{what}({arguments}) raised {error!r}.") from error
    if not isinstance(result, Real):
        raise TypeError(f"{what} must return a number, got {result!r} for 0.5.")


def packed():
    """All registered entries, in a form that pickle takes anywhere; None where there are none.

    An estimator carries them all: its parameters may change where it goes, in a grid search.
    """
    entries = [ACTIVATIONS[name] for name in sorted(_registered_activations)]
    entries += [LOSSES[name] for name in sorted(_registered_losses)]
    if not entries:
        return None
    # Imported when it is needed: Numba takes a while.
    from numba import cloudpickle

    return cloudpickle.dumps(entries)


def unpack(entries):
    """Register what this process has not itself; what cannot be loaded stays unknown."""
    loaded = []
    with suppress(Exception):
        loaded = pickle.loads(entries)
    for entry in loaded:
        is_loss = isinstance(entry, Loss)
        registry = LOSSES if is_loss else ACTIVATIONS
        origin = ("loss" if is_loss else "activation", entry.name)
        if entry.name not in registry or origin in _from_elsewhere:
            _from_elsewhere.add(origin)
            registry[entry.name] = entry
            (_registered_losses if is_loss else _registered_activations).add(entry.name)


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
