"""The values that parameters may have, and the solvers that make use of them."""

import inspect
import operator
from numbers import Integral, Real

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, InvalidParameterError, Options, StrOptions

from fastnn import notices
from fastnn.backends import DEVICES
from fastnn.estimators.augmenter import ImageAugmenter
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import CLASSIFIER_LOSSES, LOSSES
from fastnn.kernels.optimizers import OPTIMIZERS, SOLVERS
from fastnn.network.initializers import INITIALIZERS
from fastnn.training.schedules import EPOCH_SCHEDULES, STEP_SCHEDULES, schedule_of


def regression_losses():
    """Names of the losses of regressors, registered ones included."""
    return {name for name, loss in LOSSES.items() if loss.domain.is_of_numbers}


class _NamesNow(StrOptions):
    """The names that are known when a parameter is checked; more may be registered."""

    def __init__(self, names):
        self._names = names
        super().__init__(names())

    @property
    def options(self):
        return self._names()

    @options.setter
    def options(self, value):
        """Take no notice of what scikit-learn sets here once."""


CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [_NamesNow(lambda: set(ACTIVATIONS)), "array-like"],
    "solver": [StrOptions({"lbfgs", *SOLVERS})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({*EPOCH_SCHEDULES, *STEP_SCHEDULES}), callable],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose", StrOptions({"progress"})],
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
    "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
    "input_dropout": [Interval(Real, 0, 1, closed="left")],
    "weight_average": [Interval(Real, 0, 1, closed="neither"), None],
    "batch_norm": ["boolean"],
    "batch_norm_momentum": [Interval(Real, 0, 1, closed="right")],
    "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
    "warmup_fraction": [Interval(Real, 0, 1, closed="left")],
    "weight_init": [StrOptions({"auto", *INITIALIZERS})],
    "augment": [ImageAugmenter, None],
    "scoring": [str, callable, None],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "dtype": [StrOptions({"auto", "float32", "float64"})],
    "device": [StrOptions(set(DEVICES)), None],
    "n_jobs": [
        Interval(Integral, 1, None, closed="left"),
        Interval(Integral, None, -1, closed="right"),
        None,
    ],
}
CLASSIFIER_CONSTRAINTS = {
    **CONSTRAINTS,
    "loss": [StrOptions(set(CLASSIFIER_LOSSES))],
    "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    "class_weight": [dict, list, StrOptions({"balanced"}), None],
}
REGRESSOR_CONSTRAINTS = {
    **CONSTRAINTS,
    "loss": [_NamesNow(regression_losses)],
    "huber_delta": [Interval(Real, 0, None, closed="neither")],
    "quantile": [Interval(Real, 0, 1, closed="neither")],
}


def _solvers_with(name):
    """When a solver's own parameter is used, in words and as a test."""
    users = [solver for solver in SOLVERS if name in OPTIMIZERS[solver].parameters]
    listed = " or ".join(repr(solver) for solver in users)
    return f"solver={listed}", lambda model, _: model.solver in users


def _schedule(model):
    return schedule_of(model.learning_rate, model.solver)


def splits_off(model):
    """Whether a fit without a validation set of the user's splits one off."""
    return model.early_stopping and model.solver != "lbfgs"


# For each parameter that not every fit uses: when it is used, in words and as a test of the
# estimator and of whether the user gives a validation set.
_STOCHASTIC = ("a solver other than 'lbfgs'", lambda model, _: model.solver != "lbfgs")
USED_WITH = {
    "batch_size": _STOCHASTIC,
    "learning_rate": (
        "a solver other than 'lbfgs' and, for 'invscaling' and 'adaptive', other than 'adam'",
        lambda model, _: model.solver != "lbfgs" and _schedule(model) == model.learning_rate,
    ),
    "learning_rate_init": _STOCHASTIC,
    "power_t": (
        "learning_rate='invscaling' and a solver other than 'lbfgs' and 'adam'",
        lambda model, _: model.solver != "lbfgs" and _schedule(model) == "invscaling",
    ),
    "warmup_fraction": _STOCHASTIC,
    "l1_ratio": _STOCHASTIC,
    "activation": ("hidden layers", lambda model, _: has_hidden_layers(model)),
    "batch_norm": ("hidden layers", lambda model, _: has_hidden_layers(model)),
    "dropout": (
        "hidden layers and a solver other than 'lbfgs'",
        lambda model, _: model.solver != "lbfgs" and has_hidden_layers(model),
    ),
    "input_dropout": _STOCHASTIC,
    "batch_norm_momentum": (
        "batch_norm=True, hidden layers and a solver other than 'lbfgs'",
        lambda model, _: model.solver != "lbfgs" and model.batch_norm and has_hidden_layers(model),
    ),
    "max_grad_norm": _STOCHASTIC,
    "weight_average": _STOCHASTIC,
    "shuffle": _STOCHASTIC,
    **{
        name: _solvers_with(name)
        for name in ("momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon")
    },
    "early_stopping": (
        "a solver other than 'lbfgs', or a validation set of your own",
        lambda model, validated: model.solver != "lbfgs" or validated,
    ),
    "validation_fraction": (
        "early_stopping=True, a solver other than 'lbfgs', and without a validation set of your "
        "own",
        lambda model, validated: splits_off(model) and not validated,
    ),
    "scoring": (
        "early_stopping=True or a validation set of your own (with 'lbfgs' only with the latter)",
        lambda model, validated: splits_off(model) or validated,
    ),
    "n_iter_no_change": (
        "a solver other than 'lbfgs', or early_stopping=True and a validation set of your own",
        lambda model, validated: model.solver != "lbfgs" or (model.early_stopping and validated),
    ),
    "augment": _STOCHASTIC,
    "max_fun": ("solver='lbfgs'", lambda model, _: model.solver == "lbfgs"),
    "label_smoothing": (
        "loss='log_loss' or 'squared_error'",
        lambda model, _: model.loss != "hinge",
    ),
    "huber_delta": ("loss='huber'", lambda model, _: model.loss == "huber"),
    "quantile": ("loss='quantile'", lambda model, _: model.loss == "quantile"),
}


def has_hidden_layers(model):
    """Whether there are to be any."""
    return np.size(model.hidden_layer_sizes) > 0


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
        for name, (_, is_used) in USED_WITH.items()
        if name in changed
        # An empty sequence, one value for each of no layers, asks for nothing.
        and np.size(changed[name]) > 0
        and not is_used(model, has_validation)
    ]


def warn_ignored_parameters(model, has_validation=False):
    """Say once which parameters have no effect in this combination, and what to do."""
    ignored = ignored_parameters(model, has_validation)
    if not ignored:
        return
    listed = "; ".join(
        f"{name}={getattr(model, name)!r} is only used with {USED_WITH[name][0]}"
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
