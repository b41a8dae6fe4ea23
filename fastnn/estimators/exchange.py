"""Exchange with scikit-learn: its estimators made of ours, and ours of its."""

import copy
import inspect
import math
from dataclasses import replace

import numpy as np
import sklearn
from sklearn.base import ClassifierMixin
from sklearn.neural_network import _multilayer_perceptron
from sklearn.neural_network._base import ACTIVATIONS as THEIR_ACTIVATIONS
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from fastnn import notices
from fastnn.estimators.parameter_table import TABLE
from fastnn.estimators.parameter_table.scikit_learns import (
    THEIR_HIDDEN_ACTIVATIONS,
    THEIR_REGRESSION_LOSSES,
)
from fastnn.estimators.parameters import check_activation, check_hidden_layer_sizes
from fastnn.estimators.private_names import is_ours, steps_of
from fastnn.estimators.registration import check_known
from fastnn.estimators.validation_set import BY_SPLIT_OFF_ROWS, BY_TRAINING_LOSS
from fastnn.kernels.losses import CLASSIFIER_LOSSES, LOSSES
from fastnn.kernels.optimizers import SCIKIT_LEARN_RULES
from fastnn.training.schedules import EPOCH_SCHEDULES

# scikit-learn's solvers.
SOLVERS = ("lbfgs", "sgd", "adam")
# Fitted attributes with the same names and meanings in both.
SHARED_ATTRIBUTES = (
    "n_features_in_", "feature_names_in_", "classes_", "n_iter_", "t_", "loss_", "loss_curve_",
    "best_loss_", "validation_scores_", "best_validation_score_", "_no_improvement_count",
    "_random_state",
)  # fmt: skip
# Parameters without which training goes on alike in scikit-learn.
NOT_OF_STEPS = {entry.name for entry in TABLE if not entry.changes_steps}


def counterpart(cls):
    """scikit-learn's class for one of our estimators."""
    # The module that defines them keeps its names when others are patched to mean ours.
    name = "MLPClassifier" if issubclass(cls, ClassifierMixin) else "MLPRegressor"
    return getattr(_multilayer_perceptron, name)


def _own_class(cls):
    """The one of our two estimators that a class is, or is derived from."""
    return next(base for base in cls.__mro__ if is_ours(base))


def deep_copies(values):
    """A copy of a dict of parameters or attributes that keeps what they share."""
    # With random_state=None NumPy's generator is everybody's, and stays so.
    everybodys = np.random.mtrand._rand
    return copy.deepcopy(values, {id(everybodys): everybodys})


