"""Losses, as plain functions of the raw prediction, and the ``LOSSES`` registry.

Most losses are sums over the output units: ``value(z, y, p)`` and its derivative
``gradient(z, y, p)`` take the raw prediction z of one unit (before the output activation), its
target y and the loss's one parameter p, if it has one. Losses of mutually exclusive classes couple
a row's outputs (``coupled=True``): they have one function of a whole row, which returns the row's
loss and leaves the gradient with respect to z in the row's ``delta``.

Names such as ``real`` and ``exp`` are bound anew by ``jit.py`` for each precision and device; as
they stand, the functions are ordinary Python.

To add a loss, add its functions and one entry of the registry; a classifier's loss comes in two
entries, for two classes and for more, and is listed in ``CLASSIFIER_LOSSES``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log, log1p

from fastnn.kernels.activations import hyperbolic_tangent, identity, logistic, relu

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


def exponential(z):
    return exp(z)


# Output activations of single outputs, by the names that they have in ``out_activation_``. The
# last two are no loss's; users may choose them for the predictions of a fitted network.
LINKS = {
    "identity": identity,
    "logistic": logistic,
    "exp": exponential,
    "relu": relu,
    "tanh": hyperbolic_tangent,
}


def squared_error(z, y, p):
    return real(0.5) * (z - y) * (z - y)


def squared_error_gradient(z, y, p):
    return z - y


def absolute_error(z, y, p):
    return abs(z - y)


def absolute_error_gradient(z, y, p):
    r = z - y
    return real(1.0) if r > real(0.0) else real(-1.0) if r < real(0.0) else r


def huber(z, y, p):
    r = abs(z - y)
    return p * (r - real(0.5) * p) if r > p else real(0.5) * r * r


def huber_gradient(z, y, p):
    r = z - y
    return p if r > p else -p if r < -p else r


def quantile(z, y, p):
    r = z - y
    return (real(1.0) - p) * r if r > real(0.0) else -p * r


def quantile_gradient(z, y, p):
    r = z - y
    return real(1.0) - p if r > real(0.0) else -p if r < real(0.0) else r


def poisson(z, y, p):
    # Half the Poisson deviance, with its constant term y log y - y, which is NaN for a negative y.
    constant = y * log(y) - y if y != real(0.0) else real(0.0)
    return constant - y * z + exp(z)


def poisson_gradient(z, y, p):
    return exp(z) - y


def gamma(z, y, p):
    # Half the gamma deviance, with its constant term -1 - log y.
    return z + y * exp(-z) - (real(1.0) + log(y))


def gamma_gradient(z, y, p):
    return real(1.0) - y * exp(-z)


def binary_log_loss(z, y, p):
    # For y in {0, 1}: -log(p) for y = 1, -log(1 - p) for y = 0.
    signed = -z if y > real(0.5) else z
    value = (signed if signed > real(0.0) else real(0.0)) + log1p(exp(-abs(z)))
    return clip_log_loss(value if z == z else z)


def binary_log_loss_gradient(z, y, p):
    return logistic(z) - y


def smoothed(y, p):
    # A target in {0, 1} with p of its weight spread over both.
    return y * (real(1.0) - p) + real(0.5) * p


def smoothed_binary_log_loss(z, y, p):
    wrong = real(0.5) * p
    signed = -z if y > real(0.5) else z
    value = (signed if signed > real(0.0) else real(0.0)) + log1p(exp(-abs(z)))
    other = (-signed if signed < real(0.0) else real(0.0)) + log1p(exp(-abs(z)))
    return clip_log_loss((real(1.0) - wrong) * value + wrong * other if z == z else z)


def smoothed_binary_log_loss_gradient(z, y, p):
    return logistic(z) - smoothed(y, p)


def binary_squared_error(z, y, p):
    r = logistic(z) - smoothed(y, p)
    return real(0.5) * r * r


def binary_squared_error_gradient(z, y, p):
    a = logistic(z)
    return (a - smoothed(y, p)) * a * (real(1.0) - a)


def binary_hinge(z, y, p):
    margin = real(1.0) - (y + y - real(1.0)) * z
    return real(0.0) if margin < real(0.0) else margin


def binary_hinge_gradient(z, y, p):
    sign = y + y - real(1.0)
    return real(0.0) if sign * z > real(1.0) else -sign


def log_loss(z, delta, total, target, p):
    # delta holds softmax(z), z is z - max(z), total the sum of exp(z).
    delta[target] -= real(1.0)
    return clip_log_loss(log(total) - z[target])


def smoothed_log_loss(z, delta, total, target, p):
    # The part p of the target's weight is spread evenly over the classes.
    share = p / real(z.shape[0])
    mean = real(0.0)
    for j in range(z.shape[0]):
        mean += share * z[j]
        delta[j] -= share
    delta[target] -= real(1.0) - p
    return clip_log_loss(log(total) - (real(1.0) - p) * z[target] - mean)


def softmax_squared_error(z, delta, total, target, p):
    # With a = softmax(z) and r = a - t: 1/2 sum r_j**2; the gradient is a_j (r_j - sum r_k a_k).
    share = p / real(z.shape[0])
    loss = real(0.0)
    mean = real(0.0)
    for j in range(z.shape[0]):
        a = delta[j]
        r = a - share - (real(1.0) - p if j == target else real(0.0))
        loss += real(0.5) * r * r
        mean += r * a
    for j in range(z.shape[0]):
        a = delta[j]
        r = a - share - (real(1.0) - p if j == target else real(0.0))
        delta[j] = a * (r - mean)
    return loss


def multiclass_hinge(z, delta, total, target, p):
    # max(0, 1 + max of the other outputs - the target's), after Crammer and Singer.
    best = real(-1e30)
    other = target
    for j in range(z.shape[0]):
        delta[j] = real(0.0)
        if j != target and z[j] > best:
            best = z[j]
            other = j
    margin = real(1.0) + z[other] - z[target]
    if margin <= real(0.0):
        return real(0.0)
    delta[target] -= real(1.0)
    delta[other] += real(1.0)
    return margin


@dataclass(frozen=True)
class Domain:
    """The targets that a loss is defined for.

    Parameters
    ----------
    kind : {"class indices", "labels", "numbers"}
        Labels are 0 or 1.
    lowest : float
        The least number.
    has_lowest : bool
        Whether that is one of the targets.
    """

    kind: str
    lowest: float = -inf
    has_lowest: bool = False

    @property
    def is_of_numbers(self):
        """Whether a regressor may have the loss."""
        return self.kind == "numbers"

    def includes(self, number):
        """Whether a target may be this number, and all above it."""
        return number > self.lowest or (self.has_lowest and number == self.lowest)

    def __str__(self):
        if self.lowest == -inf:
            return self.kind
        return f"y {'>=' if self.has_lowest else '>'} {self.lowest:g}"


CLASS_INDICES, LABELS, NUMBERS = Domain("class indices"), Domain("labels"), Domain("numbers")
NOT_NEGATIVE, POSITIVE = Domain("numbers", 0.0, has_lowest=True), Domain("numbers", 0.0)


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
        ``value(z, y, p)``, the loss of one output unit; or, for a coupled loss,
        ``value(z, delta, total, target, p)``, the loss of a row, which leaves its gradient in
        delta. With the softmax z is z - max(z), delta holds softmax(z), and total the sum of
        exp(z).
    gradient : callable or None
        ``gradient(z, y, p)``, the derivative with respect to z. None for a coupled loss.
    domain : Domain
        The targets that the loss is defined for.
    parameter : str or None
        Name of the estimators' parameter that p is.
    coupled : bool
        Whether the loss couples a row's outputs; its target is then a class index.
    mean_over_outputs : bool
        Whether a row's loss is the mean over the outputs instead of the sum.
    is_users : bool
        Whether a user registered it. Its value and gradient are functions of z and y alone.
    """

    name: str
    out_activation: str
    value: Callable
    gradient: Callable | None
    domain: Domain
    parameter: str | None = None
    coupled: bool = False
    mean_over_outputs: bool = False
    is_users: bool = False


