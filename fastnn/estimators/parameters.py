"""Checks of parameters, and the warning of those that a fit makes no use of."""

import inspect
import operator
from numbers import Real

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import InvalidParameterError

from fastnn import notices
from fastnn.estimators.parameter_table import parameters_of
from fastnn.estimators.parameter_table.parameter import CLASSIFIER, REGRESSOR
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.optimizers import SOLVERS
from fastnn.network.initializers import INITIALIZERS

# The parameters that not every fit makes use of, and when one does.
USED_WITH = {
    entry.name: entry.used_with
    for estimator in (CLASSIFIER, REGRESSOR)
    for entry in parameters_of(estimator).values()
    if entry.used_with is not None
}


def changed_parameters(model):
    """The parameters of the constructor that are not at their defaults, with their values."""
    return {
        name: getattr(model, name)
        for name, parameter in inspect.signature(type(model)).parameters.items()
        if hasattr(model, name) and not np.array_equal(getattr(model, name), parameter.default)
    }


def ignored_parameters(model, has_validation=False):
    """Names of parameters that are not at their defaults and that a fit will not use."""
    changed = changed_parameters(model)
    return [
        name
        for name, use in USED_WITH.items()
        if name in changed
        # An empty sequence, one value for each of no layers, asks for nothing.
        and np.size(changed[name]) > 0
        and not use.is_met(model, has_validation)
    ]


def warn_ignored_parameters(model, has_validation=False):
    """Say once which parameters have no effect in this combination, and what to do."""
    ignored = ignored_parameters(model, has_validation)
    if not ignored:
        return
    listed = "; ".join(
        f"{name}={getattr(model, name)!r} is only used with {USED_WITH[name].words}"
        for name in ignored
    )
    notices.advise(
        f"Some parameters have no effect in this combination: {listed}. "
        "Change what they depend on, or leave them at their defaults."
    )


def _as_index(size):
    """An integer, whatever its type; True is none, as it is none in the shape of an array.

    In older versions of NumPy its own True is an index, too, with a warning.
    """
    if isinstance(size, bool | np.bool_):
        raise TypeError("a bool is no size")
    return operator.index(size)


def check_hidden_layer_sizes(hidden_layer_sizes):
    """Return the units of the hidden layers as a tuple of int.

    Raises
    ------
    TypeError
        If a size is not an integer.
    ValueError
        If a size is not positive.
    """
    single = not hasattr(hidden_layer_sizes, "__iter__")
    try:
        sizes = [hidden_layer_sizes] if single else list(hidden_layer_sizes)
        if not np.any(np.array(sizes) <= 0):
            return tuple(map(_as_index, sizes))
    except (TypeError, ValueError) as error:
        # A ValueError where the sizes are lists of different lengths, as in scikit-learn.
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            "hidden_layer_sizes must be an integer or a sequence of integers, "
            f"got {hidden_layer_sizes!r}."
        ) from error
    raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")


def check_activation(activation, n_hidden):
    """Return the activation's name, or a tuple of one for each hidden layer.

    Raises
    ------
    ValueError
        If a name is not known, or if there are not as many as hidden layers.
    """
    if isinstance(activation, str):
        return activation
    names = tuple(activation)
    for name in names:
        if not isinstance(name, str) or name not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {sorted(ACTIVATIONS)}, or a sequence of these, one "
                f"for each hidden layer; got {name!r} in it."
            )
    if len(names) != n_hidden:
        raise ValueError(
            f"activation has {len(names)} entries, but hidden_layer_sizes has {n_hidden} hidden "
            "layers. Give one for each hidden layer, or a single name for all."
        )
    return names


def check_dropout(dropout, input_dropout, n_hidden):
    """Return the probabilities of dropout of the input and of each hidden layer, a tuple.

    Raises
    ------
    ValueError
        If one is not in [0, 1), or if there are not as many as hidden layers.
    """
    rates = [dropout] * n_hidden if isinstance(dropout, Real) else list(dropout)
    if not all(isinstance(rate, Real) and 0 <= rate < 1 for rate in rates):
        raise ValueError(
            "dropout must be a number in [0, 1), or a sequence of these, one for each hidden "
            f"layer; got {dropout!r}."
        )
    if len(rates) != n_hidden:
        raise ValueError(
            f"dropout has {len(rates)} entries, but hidden_layer_sizes has {n_hidden} hidden "
            "layers. Give one for each hidden layer, or a single number for all."
        )
    return (float(input_dropout), *map(float, rates))


def check_batch_norm(model):
    """Raise ValueError if there are to be no mini-batches to normalise over."""
    if model.batch_norm and model.solver == "lbfgs":
        raise ValueError(
            "batch_norm=True is not available with solver='lbfgs', which has no mini-batches. "
            "Use another solver, such as 'adam'."
        )


def check_batch_size(model, n_samples):
    """Return the rows of a mini-batch; warn if they are fewer than asked for.

    Raises
    ------
    ValueError
        If there is one, with batch normalisation.
    """
    batch_size = min(200, n_samples)
    if model.batch_size != "auto":
        batch_size = min(int(model.batch_size), n_samples)
        if model.batch_size > n_samples:
            notices.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped"
            )
    if model.batch_norm and batch_size == 1:
        raise ValueError(
            "batch_norm=True needs mini-batches of more than one sample, got batch_size=1. "
            "Give more samples, a larger batch_size, or set batch_norm=False."
        )
    return batch_size


def check_weight_init(model):
    """Raise InvalidParameterError, with the reason, if all weights are to begin as zero."""
    if isinstance(model.weight_init, str) and model.weight_init in ("zero", "zeros"):
        raise InvalidParameterError(
            f"The 'weight_init' parameter of {type(model).__name__} cannot be "
            f"{model.weight_init!r}: units of a layer that begin with equal weights have equal "
            "gradients, and stay equal for ever. Use 'auto', or another of "
            f"{sorted(INITIALIZERS)}."
        )


def check_scoring_name(model):
    """Raise InvalidParameterError if the scoring is a name that is none of a scorer."""
    if isinstance(model.scoring, str) and model.scoring not in ("loss", *get_scorer_names()):
        raise InvalidParameterError(
            f"The 'scoring' parameter of {type(model).__name__} must be 'loss', a name of "
            "sklearn.metrics.get_scorer_names(), a callable scorer or None. Got "
            f"{model.scoring!r} instead."
        )


def has_partial_fit(model):
    """Whether the solver can go on from mini-batch to mini-batch; else AttributeError."""
    if model.solver not in SOLVERS:
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. "
            f"{model.solver} is not stochastic."
        )
    return True