class ExchangeMixin:
    """Conversions from and to scikit-learn's estimators."""

    def to_sklearn(self):
        """Return scikit-learn's estimator with the same parameters and the same network.

        The result knows nothing of this package: it can be pickled for a machine that does not
        have it, or handed to programs that know scikit-learn's classes, such as skl2onnx. An
        estimator that is not fitted gives one that is not.

        The predictions are the same, to rounding; batch normalisation is folded into the
        weights. (Where ``dtype="float32"`` was given, scikit-learn still computes in float64 for
        float64 data.) Parameters that scikit-learn does not have are left out, and a warning
        names them. If none of them counts in a step of the training, ``partial_fit`` goes on as
        it would here, with the state of 'adam' or 'sgd'; otherwise, and after ``partial_fit`` with
        an ``X_val``, scikit-learn trains the network further by its own means, with a new state.

        Returns
        -------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            It shares no memory with this one.

        Raises
        ------
        ValueError
            If scikit-learn cannot express the network: with another hidden activation than
            'identity', 'logistic', 'tanh' and 'relu', or different ones; with ``loss='hinge'``;
            with an output activation other than the identity and, from scikit-learn 1.7 on, the
            exponential of a regressor.

        Warns
        -----
        UserWarning
            If parameters are left out, or replaced by others.

        See Also
        --------
        from_sklearn : The way back.

        Examples
        --------
        >>> from fastnn import MLPRegressor
        >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
        >>> ours = MLPRegressor(solver="lbfgs", random_state=0).fit(X, y)
        >>> theirs = ours.to_sklearn()
        >>> type(theirs).__module__
        'sklearn.neural_network._multilayer_perceptron'
        >>> bool(abs(theirs.predict(X) - ours.predict(X)).max() < 1e-12)
        True
        """
        self._validate_params()
        fitted = hasattr(self, "coefs_")
        if fitted:
            network, weights = self._fitted_network()
            check_known(network.activations, network.loss)
            activations, hidden_units = network.activations, network.layer_units[1:-1]
            out_activation = network.out_activation
        else:
            hidden_units = check_hidden_layer_sizes(self.hidden_layer_sizes)
            activations = _names(self.activation, len(hidden_units))
            out_activation = _out_activation(self)
        cls = counterpart(type(self))
        known = _their_loss(self, cls, out_activation)
        known["activation"] = _their_activation(self, activations)
        if fitted and check_hidden_layer_sizes(self.hidden_layer_sizes) != hidden_units:
            known["hidden_layer_sizes"] = hidden_units
        params, left_out = _their_parameters(self, cls, known)
        if left_out:
            _warn_left_out(cls, left_out, fitted)
        state = {k: v for k, v in vars(self).items() if k in SHARED_ATTRIBUTES} if fitted else {}
        params, state = deep_copies((params, state))
        result = cls(**params)
        if fitted:
            vars(result).update(state)
            _set_their_network(result, *network.folded(weights))
            if isinstance(self, ClassifierMixin):
                result._label_binarizer = copy.deepcopy(self._binarizer())
            if left_out.keys() <= NOT_OF_STEPS:
                _set_their_optimizer(result, self, network)
        return result

    @classmethod
    def from_sklearn(cls, model):
        """Return an estimator with the parameters and the network of scikit-learn's.

        The predictions are the same, to rounding, and ``warm_start`` and ``partial_fit`` go on
        from the state of scikit-learn's, the optimizer's included. A model that is not fitted
        gives an estimator that is not.

        Parameters
        ----------
        model : sklearn.neural_network.MLPClassifier or MLPRegressor
            Of the same name as this class. It shares no memory with the result.

        Returns
        -------
        estimator : MLPClassifier or MLPRegressor
            Of what scikit-learn keeps no record of, ``learning_rate_curve_`` and
            ``validation_loss_curve_`` are NaN, and ``stop_reason_`` is None.

        Raises
        ------
        TypeError
            If the model is of another class, or this one is a subclass that does not take, or
            does not keep, the parameters of scikit-learn's.

        See Also
        --------
        to_sklearn : The way back.

        Examples
        --------
        >>> from sklearn.neural_network import MLPRegressor as TheirRegressor
        >>> from fastnn import MLPRegressor
        >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
        >>> theirs = TheirRegressor(solver="lbfgs", random_state=0).fit(X, y)
        >>> ours = MLPRegressor.from_sklearn(theirs)
        >>> ours
        MLPRegressor(random_state=0, solver='lbfgs')
        >>> bool(abs(theirs.predict(X) - ours.predict(X)).max() < 1e-12)
        True
        """
        theirs = counterpart(cls)
        # By its bases: for isinstance, patch_sklearn makes our estimators scikit-learn's.
        if theirs not in type(model).__mro__:
            raise TypeError(_wrong_model(cls, theirs, model))
        params = {name: getattr(model, name) for name in theirs._get_param_names()}
        state = {k: v for k, v in vars(model).items() if k in SHARED_ATTRIBUTES}
        params, state = deep_copies((params, state))
        result = _made(cls, params)
        if hasattr(model, "coefs_"):
            vars(result).update(state)
            _set_our_network(result, model)
            _set_our_history(result)
            _set_our_optimizer(result, model)
        return result


# ---- to scikit-learn ---------------------------------------------------------------------


def _names(activation, n_hidden):
    """The activation of each hidden layer."""
    names = check_activation(activation, n_hidden)
    return (names,) * n_hidden if isinstance(names, str) else names


def _out_activation(model):
    """The output activation that an unfitted estimator's loss will have; of two classes."""
    is_classifier = isinstance(model, ClassifierMixin)
    return LOSSES[CLASSIFIER_LOSSES[model.loss][0] if is_classifier else model.loss].out_activation


def _their_activation(model, names):
    """The one activation of all hidden layers, or ValueError."""
    advice = (
        f"Train with one of {', '.join(map(repr, THEIR_HIDDEN_ACTIVATIONS))}, the same in every "
        "hidden layer, for a network that scikit-learn has."
    )
    for i, name in enumerate(names, start=1):
        if name not in THEIR_HIDDEN_ACTIVATIONS:
            raise ValueError(
                f"scikit-learn has no activation={name!r}, that of hidden layer {i}. {advice}"
            )
    if len(set(names)) > 1:
        raise ValueError(
            f"scikit-learn has one activation for all hidden layers, not {tuple(names)}. {advice}"
        )
    if names:
        return names[0]
    # There is none to apply it.
    return model.activation if model.activation in THEIR_HIDDEN_ACTIVATIONS else "relu"


