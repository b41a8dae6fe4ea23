"""Activations and their derivatives against PyTorch's, in the kernels and in plain Python."""

import json

import numpy as np
import pytest

from common import RECORDINGS
from fastnn.kernels import activations, catalog
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.cpu import jit
from fastnn.kernels.cpu.compiler import COMPILER

RECORDED = json.loads((RECORDINGS / "activations.json").read_text())
X = np.array(RECORDED["x"])
PYTORCH_NAMES = {"logistic": "sigmoid"}
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}


def loop(x, y, *learned):
    for i in range(x.shape[0]):
        y[i] = scalar_function(x[i], *learned)  # noqa: F821


def compiled(function, x, *learned):
    """The kernels' version of a plain function on each element of x (n,)."""
    precision = x.dtype.name
    scalar_function = catalog.bound(function)(COMPILER, precision)
    name = f"test_loop_{function.__name__}_{precision}"
    y = np.empty_like(x)
    call = jit.bind(loop, name, from_python=True, scalar_function=scalar_function)
    call(x, y, *(x.dtype.type(value) for value in learned))
    return y


def plain(function, x, *learned):
    return np.array([function(float(element), *learned) for element in x])


def learned_of(activation):
    """The value that its parameter begins with, as further arguments."""
    return () if activation.learned is None else (activation.learned,)


def recorded(name):
    """PyTorch's values and derivatives at X; identity is not recorded."""
    if name == "identity":
        return X, np.ones_like(X)
    entry = RECORDED["activations"][PYTORCH_NAMES.get(name, name)]
    return np.array(entry["value"]), np.array(entry["derivative"])


def gradient_at(activation, x, apply):
    """The derivative at x by the registry's functions."""
    learned = learned_of(activation)
    argument = x if activation.gradient_of == "input" else apply(activation.forward, x, *learned)
    return apply(activation.gradient, argument, *learned)


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_compiled(name, precision):
    value, derivative = recorded(name)
    x = X.astype(precision)
    activation = ACTIVATIONS[name]
    tolerance = {"rtol": TOLERANCE[precision], "atol": TOLERANCE[precision]}
    values = compiled(activation.forward, x, *learned_of(activation))
    np.testing.assert_allclose(values, value, **tolerance)
    np.testing.assert_allclose(gradient_at(activation, x, compiled), derivative, **tolerance)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_plain(name):
    """The registry's functions are ordinary Python as they stand."""
    value, derivative = recorded(name)
    activation = ACTIVATIONS[name]

    values = plain(activation.forward, X, *learned_of(activation))
    np.testing.assert_allclose(values, value, rtol=1e-12, atol=1e-15)
    gradients = gradient_at(activation, X, plain)
    np.testing.assert_allclose(gradients, derivative, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays(name, precision):
    x = np.array([np.nan], precision)
    activation = ACTIVATIONS[name]
    assert np.isnan(compiled(activation.forward, x, *learned_of(activation))).all()
    if name not in ("identity", "relu", "leaky_relu", "prelu", "elu"):
        assert np.isnan(gradient_at(activation, x, compiled)).all()


def test_plain_helpers():
    assert activations.expm1_negative(3.0) == 0
    assert activations.normal_cdf(0.0) == 0.5
