"""Private names of scikit-learn's estimators that other programs use.

Federated learning, converters, explainers and interpolations of weights read these names, call
them, and override some of them in subclasses. They are all in this module, so that fastnn's own
code need not know which of its names somebody depends on.
"""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

from fastnn.estimators import config
from fastnn.estimators.checks import check_training_data
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import LOSSES
from fastnn.network.data import Data
from fastnn.network.initializers import INITIALIZERS
from fastnn.network.state import OptimizerState, TrainingState

# Methods of scikit-learn's that compiled training never calls, so that overriding them would
# change nothing.
NEVER_CALLED = (
    "_backprop", "_compute_loss_grad", "_fit", "_fit_lbfgs", "_fit_stochastic", "_forward_pass",
    "_loss_grad_lbfgs", "_unpack", "_update_no_improvement_count", "_validate_input",
)  # fmt: skip


def is_overridden(model, name):
    """Whether a method of `PrivateNamesMixin` is overridden by a user's class or instance."""
    return name in vars(model) or _definer(type(model), name) is not PrivateNamesMixin


def _definer(cls, name):
    """The class that a class has a name from, or None."""
    return next((base for base in cls.__mro__ if name in vars(base)), None)


def is_ours(cls):
    """Whether a class is defined in this package."""
    return cls.__module__.split(".")[0] == __name__.split(".")[0]


def _never_called(cls, name):
    return TypeError(
        f"{cls.__name__} overrides {name}, which fastnn's compiled training never calls. Derive "
        "the class from scikit-learn's, of sklearn.neural_network._multilayer_perceptron, to "
        "train by it; or use what fastnn has for the purpose: register_activation, "
        "register_loss, scoring, X_val, learning_rate, dropout, callbacks."
    )