def _their_loss(model, cls, out_activation):
    """The loss, as a dict of parameters, that has this output activation; or ValueError."""
    if issubclass(cls, ClassifierMixin):
        if out_activation == "identity":
            raise ValueError(
                "scikit-learn's MLPClassifier has no loss='hinge': its outputs are probabilities, "
                "not margins. Train with loss='log_loss' or 'squared_error'."
            )
        return {}
    if out_activation not in THEIR_REGRESSION_LOSSES or out_activation not in THEIR_ACTIVATIONS:
        hint = " It has the exponential from version 1.7 on." if out_activation == "exp" else ""
        raise ValueError(
            f"The output activation of loss={model.loss!r} is {out_activation!r}, which the "
            f"MLPRegressor of scikit-learn {sklearn.__version__} does not have.{hint} "
            "Train with a loss whose output activation is the identity."
        )
    loss = THEIR_REGRESSION_LOSSES[out_activation]
    # Before version 1.7 it was no parameter, because there was one only.
    return {"loss": loss}


def _their_parameters(model, cls, known):
    """The parameters for scikit-learn's class, and what is left out.

    Parameters
    ----------
    model : fastnn estimator
    cls : type
    known : dict
        Values that follow from the network.

    Returns
    -------
    params : dict
    left_out : dict of str
        For each parameter that scikit-learn does not have, or not with this value: its value
        and what it is replaced by, in words.
    """
    names = cls._get_param_names()
    defaults = inspect.signature(_own_class(type(model))).parameters
    verbose = True if model.verbose == "progress" else model.verbose
    known = {**known, "verbose": verbose}
    if model.solver not in SOLVERS:
        # scikit-learn's adam has no schedule.
        known |= {"solver": "adam", "learning_rate": "constant"}
    elif model.learning_rate not in EPOCH_SCHEDULES:
        known["learning_rate"] = "constant"
    params, left_out = {}, {}
    for name, parameter in defaults.items():
        value = getattr(model, name)
        if name in names:
            params[name] = known.get(name, value)
            if not _same(value, params[name]):
                left_out[name] = f"{name}={value!r} (now {params[name]!r})"
        elif not _same(value, known.get(name, parameter.default)):
            left_out[name] = f"{name}={value!r}"
    # A subclass may add parameters.
    for name in type(model)._get_param_names():
        if name not in defaults:
            left_out[name] = f"{name}={getattr(model, name)!r}"
    return params, left_out


def _same(value, other):
    """Whether two values of a parameter are equal; a sequence may say a name for each layer."""
    said_for_each = isinstance(other, str) and np.ndim(value) == 1 and set(value) <= {other}
    return said_for_each or np.array_equal(value, other)


def _warn_left_out(cls, left_out, fitted):
    consequence = (
        "The predictions are the same. Training the result further goes on without them."
        if fitted
        else "The result will be trained without them."
    )
    notices.warn(
        f"scikit-learn's {cls.__name__} does not have {', '.join(left_out.values())}. "
        f"{consequence}",
        module=notices.OWN_MODULE,
    )


def _copies(arrays):
    return [np.array(array) for array in arrays]


def _set_their_network(result, network, weights):
    """Give scikit-learn's estimator a network without batch normalisation."""
    result.n_layers_ = len(network.layer_units)
    result.n_outputs_ = network.n_outputs
    result.out_activation_ = network.out_activation
    result.coefs_ = _copies(network.coefs(weights))
    result.intercepts_ = _copies(network.intercepts(weights))
    # The lists that early stopping restores if a warm start finds nothing better: it trains their
    # arrays further, as after a fit of its own.
    result._best_coefs, result._best_intercepts = result.coefs_, result.intercepts_