def _regression(name, value, gradient, parameter=None):
    return Loss(
        name,
        "identity",
        value,
        gradient,
        NUMBERS,
        parameter,
        mean_over_outputs=True,
    )


def _binary(name, value, gradient, parameter=None):
    return Loss(name, "logistic", value, gradient, LABELS, parameter)


def _multiclass(name, value, parameter=None, out_activation="softmax"):
    return Loss(name, out_activation, value, None, CLASS_INDICES, parameter, coupled=True)


LOSSES = {
    loss.name: loss
    for loss in (
        _multiclass("log_loss", log_loss),
        _multiclass("smoothed_log_loss", smoothed_log_loss, "label_smoothing"),
        _multiclass("softmax_squared_error", softmax_squared_error, "label_smoothing"),
        _multiclass("multiclass_hinge", multiclass_hinge, out_activation="identity"),
        _binary("binary_log_loss", binary_log_loss, binary_log_loss_gradient),
        _binary(
            "smoothed_binary_log_loss",
            smoothed_binary_log_loss,
            smoothed_binary_log_loss_gradient,
            "label_smoothing",
        ),
        _binary(
            "binary_squared_error",
            binary_squared_error,
            binary_squared_error_gradient,
            "label_smoothing",
        ),
        Loss("binary_hinge", "identity", binary_hinge, binary_hinge_gradient, LABELS),
        _regression("squared_error", squared_error, squared_error_gradient),
        _regression("absolute_error", absolute_error, absolute_error_gradient),
        _regression("huber", huber, huber_gradient, "huber_delta"),
        _regression("quantile", quantile, quantile_gradient, "quantile"),
        Loss("poisson", "exp", poisson, poisson_gradient, NOT_NEGATIVE),
        Loss("gamma", "exp", gamma, gamma_gradient, POSITIVE),
    )
}

# For each loss of a classifier: that of two classes or many labels, that of many classes, and
# both again with label smoothing.
CLASSIFIER_LOSSES = {
    "log_loss": ("binary_log_loss", "log_loss", "smoothed_binary_log_loss", "smoothed_log_loss"),
    "squared_error": ("binary_squared_error", "softmax_squared_error") * 2,
    "hinge": ("binary_hinge", "multiclass_hinge") * 2,
}