class PrivateNamesMixin:
    """The private methods and attributes of scikit-learn's multi-layer perceptrons."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in NEVER_CALLED:
            definer = _definer(cls, name)
            if definer is not None and not is_ours(definer):
                raise _never_called(cls, name)

    def _check_own_names(self):
        """Raise TypeError if a method is set on the instance that training never calls."""
        for name in NEVER_CALLED:
            if name in vars(self):
                raise _never_called(type(self), name)

    # ---- initial weights -----------------------------------------------------------

    def _initialize(self, y, layer_units, dtype):
        """Begin with an untrained network, of these units and in this precision.

        A fit calls it, with y as an indicator of the classes, or real targets. Programs call it
        to have ``coefs_`` without a fit, and override it to begin with others.
        """
        self.n_iter_ = self.t_ = 0
        self._no_improvement_count = 0
        self.loss_curve_ = []
        network = self._network_of(layer_units)
        if is_overridden(self, "_init_coef"):
            shapes = pairwise(network.layer_units)
            layers = [self._init_coef(n_in, n_out, dtype) for n_in, n_out in shapes]
            params = network.pack(*zip(*layers, strict=True), dtype)
        else:
            params = network.initialize(self._random_state, dtype, self.weight_init)
        self._set_network(network, params)

    def _init_coef(self, fan_in, fan_out, dtype):
        """Initial weights (fan_in, fan_out) and biases (fan_out,) of a layer.

        A fit of a subclass that overrides it begins with what it returns.
        """
        if self.weight_init != "auto":
            coef = INITIALIZERS[self.weight_init].draw(self._random_state, fan_in, fan_out)
            return coef.astype(dtype), np.zeros(fan_out, dtype)
        name = self.activation
        factor = ACTIVATIONS[name].init_factor if isinstance(name, str) else 6.0
        bound = np.sqrt(factor / (fan_in + fan_out))
        coef = self._random_state.uniform(-bound, bound, (fan_in, fan_out))
        intercept = self._random_state.uniform(-bound, bound, fan_out)
        return coef.astype(dtype, copy=False), intercept.astype(dtype, copy=False)

    # ---- data and predictions ------------------------------------------------------

    def _validate_input(self, X, y, incremental, reset):
        """X and y of a fit, checked: y as an indicator of the classes, or real targets."""
        precision = config.effective("dtype", self.dtype)
        X, y = check_training_data(
            self, X, y, y_numeric=self._y_numeric, precision=precision, reset=reset
        )
        encoded = self._encode_target(y, None, incremental)
        return X, (self._indicator(encoded) if not self._y_numeric else y)

    def _forward_pass(self, activations):
        """Fill a list, whose first element is X, with the values of every layer."""
        network, params, X, plans = self._prediction_inputs(activations[0], check_input=False)
        backend = self._backend()
        n_hidden = len(network.activations)
        for i in range(n_hidden):
            activations[i + 1] = backend.hidden(network, params, X, i)
        activations[n_hidden + 1] = backend.forward(network, params, X, plans=plans)
        return activations

    def _forward_pass_fast(self, X, check_input=True):
        """Outputs (n_samples, n_outputs), after the output activation.

        Predictions are made of what it returns, also where a subclass overrides it.
        """
        return self._forward(X, check_input=check_input)

    def _predict(self, X, check_input=True):
        """Predict as ``predict`` does, whose work this is."""
        return self._decode(self._forward_pass_fast(X, check_input=check_input))

    def _score(self, X, y, sample_weight=None):
        """Accuracy or R2 of X, known to be good; NaN where the outputs are not finite.

        Early stopping goes by it where a subclass overrides it, or what it calls.
        """
        score = r2_score if self._y_numeric else accuracy_score
        return self._score_with_function(X, y, sample_weight, score)

    def _score_with_function(self, X, y, sample_weight, score_function):
        predicted = self._predict(X, check_input=False)
        if predicted.dtype.kind == "f" and not np.isfinite(predicted).all():
            return np.nan
        return score_function(y, predicted, sample_weight=sample_weight)

    @property
    def _scores_itself(self):
        """Whether a subclass has a way of its own to the score of a validation set."""
        names = ("_score", "_score_with_function", "_predict", "_forward_pass_fast")
        return any(is_overridden(self, name) for name in names)

    # ---- the objective and the optimizer -------------------------------------------

    def _loss_grad_lbfgs(
        self,
        packed_coef_inter,
        X,
        y,
        sample_weight,
        activations=None,
        deltas=None,
        coef_grads=None,
        intercept_grads=None,
    ):
        """Loss and gradient of all parameters, packed as scikit-learn packs them.

        ``y`` is an indicator of the classes, or real targets. The last four arguments are
        scikit-learn's work space, and not needed here.
        """
        network, _ = self._fitted_network()
        if LOSSES[network.loss].coupled:
            y = y.argmax(axis=1).astype(np.int32)[:, None]
        else:
            y = np.ascontiguousarray(y, dtype=np.float64)
        packed = np.asarray(packed_coef_inter, dtype=np.float64)
        objective = self._backend().objective(
            network, Data(X, y, sample_weight), alpha=self.alpha, dtype=np.dtype(np.float64)
        )
        return objective(packed)

    @property
    def _optimizer(self):
        """The optimizer that ``partial_fit`` goes on with, under scikit-learn's names."""
        state = vars(self).get("_training_state")
        if state is None or state.optimizer is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute '_optimizer'")
        return OptimizerView(self)

    @_optimizer.setter
    def _optimizer(self, optimizer):
        network, params = self._fitted_network()
        if isinstance(optimizer, OptimizerView):
            other = optimizer.model._training_state
        else:
            other = TrainingState(params, optimizer_like(optimizer, network, params.dtype))
        self._take_optimizer(other)

    @_optimizer.deleter
    def _optimizer(self):
        self._take_optimizer(TrainingState(self._fitted_network()[1]))

    def _take_optimizer(self, other):
        """Let ``partial_fit`` go on from the model with the optimizer of another state."""
        state = getattr(self, "_training_state", None) or other
        self._training_state = replace(
            state,
            optimizer=other.optimizer,
            average=other.average,
            random_steps=other.random_steps,
            goes_on_in=tuple(name for name in state.goes_on_in if name == "fit"),
        )


def _setting(name, text, *rules):
    """A property that is one setting of an optimizer, for the rules that have it."""

    def read(view):
        view.check_rule(rules)
        return float(view.optimizer.settings[name])

    def write(view, value):
        view.check_rule(rules)
        view.optimizer.settings[name] = value

    return property(read, write, doc=text)


