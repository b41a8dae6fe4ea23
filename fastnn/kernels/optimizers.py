"""Optimizers, as plain functions of one parameter, and the ``OPTIMIZERS`` registry.

An optimizer is a rule of two functions, whose arguments have names:

- ``scalars, coefficients = begin(rate, settings, scalars)`` runs once a step, in float64. It
  advances the scalars that the rule keeps from step to step, and computes what `update` reads.
- ``parameter, slots = update(parameter, gradient, slots, coefficients)`` runs for every parameter,
  in the network's precision. The slots are what the rule keeps for each parameter.

The names are those of NamedTuple classes, which compiled code passes without cost: the settings
that the user chooses, with their defaults; the scalars, with the values that they begin with; the
coefficients; and any number of slots, which begin with zeros. The scalars begin with
``learning_rate``, the rate that the step took, after what the rule makes of it.

``real`` and ``sqrt`` are bound anew for each precision and device when a rule is compiled. Powers
such as beta_1**t are running products: the C library's ``pow`` differs between systems, a product
does not.

To add an optimizer, add its two functions, the classes of names that it needs and one entry of the
registry: the solver, its documentation and the tests take it from there. In the formulas, t counts
the steps from 1, g is the gradient, eta the rate; b1, b2 and eps are beta_1, beta_2 and epsilon.
"""

from math import sqrt
from typing import NamedTuple

from fastnn.kernels.optimizer_rule import OptimizerRule

real = float

# Nadam's momentum grows by a power of this towards beta_1.
NADAM_BASE = 0.96**0.004


# ---- names that several rules use ------------------------------------------------------------


class Rate(NamedTuple):
    """The scalars of a rule that keeps none but the rate of its last step."""

    learning_rate: float = 0.0


class Powers(NamedTuple):
    """The scalars of a rule that corrects its moments for having begun with zeros."""

    learning_rate: float = 0.0
    power_1: float = 1.0
    power_2: float = 1.0


class Moments(NamedTuple):
    """The settings of a rule that keeps two moments."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8


class DecayedMoments(NamedTuple):
    """The settings of such a rule whose weights decay by themselves."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    decay: float = 0.0


class FirstAndSecond(NamedTuple):
    """The slots of such a rule: averages of the gradient, and of its square."""

    mu: float
    nu: float


class Second(NamedTuple):
    """The slot of a rule that keeps what the square of the gradient has been."""

    nu: float


class AverageNumbers(NamedTuple):
    """The decay of an average of the parameters, and the weight that is not in it yet."""

    decay: float
    rest: float = 1.0


# ---- stochastic gradient descent -------------------------------------------------------------


class Momentum(NamedTuple):
    """The settings of gradient descent."""

    momentum: float = 0.9


class Velocity(NamedTuple):
    """Its slot: the last step."""

    velocity: float


class Descent(NamedTuple):
    """Its coefficients."""

    rate: float
    momentum: float


def sgd_begin(rate, settings, scalars):
    return Rate(rate), Descent(rate, settings.momentum)


def sgd_update(w, g, slots, c):
    """v = momentum v - eta g; w = w + v.

    Sutskever, I., et al. "On the importance of initialization and momentum in deep learning." ICML
    (2013).
    """
    velocity = c.momentum * slots.velocity - c.rate * g
    return w + velocity, Velocity(velocity)


def nesterov_update(w, g, slots, c):
    """v = momentum v - eta g; w = w + momentum v - eta g.

    Nesterov's accelerated gradient in the form of Sutskever et al. (2013).
    """
    velocity = c.momentum * slots.velocity - c.rate * g
    return w + (c.momentum * velocity - c.rate * g), Velocity(velocity)


# ---- Adam and its relatives ------------------------------------------------------------------


class Adam(NamedTuple):
    """Adam's coefficients; ``step`` is minus its corrected rate."""

    step: float
    beta_1: float
    rest_1: float
    beta_2: float
    rest_2: float
    epsilon: float


