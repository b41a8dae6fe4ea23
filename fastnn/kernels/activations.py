"""Hidden activations, as plain scalar functions, and the ``ACTIVATIONS`` registry.

A function here is mathematics only. ``real``, ``exp``, ``tanh`` and the like are names that
``catalog.py`` binds anew for each precision and device; as they stand, the functions are ordinary
Python that a test can call. Write constants ``real(0.5)``: a bare float literal would turn
float32 arithmetic into float64. Write conditions so that a NaN stays a NaN.

To add an activation, add its two functions and one entry of the registry: the estimators, the
kernels, the documentation and the tests take it from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import erfc, exp, expm1, log1p, pi, sqrt, tanh

real = float

LEAKY_SLOPE = 0.01
# Klambauer et al. (2017): with these a layer keeps mean 0 and variance 1.
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
ROOT_HALF = sqrt(0.5)
NORMAL_DENSITY_AT_0 = 1 / sqrt(2 * pi)


def expm1_negative(z):
    """exp(z) - 1 for z <= 0; 0 for larger z."""
    return expm1(min(z, 0.0))


def normal_cdf(z):
    """The distribution function of the standard normal distribution."""
    return erfc(-z * ROOT_HALF) / 2


def identity(z):
    return z


def identity_gradient(a):
    return real(1.0)


def logistic(z):
    return real(1.0) / (real(1.0) + exp(-z))


def logistic_gradient(a):
    return a * (real(1.0) - a)


def hyperbolic_tangent(z):
    return tanh(z)


def hyperbolic_tangent_gradient(a):
    return real(1.0) - a * a


def relu(z):
    # Written so that a NaN stays a NaN.
    return real(0.0) if z < real(0.0) else z


def relu_gradient(a):
    return real(0.0) if a == real(0.0) else real(1.0)


def softplus(z):
    return (z if z > real(0.0) else real(0.0)) + log1p(exp(-abs(z)))


def softplus_gradient(a):
    # 1 - exp(-a), without cancellation.
    return -expm1_negative(-a)


def leaky_relu(z):
    return real(LEAKY_SLOPE) * z if z < real(0.0) else z


def leaky_relu_gradient(a):
    return real(1.0) if a > real(0.0) else real(LEAKY_SLOPE)


def elu(z):
    return expm1_negative(z) if z < real(0.0) else z


def elu_gradient(a):
    return a + real(1.0) if a < real(0.0) else real(1.0)


def selu(z):
    negative = real(SELU_SCALE * SELU_ALPHA) * expm1_negative(z)
    return negative if z < real(0.0) else real(SELU_SCALE) * z


def selu_gradient(a):
    return real(SELU_SCALE) if a > real(0.0) else a + real(SELU_SCALE * SELU_ALPHA)


def gelu(z):
    return z * normal_cdf(z)


def gelu_gradient(z):
    return normal_cdf(z) + z * (real(NORMAL_DENSITY_AT_0) * exp(real(-0.5) * z * z))


def silu(z):
    return z * logistic(z)


def silu_gradient(z):
    a = logistic(z)
    return a * (real(1.0) + z * (real(1.0) - a))


def mish(z):
    return z * tanh(softplus(z))


def mish_gradient(z):
    t = tanh(softplus(z))
    return t + z * (real(1.0) - t * t) * logistic(z)


def prelu(z, slope):
    return slope * z if z < real(0.0) else z


def prelu_gradient(z, slope):
    return real(1.0) if z > real(0.0) else slope


def prelu_slope_gradient(z):
    return z if z < real(0.0) else real(0.0)


@dataclass(frozen=True)
class Activation:
    """A hidden activation.

    Parameters
    ----------
    name : str
        The name that users write.
    summary : str
        What it is, with its formula in x: for the documentation.
    forward : callable
        ``a = forward(z)``.
    gradient : callable
        The derivative at z: ``gradient(a)`` where it is a function of the output,
        which costs no memory, else ``gradient(z)``.
    gradient_of : {"output", "input"}
        Which of the two.
    learned : float or None
        What a parameter of its own begins with, one for each layer. ``forward`` and
        ``gradient`` take it as a second argument.
    learned_gradient : callable or None
        The derivative with respect to that parameter, at z.
    init_factor : float
        With ``weight_init="auto"`` weights are uniform within
        sqrt(init_factor / (fan_in + fan_out)).
    is_users : bool
        Whether a user registered it.
    """

    name: str
    summary: str
    forward: Callable
    gradient: Callable
    gradient_of: str = "output"
    learned: float | None = None
    learned_gradient: Callable | None = None
    init_factor: float = 6.0
    is_users: bool = False


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("identity", "no activation: f(x) = x", identity, identity_gradient),
        Activation(
            "logistic",
            "the logistic sigmoid: f(x) = 1 / (1 + exp(-x))",
            logistic,
            logistic_gradient,
            init_factor=2.0,
        ),
        Activation(
            "tanh",
            "the hyperbolic tangent: f(x) = tanh(x)",
            hyperbolic_tangent,
            hyperbolic_tangent_gradient,
        ),
        Activation("relu", "the rectified linear unit: f(x) = max(0, x)", relu, relu_gradient),
        Activation(
            "softplus", "a smooth ReLU: f(x) = log(1 + exp(x))", softplus, softplus_gradient
        ),
        Activation(
            "leaky_relu",
            "a ReLU with a slope below zero: f(x) = max(0.01 x, x)",
            leaky_relu,
            leaky_relu_gradient,
        ),
        Activation(
            "prelu",
            "a ReLU with a slope a below zero, learned for each layer: f(x) = x if x > 0 else a x",
            prelu,
            prelu_gradient,
            gradient_of="input",
            learned=0.25,
            learned_gradient=prelu_slope_gradient,
        ),
        Activation(
            "elu",
            "the exponential linear unit: f(x) = x if x > 0 else exp(x) - 1",
            elu,
            elu_gradient,
        ),
        Activation(
            "selu",
            "the self-normalising unit: f(x) = 1.0507 (x if x > 0 else 1.67326 (exp(x) - 1))",
            selu,
            selu_gradient,
        ),
        Activation(
            "gelu",
            "the Gaussian error linear unit: f(x) = x P(Z <= x), Z standard normal, by erf",
            gelu,
            gelu_gradient,
            gradient_of="input",
        ),
        Activation(
            "silu",
            "the sigmoid linear unit, or swish: f(x) = x / (1 + exp(-x))",
            silu,
            silu_gradient,
            gradient_of="input",
        ),
        Activation(
            "mish", "f(x) = x tanh(log(1 + exp(x)))", mish, mish_gradient, gradient_of="input"
        ),
    )
}
