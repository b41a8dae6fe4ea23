"""exp, log, log1p, tanh and the like of the kernels: how accurate they are, and the edges."""

import numpy as np
import pytest
from scipy.special import ndtr

from fastnn.kernels import elementary
from fastnn.kernels.cpu import jit
from fastnn.kernels.cpu.compiler import COMPILER

PRECISIONS = ("float32", "float64")
# Units in the last place. tanh divides two rounded values.
BOUNDS = {"exp": 1.0, "log": 1.0, "log1p": 1.5, "tanh": 3.5}


def loop(x, y):
    for i in range(x.shape[0]):
        y[i] = scalar_function(x[i])  # noqa: F821


def apply(name, x):
    """The kernels' function on each element of x (n,)."""
    function = elementary.bindings(COMPILER, x.dtype.name)[name]
    y = np.empty_like(x)
    name = f"test_loop_{name}_{x.dtype.name}"
    jit.bind(loop, name, from_python=True, scalar_function=function)(x, y)
    return y


def arguments(name, precision):
    """Arguments over the range where the result is a normal number."""
    rng = np.random.default_rng(0)
    low, high = (-86, 88) if precision == "float32" else (-707, 709)
    x = {
        "exp": rng.uniform(low, high, 20_000),
        "log": np.exp(rng.uniform(low, high, 20_000)),
        "log1p": np.exp(rng.uniform(-30, 20, 20_000)),
        "tanh": rng.standard_normal(20_000) * np.exp(rng.uniform(-20, 3, 20_000)),
    }[name]
    return x.astype(precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", BOUNDS)
def test_accuracy(name, precision):
    x = arguments(name, precision)
    exact = getattr(np, name)(x.astype(np.longdouble))
    error = np.abs(apply(name, x) - exact) / np.spacing(np.abs(exact.astype(precision)))
    assert error.max() <= BOUNDS[name]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_accuracy_of_expm1_negative(precision):
    rng = np.random.default_rng(0)
    x = -np.exp(rng.uniform(-20, 4, 20_000)).astype(precision)
    exact = np.expm1(x.astype(np.longdouble))
    error = np.abs(apply("expm1_negative", x) - exact) / np.spacing(np.abs(exact.astype(precision)))
    assert error.max() <= 4


@pytest.mark.parametrize(("precision", "bound"), [("float32", 4e-6), ("float64", 8e-15)])
def test_accuracy_of_the_normal_distribution(precision, bound):
    """Relative, in the lower tail too."""
    x = np.linspace(-5, 8, 20_001).astype(precision)
    exact = ndtr(x.astype(np.float64))
    np.testing.assert_allclose(apply("normal_cdf", x), exact, rtol=bound)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", [np.nan, np.inf, -np.inf, 0, -1e4, 1e4], [np.nan, np.inf, 0, 1, 0, np.inf]),
        ("log", [np.nan, np.inf, 0, -1, 1], [np.nan, np.inf, -np.inf, np.nan, 0]),
        ("log1p", [np.nan, np.inf, 0, -1, -2], [np.nan, np.inf, 0, -np.inf, np.nan]),
        ("tanh", [np.nan, np.inf, -np.inf, 0, 50, -50], [np.nan, 1, -1, 0, 1, -1]),
        ("expm1_negative", [np.nan, -np.inf, -50, 0, 1, np.inf], [np.nan, -1, -1, 0, 0, 0]),
        ("normal_cdf", [np.nan, np.inf, -np.inf, 50, -50], [np.nan, 1, 0, 1, 0]),
    ],
)
def test_edges(name, x, expected, precision):
    np.testing.assert_array_equal(apply(name, np.array(x, precision)), np.array(expected))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_largest_finite_exp(precision):
    """exp stays finite up to the largest argument whose exponential is a number."""
    largest = np.log(np.array(np.finfo(precision).max, precision))
    x = np.array([largest * (1 - np.finfo(precision).eps)], precision)
    assert np.isfinite(apply("exp", x)).all()
