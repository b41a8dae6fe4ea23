"""Losses, as plain scalar functions of the raw prediction, and the ``LOSSES`` registry.

A loss takes the raw prediction z of an output unit (before the output
activation) and the target y. With the canonical link of each, the gradient of the
loss with respect to z is ``out_activation(z) - y``. Names such as ``real`` and
``exp`` are bound anew by ``jit.py`` for each precision and device.

The softmax couples a row's outputs, so its loss is not a sum of functions of one
output; the output loop for it is a template of its own (``coupled=True``), and
its functions here work on one row's ``z_target`` and ``log_normalizer``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, log1p

real = float
# The unit roundoff by which scikit-learn clips probabilities; bound per precision.
eps = 2.0**-52


def clip_log_loss(value):
    # scikit-learn clips probabilities to [eps, 1 - eps] before the logarithm:
    # the same bounds on the loss itself. A NaN stays a NaN.
    low = -log1p(-eps)
    high = -log(eps)
    value = low if value < low else value
    return high if value > high else value


def identity(z):
    return z


def logistic(z):
    return real(1.0) / (real(1.0) + exp(-z))


def exponential(z):
    return exp(z)


def squared_error(z, y):
    return real(0.5) * (z - y) * (z - y)


def binary_log_loss(z, y):
    # For y in {0, 1}: -log(p) for y = 1, -log(1 - p) for y = 0.
    signed = -z if y > real(0.5) else z
    value = (signed if signed > real(0.0) else real(0.0)) + log1p(exp(-abs(z)))
    return clip_log_loss(value if z == z else z)


def poisson(z, y):
    # Half the Poisson deviance, with its constant term y log y - y.
    constant = y * log(y) - y if y > real(0.0) else real(0.0)
    return constant - y * z + exp(z)


def log_loss(z_target, log_normalizer):
    return clip_log_loss(log_normalizer - z_target)


@dataclass(frozen=True)
class Loss:
    """A loss together with the output activation that belongs to it.

    Parameters
    ----------
    name : str
        The key in ``LOSSES``.
    out_activation : str
        Name of the output activation (the inverse link), scikit-learn's term.
    value : callable
        ``value(z, y)``, the loss of one output unit.
    inverse_link : callable
        The output activation as a scalar function of z.
    domain : str
        The targets that the loss is defined for.
    coupled : bool
        True for the softmax, whose loss couples the outputs of a row.
    mean_over_outputs : bool
        Whether a row's loss is the mean over the outputs instead of the sum.
    """

    name: str
    out_activation: str
    value: Callable
    inverse_link: Callable
    domain: str
    coupled: bool = False
    mean_over_outputs: bool = False


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("log_loss", "softmax", log_loss, identity, "class indices", coupled=True),
        Loss("binary_log_loss", "logistic", binary_log_loss, logistic, "{0, 1}"),
        Loss(
            "squared_error",
            "identity",
            squared_error,
            identity,
            "real numbers",
            mean_over_outputs=True,
        ),
        Loss("poisson", "exp", poisson, exponential, "y >= 0"),
    )
}
