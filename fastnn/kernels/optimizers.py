"""Optimizers, as plain functions of one parameter, and the ``OPTIMIZERS`` registry.

An optimizer has two functions. ``begin(state, coefficients)`` runs once a step, in
float64: it advances the scalar state and writes the step's coefficients. ``update``
runs for every parameter, in the network's precision: it takes the parameter, its
gradient, its slots and the coefficients, and returns the new parameter and slots.
``real`` and ``sqrt`` are bound anew by ``jit.py`` for each precision and device.

Powers such as beta_1**t are running products: the C library's ``pow`` differs between
systems, a product does not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

real = float

# Places in the scalar state (8,), float64. RATE is the rate that the user (or a
# schedule) sets, CURRENT the one that the last step used.
RATE, CURRENT = 0, 1
MOMENTUM = 2
BETA_1, BETA_2, EPSILON, POWER_1, POWER_2 = 2, 3, 4, 5, 6
N_STATE = 8
N_COEFFICIENTS = 8


def sgd_begin(state, coefficients):
    state[CURRENT] = state[RATE]
    coefficients[0] = state[RATE]
    coefficients[1] = state[MOMENTUM]


def sgd_update(w, g, velocity, unused, c0, c1, c2, c3, c4, c5):
    velocity = c1 * velocity - c0 * g
    return w + velocity, velocity, unused


def nesterov_update(w, g, velocity, unused, c0, c1, c2, c3, c4, c5):
    velocity = c1 * velocity - c0 * g
    return w + (c1 * velocity - c0 * g), velocity, unused


def adam_begin(state, coefficients):
    state[POWER_1] *= state[BETA_1]
    state[POWER_2] *= state[BETA_2]
    state[CURRENT] = state[RATE] * sqrt(1.0 - state[POWER_2]) / (1.0 - state[POWER_1])
    coefficients[0] = -state[CURRENT]
    coefficients[1] = state[BETA_1]
    coefficients[2] = 1.0 - state[BETA_1]
    coefficients[3] = state[BETA_2]
    coefficients[4] = 1.0 - state[BETA_2]
    coefficients[5] = state[EPSILON]


def adam_update(w, g, m, v, c0, c1, c2, c3, c4, c5):
    m = c1 * m + c2 * g
    v = c3 * v + c4 * (g * g)
    return w + c0 * m / (sqrt(v) + c5), m, v


@dataclass(frozen=True)
class OptimizerRule:
    """One way to update a parameter.

    Parameters
    ----------
    name : str
        The key in ``OPTIMIZERS``.
    begin : callable
        ``begin(state, coefficients)``, once a step.
    update : callable
        ``w, slot_0, slot_1 = update(w, g, slot_0, slot_1, *coefficients)``.
    n_slots : int
        Arrays of the parameters' shape that it keeps, 1 or 2.
    """

    name: str
    begin: Callable
    update: Callable
    n_slots: int


OPTIMIZERS = {
    rule.name: rule
    for rule in (
        OptimizerRule("sgd", sgd_begin, sgd_update, 1),
        OptimizerRule("nesterov", sgd_begin, nesterov_update, 1),
        OptimizerRule("adam", adam_begin, adam_update, 2),
    )
}


class Optimizer:
    """The state of one optimizer over a training: plain NumPy, picklable.

    Parameters
    ----------
    solver : {"sgd", "adam"}
    n_params : int
    dtype : numpy dtype
        The network's precision.
    learning_rate : float
    momentum, nesterovs_momentum
        Of sgd.
    beta_1, beta_2, epsilon : float
        Of adam.

    Attributes
    ----------
    slots : ndarray of shape (n_slots, n_params)
    state : ndarray of shape (8,), float64
        The scalar state.
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
    ):
        self.state = np.zeros(N_STATE)
        self.state[[RATE, CURRENT]] = learning_rate
        if solver == "sgd":
            self.rule_name = "nesterov" if nesterovs_momentum else "sgd"
            self.state[MOMENTUM] = momentum
        else:
            self.rule_name = "adam"
            self.state[[BETA_1, BETA_2, EPSILON]] = beta_1, beta_2, epsilon
            self.state[[POWER_1, POWER_2]] = 1.0
        self.slots = np.zeros((self.rule.n_slots, n_params), dtype=dtype)

    @property
    def rule(self):
        """The registry's entry."""
        return OPTIMIZERS[self.rule_name]

    @property
    def learning_rate(self):
        """The rate in use; for adam, with its bias corrections, as scikit-learn has it."""
        return float(self.state[CURRENT])

    @learning_rate.setter
    def learning_rate(self, value):
        self.state[[RATE, CURRENT]] = value