def adam_begin(rate, settings, scalars):
    b1, b2 = settings.beta_1, settings.beta_2
    power_1, power_2 = scalars.power_1 * b1, scalars.power_2 * b2
    corrected = rate * sqrt(1.0 - power_2) / (1.0 - power_1)
    return Powers(corrected, power_1, power_2), Adam(
        -corrected, b1, 1.0 - b1, b2, 1.0 - b2, settings.epsilon
    )


def adam_update(w, g, slots, c):
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g**2; w = w - a m / (sqrt(v) + eps).

    There a = eta sqrt(1 - b2**t) / (1 - b1**t). Kingma, D. P., and Ba, J. "Adam: a method for
    stochastic optimization." ICLR (2015), with epsilon as at the end of its section 2.
    """
    mu = c.beta_1 * slots.mu + c.rest_1 * g
    nu = c.beta_2 * slots.nu + c.rest_2 * (g * g)
    return w + c.step * mu / (sqrt(nu) + c.epsilon), FirstAndSecond(mu, nu)


class AdamW(NamedTuple):
    """AdamW's coefficients: ``root`` corrects the root of nu; ``keep`` is left of a weight."""

    step: float
    beta_1: float
    rest_1: float
    beta_2: float
    rest_2: float
    epsilon: float
    root: float
    keep: float


def adamw_begin(rate, settings, scalars):
    b1, b2 = settings.beta_1, settings.beta_2
    power_1, power_2 = scalars.power_1 * b1, scalars.power_2 * b2
    return Powers(rate, power_1, power_2), AdamW(
        -rate / (1.0 - power_1),
        b1,
        1.0 - b1,
        b2,
        1.0 - b2,
        settings.epsilon,
        1.0 / sqrt(1.0 - power_2),
        1.0 - rate * settings.decay,
    )


def adamw_update(w, g, slots, c):
    """m and v as Adam's; w = w - eta m' / (sqrt(v') + eps), where w was (1 - eta alpha) w before.

    There m' = m / (1 - b1**t) and v' = v / (1 - b2**t). Loshchilov, I., and Hutter, F. "Decoupled
    weight decay regularization." ICLR (2019).
    """
    mu = c.beta_1 * slots.mu + c.rest_1 * g
    nu = c.beta_2 * slots.nu + c.rest_2 * (g * g)
    return w + c.step * mu / (c.root * sqrt(nu) + c.epsilon), FirstAndSecond(mu, nu)


class NadamScalars(NamedTuple):
    """Nadam's scalars: besides Adam's, a power of 0.96**0.004, and the product of the momenta."""

    learning_rate: float = 0.0
    power_1: float = 1.0
    power_2: float = 1.0
    momentum_power: float = 1.0
    momentum_product: float = 1.0


class Nadam(NamedTuple):
    """Nadam's coefficients: the steps along the gradient and along its average."""

    gradient_step: float
    beta_1: float
    rest_1: float
    beta_2: float
    rest_2: float
    epsilon: float
    average_step: float
    root: float


def nadam_begin(rate, settings, scalars):
    b1, b2 = settings.beta_1, settings.beta_2
    power_1, power_2 = scalars.power_1 * b1, scalars.power_2 * b2
    momentum_power = scalars.momentum_power * NADAM_BASE
    now = b1 * (1.0 - 0.5 * momentum_power)
    later = b1 * (1.0 - 0.5 * momentum_power * NADAM_BASE)
    product = scalars.momentum_product * now
    return NadamScalars(rate, power_1, power_2, momentum_power, product), Nadam(
        -rate * (1.0 - now) / (1.0 - product),
        b1,
        1.0 - b1,
        b2,
        1.0 - b2,
        settings.epsilon,
        -rate * later / (1.0 - product * later),
        1.0 / sqrt(1.0 - power_2),
    )


