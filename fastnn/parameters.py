"""What values parameters may have, and which of them a solver makes use of."""

import inspect
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import LOSSES

STOCHASTIC_SOLVERS = ("sgd", "adam")
REGRESSION_LOSSES = {
    name for name, loss in LOSSES.items() if loss.domain not in ("class indices", "{0, 1}")
}

CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "solver": [StrOptions({"lbfgs", *STOCHASTIC_SOLVERS})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "dtype": [StrOptions({"auto", "float32", "float64"})],
    "n_jobs": [
        Interval(Integral, 1, None, closed="left"),
        Interval(Integral, None, -1, closed="right"),
        None,
    ],
}

# For each parameter that not every fit uses: when it is used, in words and as a test.
_STOCHASTIC = ("solver='sgd' or 'adam'", lambda model: model.solver != "lbfgs")
_SGD = ("solver='sgd'", lambda model: model.solver == "sgd")
_ADAM = ("solver='adam'", lambda model: model.solver == "adam")
USED_WITH = {
    "batch_size": _STOCHASTIC,
    "learning_rate": _SGD,
    "learning_rate_init": _STOCHASTIC,
    "power_t": (
        "solver='sgd' and learning_rate='invscaling'",
        lambda model: model.solver == "sgd" and model.learning_rate == "invscaling",
    ),
    "shuffle": _STOCHASTIC,
    "momentum": _SGD,
    "nesterovs_momentum": _SGD,
    "early_stopping": _STOCHASTIC,
    "validation_fraction": (
        "solver='sgd' or 'adam' and early_stopping=True",
        lambda model: model.solver != "lbfgs" and model.early_stopping,
    ),
    "beta_1": _ADAM,
    "beta_2": _ADAM,
    "epsilon": _ADAM,
    "n_iter_no_change": _STOCHASTIC,
    "max_fun": ("solver='lbfgs'", lambda model: model.solver == "lbfgs"),
}


def ignored_parameters(model):
    """Names of parameters that are not at their defaults and that a fit will not use."""
    defaults = inspect.signature(type(model)).parameters
    return [
        name
        for name, (_, is_used) in USED_WITH.items()
        if not is_used(model)
        and name in defaults
        and getattr(model, name) != defaults[name].default
    ]


def warn_ignored_parameters(model):
    """Say once which parameters have no effect with the chosen solver, and what to do."""
    ignored = ignored_parameters(model)
    if not ignored:
        return
    listed = "; ".join(
        f"{name}={getattr(model, name)!r} is only used with {USED_WITH[name][0]}"
        for name in ignored
    )
    warnings.warn(
        f"Some parameters have no effect with solver={model.solver!r}: {listed}. "
        "Change the solver or the option they belong to, or leave them at their defaults.",
        UserWarning,
        stacklevel=2,
    )


def check_hidden_layer_sizes(hidden_layer_sizes):
    """Return the units of the hidden layers as a tuple of int.

    Raises
    ------
    TypeError
        If a size is not an integer.
    ValueError
        If a size is not positive.
    """
    single = isinstance(hidden_layer_sizes, Integral)
    sizes = [hidden_layer_sizes] if single else list(hidden_layer_sizes)
    if not all(isinstance(size, Integral) for size in sizes):
        raise TypeError(
            "hidden_layer_sizes must be an integer or a sequence of integers, "
            f"got {hidden_layer_sizes!r}."
        )
    sizes = [int(size) for size in sizes]
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return tuple(sizes)