def _set_their_optimizer(result, model, network):
    """Give scikit-learn's estimator the state of ours, if partial_fit would go on with it.

    With a validation set of its own, partial_fit does not go on from the weights that predict.
    """
    weights = result.coefs_ + result.intercepts_
    state = vars(model).get("_training_state")
    ours = None if state is None else state.optimizer
    if ours is None or ours.rule_name not in SCIKIT_LEARN_RULES:
        return
    if "partial_fit" in state.goes_on_in:
        return
    if ours.slots.shape[1] != sum(map(np.size, weights)):
        # The state of another network: of larger layers, or with batch normalisation.
        return
    slots = [_copies(network.layerwise(slot)) for slot in ours.slots]
    if ours.rule_name == "adam":
        theirs = AdamOptimizer(weights, ours.rate)
        for name in ("beta_1", "beta_2", "epsilon"):
            setattr(theirs, name, float(ours.settings[name]))
        theirs.ms, theirs.vs = slots
        theirs.t = steps_of(ours)
    else:
        theirs = SGDOptimizer(
            weights,
            ours.initial_rate,
            lr_schedule=ours.schedule or "constant",
            momentum=float(ours.settings["momentum"]),
            nesterov=ours.rule_name == "nesterov",
            power_t=ours.power_t,
        )
        (theirs.velocities,) = slots
    theirs.learning_rate = ours.learning_rate
    result._optimizer = theirs


# ---- from scikit-learn -------------------------------------------------------------------


def _wrong_model(cls, theirs, model):
    """The message where a model is not of the class that was expected."""
    if isinstance(model, type):
        return (
            f"{cls.__name__}.from_sklearn takes an instance of scikit-learn's {theirs.__name__}, "
            f"got the class {model.__name__}. Give it a fitted model, or {model.__name__}()."
        )
    given = f"{type(model).__module__.split('.')[0]}'s {type(model).__name__}"
    message = f"{cls.__name__}.from_sklearn takes scikit-learn's {theirs.__name__}, got {given}."
    if isinstance(model, ExchangeMixin):
        return f"{message} It is an estimator of this package already."
    if isinstance(model, _multilayer_perceptron.BaseMultilayerPerceptron):
        other = "MLPClassifier" if isinstance(model, ClassifierMixin) else "MLPRegressor"
        return f"{message} Use {other}.from_sklearn."
    if hasattr(model, "steps"):
        return f"{message} Give the pipeline's own step, such as pipeline[-1]."
    return message


def _made(cls, params):
    """An estimator of ours; TypeError if a subclass does not take these parameters."""
    advice = f"Use {_own_class(cls).__name__}.from_sklearn."
    try:
        inspect.signature(cls).bind(**params)
    except TypeError as error:
        raise TypeError(
            f"{cls.__name__}.from_sklearn cannot make a {cls.__name__} with the parameters of "
            f"scikit-learn's: {error}. {advice}"
        ) from None
    result = cls(**params)
    changed = [name for name, value in params.items() if getattr(result, name, None) is not value]
    if changed:
        raise TypeError(
            f"{cls.__name__}.from_sklearn cannot make a {cls.__name__} with the parameters of "
            f"scikit-learn's: its __init__ changes {', '.join(changed)}. {advice}"
        )
    return result


def _set_our_network(result, model):
    """Give our estimator the network of scikit-learn's fitted one."""
    if isinstance(result, ClassifierMixin):
        result._label_binarizer = copy.deepcopy(model._label_binarizer)
    for name in ("coefs_", "intercepts_", "n_layers_", "out_activation_"):
        setattr(result, name, getattr(model, name))
    network, weights = result._fitted_network()
    if network.link in THEIR_REGRESSION_LOSSES and not isinstance(model, ClassifierMixin):
        # The loss that it was fitted by, which need not be what its parameter says now.
        network = replace(network, loss=THEIR_REGRESSION_LOSSES[network.link], link=None)
    result._set_network(network, weights)


def _set_our_history(result):
    """Set what our training records and scikit-learn's does not."""
    result.stop_reason_ = None
    losses = getattr(result, "loss_curve_", None)
    if losses is None:
        return
    scores = result.validation_scores_
    # Patience was counted by this.
    result._criterion = BY_TRAINING_LOSS if scores is None else BY_SPLIT_OFF_ROWS
    result.learning_rate_curve_ = [math.nan] * len(losses)
    result.validation_loss_curve_ = None if scores is None else [math.nan] * len(scores)
    known = scores is not None and not np.isnan(scores).all()
    result.best_epoch_ = (
        len(losses) - len(scores) + int(np.nanargmax(scores)) + 1 if known else None
    )


def _set_our_optimizer(result, model):
    """Give our estimator the state of scikit-learn's optimizer, if it has one for this network."""
    theirs = vars(model).get("_optimizer")
    if not isinstance(theirs, (AdamOptimizer, SGDOptimizer)):
        return
    slot = theirs.ms if isinstance(theirs, AdamOptimizer) else theirs.velocities
    if list(map(np.shape, slot)) == list(map(np.shape, model.coefs_ + model.intercepts_)):
        result._optimizer = theirs
