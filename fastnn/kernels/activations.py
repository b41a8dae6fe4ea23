"""Hidden activations, as plain scalar functions, and the ``ACTIVATIONS`` registry.

A function here is mathematics only. ``real``, ``exp`` and ``tanh`` are the names
that ``jit.py`` binds anew for each precision and device; as they stand, the
functions are ordinary Python that a test can call. Write constants ``real(0.5)``:
a bare float literal would turn float32 arithmetic into float64.

To add an activation, add its two functions and one entry of the registry: the
estimators, the kernels, the documentation and the tests take it from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, tanh

real = float


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
        The derivative at z, as a function of the output: ``g'(z) = gradient(a)``.
    init_factor : float
        Initial weights are uniform within sqrt(init_factor / (fan_in + fan_out)).
    """

    name: str
    summary: str
    forward: Callable
    gradient: Callable
    init_factor: float = 6.0


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
    )
}