def nadam_update(w, g, slots, c):
    """m and v as Adam's; w = w - eta ((1 - mu_t) g / (1 - P_t) + mu_t' m / (1 - P_t')) / d.

    There mu_t = b1 (1 - 0.96**(0.004 t) / 2), P_t is the product of mu_1 to mu_t, mu_t' and P_t'
    are those of t + 1, and d = sqrt(v / (1 - b2**t)) + eps. Dozat, T. "Incorporating Nesterov
    momentum into Adam." ICLR workshop (2016).
    """
    mu = c.beta_1 * slots.mu + c.rest_1 * g
    nu = c.beta_2 * slots.nu + c.rest_2 * (g * g)
    step = c.gradient_step * g + c.average_step * mu
    return w + step / (c.root * sqrt(nu) + c.epsilon), FirstAndSecond(mu, nu)


# ---- rules that scale the gradient by the root of what its square has been -------------------


class MeanSquare(NamedTuple):
    """The settings of RMSprop and Adadelta."""

    beta_2: float = 0.999
    epsilon: float = 1e-8


class Scaled(NamedTuple):
    """Their coefficients."""

    step: float
    beta_2: float
    rest_2: float
    epsilon: float


def scaled_begin(rate, settings, scalars):
    return Rate(rate), Scaled(-rate, settings.beta_2, 1.0 - settings.beta_2, settings.epsilon)


def rmsprop_update(w, g, slots, c):
    """v = b2 v + (1 - b2) g**2; w = w - eta g / (sqrt(v) + eps).

    Tieleman, T., and Hinton, G. "Lecture 6.5: RMSprop." Coursera (2012).
    """
    nu = c.beta_2 * slots.nu + c.rest_2 * (g * g)
    return w + c.step * g / (sqrt(nu) + c.epsilon), Second(nu)


class Squares(NamedTuple):
    """Adadelta's slots: the mean squares of the gradient and of the steps before the rate."""

    nu: float
    step_square: float


def adadelta_update(w, g, slots, c):
    """v = b2 v + (1 - b2) g**2; d = sqrt(u + eps) / sqrt(v + eps) g; u = b2 u + (1 - b2) d**2.

    Then w = w - eta d. Zeiler, M. D. "ADADELTA: an adaptive learning rate method." arXiv (2012).
    """
    nu = c.beta_2 * slots.nu + c.rest_2 * (g * g)
    change = sqrt(slots.step_square + c.epsilon) / sqrt(nu + c.epsilon) * g
    step_square = c.beta_2 * slots.step_square + c.rest_2 * (change * change)
    return w + c.step * change, Squares(nu, step_square)


class Smoothing(NamedTuple):
    """Adagrad's setting."""

    epsilon: float = 1e-8


class Adagrad(NamedTuple):
    """Adagrad's coefficients."""

    step: float
    epsilon: float


class Total(NamedTuple):
    """Adagrad's slot: the sum of the squares of all gradients."""

    total: float


def adagrad_begin(rate, settings, scalars):
    return Rate(rate), Adagrad(-rate, settings.epsilon)


def adagrad_update(w, g, slots, c):
    """s = s + g**2; w = w - eta g / (sqrt(s) + eps).

    Duchi, J., Hazan, E., and Singer, Y. "Adaptive subgradient methods for online learning and
    stochastic optimization." JMLR 12 (2011).
    """
    total = slots.total + g * g
    return w + c.step * g / (sqrt(total) + c.epsilon), Total(total)


# ---- Lion and Muon ---------------------------------------------------------------------------


class LionSettings(NamedTuple):
    """Lion's settings."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    decay: float = 0.0


class Lion(NamedTuple):
    """Lion's coefficients."""

    step: float
    beta_1: float
    rest_1: float
    beta_2: float
    rest_2: float
    keep: float


class Average(NamedTuple):
    """Lion's slot: an average of the gradient."""

    mu: float


def lion_begin(rate, settings, scalars):
    b1, b2 = settings.beta_1, settings.beta_2
    return Rate(rate), Lion(-rate, b1, 1.0 - b1, b2, 1.0 - b2, 1.0 - rate * settings.decay)