class OptimizerView:
    """An estimator's `Optimizer` under the names of scikit-learn's, to read and to write.

    As there, one that a program keeps remains that of the estimator while ``partial_fit`` goes on.

    Parameters
    ----------
    model : estimator
    """

    def __init__(self, model):
        self.model = model

    @property
    def optimizer(self):
        """The `Optimizer` that the estimator has now."""
        return self.model._training_state.optimizer

    beta_1 = _setting("beta_1", "Adam's decay of the first moments.", "adam")
    beta_2 = _setting("beta_2", "Adam's decay of the second moments.", "adam")
    epsilon = _setting("epsilon", "The number that Adam adds to a root.", "adam")
    momentum = _setting("momentum", "The momentum of gradient descent.", "sgd", "nesterov")

    def check_rule(self, rules):
        """Raise AttributeError if the optimizer is of none of these rules."""
        if self.optimizer.rule_name not in rules:
            raise AttributeError(
                f"the optimizer {self.optimizer.rule_name!r} has no such attribute"
            )

    def _slot(self, name, *rules):
        self.check_rule(rules)
        network, _ = self.model._fitted_network()
        return network.layerwise(self.optimizer.slot(name))

    def _set_slot(self, views, values):
        for view, value in zip(views, values, strict=True):
            view[...] = value

    @property
    def ms(self):
        """Adam's first moments: views, in the order of ``coefs_ + intercepts_``."""
        return self._slot("mu", "adam")

    @ms.setter
    def ms(self, values):
        self._set_slot(self.ms, values)

    @property
    def vs(self):
        """Adam's second moments."""
        return self._slot("nu", "adam")

    @vs.setter
    def vs(self, values):
        self._set_slot(self.vs, values)

    @property
    def velocities(self):
        """The velocities of stochastic gradient descent."""
        return self._slot("velocity", "sgd", "nesterov")

    @velocities.setter
    def velocities(self, values):
        self._set_slot(self.velocities, values)

    @property
    def nesterov(self):
        """Whether the momentum of gradient descent is Nesterov's."""
        self.check_rule(("sgd", "nesterov"))
        return self.optimizer.rule_name == "nesterov"

    @nesterov.setter
    def nesterov(self, value):
        self.check_rule(("sgd", "nesterov"))
        self.optimizer.rule_name = "nesterov" if value else "sgd"

    @property
    def lr_schedule(self):
        """The schedule of the rate of gradient descent."""
        self.check_rule(("sgd", "nesterov"))
        return self.optimizer.schedule or "constant"

    @lr_schedule.setter
    def lr_schedule(self, value):
        self.optimizer.schedule = value

    @property
    def power_t(self):
        """The exponent of that schedule."""
        self.check_rule(("sgd", "nesterov"))
        return self.optimizer.power_t

    @power_t.setter
    def power_t(self, value):
        self.optimizer.power_t = float(value)

    @property
    def t(self):
        """Adam's number of steps, as far as the powers of its betas tell it."""
        self.check_rule(("adam",))
        return steps_of(self.optimizer)

    @t.setter
    def t(self, steps):
        set_steps(self.optimizer, steps)

    @property
    def learning_rate_init(self):
        """The rate before Adam's bias corrections, or that which a schedule begins with."""
        return self.optimizer.initial_rate

    @learning_rate_init.setter
    def learning_rate_init(self, rate):
        self.optimizer.initial_rate = float(rate)
        if self.optimizer.rule_name == "adam":
            self.optimizer.learning_rate = rate

    @property
    def learning_rate(self):
        """The rate of the last step."""
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate):
        self.optimizer.learning_rate = rate


# Each of Adam's decays, and the scalar that is its power.
POWERS = (("beta_1", "power_1"), ("beta_2", "power_2"))


def steps_of(optimizer):
    """The number of steps t that Adam took, of beta**t; only those powers matter further on."""
    steps = 0
    for decay, power in POWERS:
        beta, power = float(optimizer.settings[decay]), float(optimizer.scalars[power])
        if power == 1.0:
            return 0
        if beta == 0.0:
            steps = max(steps, 1)
        else:
            # A power that underflowed counts by having done so alone.
            smallest = np.finfo(np.float64).tiny
            steps = max(steps, round(math.log(max(power, smallest)) / math.log(beta)))
    return steps


def set_steps(optimizer, steps):
    """Let Adam have taken so many steps."""
    for decay, power in POWERS:
        optimizer.scalars[power] = float(optimizer.settings[decay]) ** steps


def optimizer_like(theirs, network, dtype):
    """Our `Optimizer` with the state of scikit-learn's AdamOptimizer or SGDOptimizer."""
    is_adam = hasattr(theirs, "ms")
    names = ("beta_1", "beta_2", "epsilon") if is_adam else ("momentum",)
    settings = {name: getattr(theirs, name) for name in names}
    if not is_adam:
        settings |= {
            "nesterovs_momentum": theirs.nesterov,
            "schedule": theirs.lr_schedule,
            "power_t": theirs.power_t,
        }
    ours = OptimizerState(
        "adam" if is_adam else "sgd", network.n_params, dtype, theirs.learning_rate_init, **settings
    )
    if is_adam:
        set_steps(ours, theirs.t)
    else:
        ours.learning_rate = theirs.learning_rate
    moments = [theirs.ms, theirs.vs] if is_adam else [theirs.velocities]
    for slot, values in zip(ours.slots, moments, strict=True):
        for view, value in zip(network.layerwise(slot), values, strict=True):
            view[...] = value
    return ours
