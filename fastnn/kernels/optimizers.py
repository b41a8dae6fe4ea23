"""Optimizers, as plain functions of one parameter, and the ``OPTIMIZERS`` registry.

An optimizer has two functions. ``begin(state, coefficients)`` runs once a step, in
float64: it advances the scalar state and writes the step's coefficients. ``update``
runs for every parameter, in the network's precision: it takes the parameter, its
gradient, its slots and the coefficients, and returns the new parameter and slots.
``real`` and ``sqrt`` are bound anew by ``jit.py`` for each precision and device.

Powers such as beta_1**t are running products: the C library's ``pow`` differs between
systems, a product does not.

To add an optimizer, add its two functions and one entry of the registry: the solver, its
documentation and the tests take it from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

real = float

# Places in the scalar state (16,), float64. RATE is the rate that the user sets, and what lowers
# it from epoch to epoch; STEP_RATE that of this step; CURRENT what a solver makes of that.
# STEPS are those that had masks of dropout.
RATE, STEP_RATE, CURRENT, DECAY, MOMENTUM, BETA_1, BETA_2, EPSILON = range(8)
POWER_1, POWER_2, MOMENTUM_POWER, MOMENTUM_PRODUCT, STEPS = range(8, 13)
AVERAGE_DECAY, AVERAGE_POWER = 13, 14
N_STATE = 16
# Places in the coefficients (16,), in the network's precision, after the rule's own eight: the
# strength of the L2 penalty; the factor that makes a sum over the mini-batch a mean; for a
# decoupled rule, what is left of a weight after its decay; the strength of the L1 penalty; the
# weight of the parameters in their average; and rate and momentum of Muon's matrices.
C_ALPHA, C_SCALE, C_KEEP, C_ALPHA_1, C_AVERAGE, C_RATE, C_MOMENTUM = range(8, 15)
N_RULE_COEFFICIENTS = 8
N_COEFFICIENTS = 16
# Nadam's momentum grows by a power of this towards beta_1.
NADAM_BASE = 0.96**0.004


def sgd_begin(state, coefficients):
    state[CURRENT] = state[STEP_RATE]
    coefficients[0] = state[STEP_RATE]
    coefficients[1] = state[MOMENTUM]


def sgd_update(w, g, velocity, unused, c):
    velocity = c[1] * velocity - c[0] * g
    return w + velocity, velocity, unused


def nesterov_update(w, g, velocity, unused, c):
    velocity = c[1] * velocity - c[0] * g
    return w + (c[1] * velocity - c[0] * g), velocity, unused


def begin_moments(state, coefficients):
    """What the relatives of Adam share."""
    state[CURRENT] = state[STEP_RATE]
    state[POWER_1] *= state[BETA_1]
    state[POWER_2] *= state[BETA_2]
    coefficients[1] = state[BETA_1]
    coefficients[2] = 1.0 - state[BETA_1]
    coefficients[3] = state[BETA_2]
    coefficients[4] = 1.0 - state[BETA_2]
    coefficients[5] = state[EPSILON]
    coefficients[C_KEEP] = 1.0 - state[STEP_RATE] * state[DECAY]


def adam_begin(state, coefficients):
    begin_moments(state, coefficients)
    corrected = state[STEP_RATE] * sqrt(1.0 - state[POWER_2]) / (1.0 - state[POWER_1])
    state[CURRENT] = corrected
    coefficients[0] = -corrected


def adam_update(w, g, m, v, c):
    m = c[1] * m + c[2] * g
    v = c[3] * v + c[4] * (g * g)
    return w + c[0] * m / (sqrt(v) + c[5]), m, v


def adamw_begin(state, coefficients):
    begin_moments(state, coefficients)
    coefficients[0] = -state[STEP_RATE] / (1.0 - state[POWER_1])
    coefficients[6] = 1.0 / sqrt(1.0 - state[POWER_2])


def adamw_update(w, g, m, v, c):
    m = c[1] * m + c[2] * g
    v = c[3] * v + c[4] * (g * g)
    return w + c[0] * m / (c[6] * sqrt(v) + c[5]), m, v


def nadam_begin(state, coefficients):
    begin_moments(state, coefficients)
    state[MOMENTUM_POWER] *= NADAM_BASE
    now = state[BETA_1] * (1.0 - 0.5 * state[MOMENTUM_POWER])
    later = state[BETA_1] * (1.0 - 0.5 * state[MOMENTUM_POWER] * NADAM_BASE)
    state[MOMENTUM_PRODUCT] *= now
    coefficients[0] = -state[STEP_RATE] * (1.0 - now) / (1.0 - state[MOMENTUM_PRODUCT])
    coefficients[6] = -state[STEP_RATE] * later / (1.0 - state[MOMENTUM_PRODUCT] * later)
    coefficients[7] = 1.0 / sqrt(1.0 - state[POWER_2])


def nadam_update(w, g, m, v, c):
    m = c[1] * m + c[2] * g
    v = c[3] * v + c[4] * (g * g)
    return w + (c[0] * g + c[6] * m) / (c[7] * sqrt(v) + c[5]), m, v


def scaled_begin(state, coefficients):
    """Of the optimizers that scale a gradient by the root of what its square has been."""
    begin_moments(state, coefficients)
    coefficients[0] = -state[STEP_RATE]


def rmsprop_update(w, g, v, unused, c):
    v = c[3] * v + c[4] * (g * g)
    return w + c[0] * g / (sqrt(v) + c[5]), v, unused


def adagrad_update(w, g, total, unused, c):
    total = total + g * g
    return w + c[0] * g / (sqrt(total) + c[5]), total, unused


def adadelta_update(w, g, v, u, c):
    v = c[3] * v + c[4] * (g * g)
    change = sqrt(u + c[5]) / sqrt(v + c[5]) * g
    u = c[3] * u + c[4] * (change * change)
    return w + c[0] * change, v, u


def lion_update(w, g, m, unused, c):
    direction = c[1] * m + c[2] * g
    step = c[0] if direction > real(0.0) else -c[0] if direction < real(0.0) else direction
    return w + step, c[3] * m + c[4] * g, unused


def muon_begin(state, coefficients):
    adamw_begin(state, coefficients)
    coefficients[C_RATE] = state[STEP_RATE]
    coefficients[C_MOMENTUM] = state[MOMENTUM]


@dataclass(frozen=True)
class OptimizerRule:
    """One way to update a parameter.

    Parameters
    ----------
    name : str
        The key in ``OPTIMIZERS``: the solver's name; "nesterov" is the solver "sgd", too.
    summary : str
        What it is: for the documentation.
    begin : callable
        ``begin(state, coefficients)``, once a step.
    update : callable
        ``w, slot_0, slot_1 = update(w, g, slot_0, slot_1, coefficients)``.
    n_slots : int
        Arrays of the parameters' shape that it keeps, 1 or 2.
    parameters : tuple of str
        The estimators' parameters that it makes use of, besides the learning rate's.
    decoupled : bool
        Whether ``alpha`` shrinks the weights in each step, instead of being a penalty.
    orthogonal : bool
        Whether the matrices that lead to hidden layers have steps of orthogonal matrices
        instead, see muon.py; slot_0 keeps their momentum.
    """

    name: str
    summary: str
    begin: Callable
    update: Callable
    n_slots: int
    parameters: tuple[str, ...]
    decoupled: bool = False
    orthogonal: bool = False


MOMENTS = ("beta_1", "beta_2", "epsilon")
OPTIMIZERS = {
    rule.name: rule
    for rule in (
        OptimizerRule(
            "sgd", "stochastic gradient descent with momentum.",
            sgd_begin, sgd_update, 1, ("momentum", "nesterovs_momentum"),
        ),
        OptimizerRule(
            "nesterov", "with Nesterov's momentum.",
            sgd_begin, nesterov_update, 1, ("momentum", "nesterovs_momentum"),
        ),
        OptimizerRule(
            "adam", "the method of Kingma and Ba. Works well on thousands of samples or more.",
            adam_begin, adam_update, 2, MOMENTS,
        ),
        OptimizerRule(
            "adamw", "Adam with decoupled weight decay, of Loshchilov and Hutter.",
            adamw_begin, adamw_update, 2, MOMENTS, decoupled=True,
        ),
        OptimizerRule(
            "nadam", "Adam with Nesterov's momentum, of Dozat.",
            nadam_begin, nadam_update, 2, MOMENTS,
        ),
        OptimizerRule(
            "rmsprop", "of Tieleman and Hinton; ``beta_2`` is the decay of the mean square.",
            scaled_begin, rmsprop_update, 1, ("beta_2", "epsilon"),
        ),
        OptimizerRule(
            "adagrad", "of Duchi, Hazan and Singer.",
            scaled_begin, adagrad_update, 1, ("epsilon",),
        ),
        OptimizerRule(
            "adadelta", "of Zeiler; ``beta_2`` is the decay. Made for ``learning_rate_init=1``.",
            scaled_begin, adadelta_update, 2, ("beta_2", "epsilon"),
        ),
        OptimizerRule(
            "lion", "the sign of a momentum, of Chen et al., with decoupled weight decay.",
            scaled_begin, lion_update, 1, ("beta_1", "beta_2"), decoupled=True,
        ),
        OptimizerRule(
            "muon", "orthogonalised momentum, of Jordan et al., for the matrices that lead to "
            "hidden layers, scaled as by Liu et al. to the size of Adam's steps; AdamW for the "
            "rest.",
            muon_begin, adamw_update, 2, (*MOMENTS, "momentum", "nesterovs_momentum"),
            decoupled=True, orthogonal=True,
        ),
    )
}  # fmt: skip
SOLVERS = tuple(name for name in OPTIMIZERS if name != "nesterov")
# The rules of scikit-learn's solvers.
SCIKIT_LEARN_RULES = ("sgd", "nesterov", "adam")


class Optimizer:
    """The state of one optimizer over a training: plain NumPy, picklable.

    Parameters
    ----------
    solver : str
        One of ``SOLVERS``.
    n_params : int
    dtype : numpy dtype
        The network's precision.
    learning_rate : float
    momentum, nesterovs_momentum, beta_1, beta_2, epsilon
        As in the estimators.
    alpha : float
        The decay of a decoupled rule.
    weight_average : float or None
        The decay of an exponential moving average of the parameters.
    schedule : str or None
        The schedule that lowers the rate from epoch to epoch, where it is one of scikit-learn's.
    power_t : float
        Its exponent.

    Attributes
    ----------
    initial_rate : float
        The rate that the schedule begins with.
    slots : ndarray of shape (n_slots, n_params)
    state : ndarray of shape (16,), float64
        The scalar state.
    average : ndarray of shape (n_params,) or None
        The average: of the parameters w_1 to w_t, with weights decay**(t - s) that sum to 1.
    raw : ndarray of shape (n_params,) or None
        What a training came to, where its result is the average.
    """

    def __init__(
        self,
        solver,
        n_params,
        dtype,
        *,
        learning_rate,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        alpha=0.0,
        weight_average=None,
        schedule="constant",
        power_t=0.5,
    ):
        self.rule_name = "nesterov" if solver == "sgd" and nesterovs_momentum else solver
        self.nesterovs_momentum = nesterovs_momentum
        self.state = np.zeros(N_STATE)
        self.learning_rate = self.initial_rate = float(learning_rate)
        self.schedule, self.power_t = schedule, float(power_t)
        self.state[[MOMENTUM, BETA_1, BETA_2, EPSILON]] = momentum, beta_1, beta_2, epsilon
        self.state[DECAY] = alpha
        self.state[[POWER_1, POWER_2, MOMENTUM_POWER, MOMENTUM_PRODUCT]] = 1.0
        self.slots = np.zeros((self.rule.n_slots, n_params), dtype=dtype)
        self.average = self.raw = self.raw_for = None
        if weight_average is not None:
            self.state[[AVERAGE_DECAY, AVERAGE_POWER]] = weight_average, 1.0
            self.average = np.zeros(n_params, dtype=dtype)

    @classmethod
    def from_attributes(cls, attributes):
        """The optimizer that has these attributes, a dict."""
        optimizer = cls.__new__(cls)
        vars(optimizer).update(attributes)
        return optimizer

    def begin_average(self):
        """Begin the average anew."""
        self.average[...] = 0
        self.state[AVERAGE_POWER] = 1.0

    @property
    def rule(self):
        """The registry's entry."""
        return OPTIMIZERS[self.rule_name]

    @property
    def solver(self):
        """The solver that it belongs to."""
        return "sgd" if self.rule_name == "nesterov" else self.rule_name

    @property
    def has_averaged(self):
        """Whether the average has any parameters in it."""
        return self.average is not None and self.state[AVERAGE_POWER] < 1

    @property
    def rate(self):
        """The rate, before what varies it within an epoch."""
        return float(self.state[RATE])

    @property
    def step_rate(self):
        """The rate of the last step."""
        return float(self.state[STEP_RATE])

    @property
    def learning_rate(self):
        """The rate in use; for adam, with its bias corrections, as scikit-learn has it."""
        return float(self.state[CURRENT])

    @learning_rate.setter
    def learning_rate(self, value):
        self.state[[RATE, STEP_RATE, CURRENT]] = value