def lion_update(w, g, slots, c):
    """w = w - eta sign(b1 m + (1 - b1) g), where w was (1 - eta alpha) w before; then m.

    The average is m = b2 m + (1 - b2) g. Chen, X., et al. "Symbolic discovery of optimization
    algorithms." NeurIPS (2023), algorithm 2.
    """
    direction = c.beta_1 * slots.mu + c.rest_1 * g
    step = c.step if direction > real(0.0) else -c.step if direction < real(0.0) else direction
    return w + step, Average(c.beta_2 * slots.mu + c.rest_2 * g)


class MuonSettings(NamedTuple):
    """The settings of AdamW and of Muon's own momentum."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    decay: float = 0.0
    momentum: float = 0.9


class Muon(NamedTuple):
    """The coefficients of AdamW, and of Muon's steps of whole matrices."""

    step: float
    beta_1: float
    rest_1: float
    beta_2: float
    rest_2: float
    epsilon: float
    root: float
    keep: float
    rate: float
    momentum: float


def muon_begin(rate, settings, scalars):
    b1, b2 = settings.beta_1, settings.beta_2
    power_1, power_2 = scalars.power_1 * b1, scalars.power_2 * b2
    return Powers(rate, power_1, power_2), Muon(
        -rate / (1.0 - power_1),
        b1,
        1.0 - b1,
        b2,
        1.0 - b2,
        settings.epsilon,
        1.0 / sqrt(1.0 - power_2),
        1.0 - rate * settings.decay,
        rate,
        settings.momentum,
    )


# ---- the registry ----------------------------------------------------------------------------


OPTIMIZERS = {
    rule.name: rule
    for rule in (
        OptimizerRule(
            "sgd",
            "stochastic gradient descent with momentum.",
            sgd_begin, sgd_update, Momentum, Rate, Velocity, Descent,
        ),
        OptimizerRule(
            "nesterov",
            "with Nesterov's momentum.",
            sgd_begin, nesterov_update, Momentum, Rate, Velocity, Descent,
        ),
        OptimizerRule(
            "adam",
            "the method of Kingma and Ba. Works well on thousands of samples or more.",
            adam_begin, adam_update, Moments, Powers, FirstAndSecond, Adam,
        ),
        OptimizerRule(
            "adamw",
            "Adam with decoupled weight decay, of Loshchilov and Hutter.",
            adamw_begin, adamw_update, DecayedMoments, Powers, FirstAndSecond, AdamW,
        ),
        OptimizerRule(
            "nadam",
            "Adam with Nesterov's momentum, of Dozat.",
            nadam_begin, nadam_update, Moments, NadamScalars, FirstAndSecond, Nadam,
        ),
        OptimizerRule(
            "rmsprop",
            "of Tieleman and Hinton; ``beta_2`` is the decay of the mean square.",
            scaled_begin, rmsprop_update, MeanSquare, Rate, Second, Scaled,
        ),
        OptimizerRule(
            "adagrad",
            "of Duchi, Hazan and Singer.",
            adagrad_begin, adagrad_update, Smoothing, Rate, Total, Adagrad,
        ),
        OptimizerRule(
            "adadelta",
            "of Zeiler; ``beta_2`` is the decay. Made for ``learning_rate_init=1``.",
            scaled_begin, adadelta_update, MeanSquare, Rate, Squares, Scaled,
        ),
        OptimizerRule(
            "lion",
            "the sign of a momentum, of Chen et al., with decoupled weight decay.",
            lion_begin, lion_update, LionSettings, Rate, Average, Lion,
        ),
        OptimizerRule(
            "muon",
            "orthogonalised momentum, of Jordan et al., for the matrices that lead to "
            "hidden layers, scaled as by Liu et al. to the size of Adam's steps; AdamW for the "
            "rest.",
            muon_begin, adamw_update, MuonSettings, Powers, FirstAndSecond, Muon,
            orthogonal=True,
        ),
    )
}  # fmt: skip
SOLVERS = tuple(name for name in OPTIMIZERS if name != "nesterov")
# The rules of scikit-learn's solvers.
SCIKIT_LEARN_RULES = ("sgd", "nesterov", "adam")
