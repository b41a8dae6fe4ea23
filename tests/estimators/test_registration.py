"""Activations and losses of the user's own."""

from math import exp, log1p, tanh

import numpy as np
import pytest

from common import make_problem
from fastnn import MLPClassifier, MLPRegressor, register_activation, register_loss

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = dict(hidden_layer_sizes=(12, 6), max_iter=10, random_state=0)
HALF = 0.5


def sigmoid(x):
    return 1 / (1 + exp(-x))


def swish(x):
    return x * sigmoid(x)


def swish_gradient(x):
    a = sigmoid(x)
    return a * (1 + x * (1 - a))


def tangent(x):
    return tanh(x)


def tangent_gradient(a):
    return 1 - a * a


def half_square(x, y):
    return HALF * (x - y) * (x - y)


def half_square_gradient(x, y):
    return x - y


@pytest.fixture(autouse=True)
def registered():
    register_activation("swish", swish, swish_gradient)
    register_activation("tangent", tangent, tangent_gradient, gradient_of="output")
    register_loss("half_square", half_square, half_square_gradient)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("own", "builtin"), [("swish", "silu"), ("tangent", "tanh")])
def test_activation_is_as_good_as_ours(own, builtin, dtype, solver):
    X, y = make_problem("multiclass")
    mine, ours = (
        MLPClassifier(**SMALL, activation=name, dtype=dtype, solver=solver).fit(X, y)
        for name in (own, builtin)
    )
    tolerance = {"float32": 1e-3, "float64": 1e-9}[dtype]
    np.testing.assert_allclose(mine.predict_proba(X), ours.predict_proba(X), atol=tolerance)
    np.testing.assert_allclose(mine.loss_, ours.loss_, rtol=tolerance)


def test_loss_is_as_good_as_ours():
    X, y = make_problem("regression")
    mine, ours = (
        MLPRegressor(**SMALL, loss=name).fit(X, y) for name in ("half_square", "squared_error")
    )
    np.testing.assert_allclose(mine.predict(X), ours.predict(X), rtol=1e-10)
    np.testing.assert_allclose(mine.loss_curve_, ours.loss_curve_, rtol=1e-10)


def test_with_an_output_activation():
    register_loss(
        "poisson_of_mine",
        lambda x, y: exp(x) - x * y,
        lambda x, y: exp(x) - y,
        out_activation="exp",
    )
    X, y = make_problem("poisson")
    mine, ours = (
        MLPRegressor(**SMALL, loss=name).fit(X, y) for name in ("poisson_of_mine", "poisson")
    )
    np.testing.assert_allclose(mine.predict(X), ours.predict(X), rtol=1e-10)


def test_a_name_can_get_a_new_meaning():
    X, y = make_problem("regression")
    register_activation("mine", lambda x: x, lambda x: 1.0)
    first = MLPRegressor(**SMALL, activation="mine").fit(X, y).predict(X)
    identity = MLPRegressor(**SMALL, activation="identity").fit(X, y).predict(X)
    np.testing.assert_allclose(first, identity, rtol=1e-10)
    register_activation("mine", lambda x: 2 * x, lambda x: 2.0)
    assert not np.allclose(MLPRegressor(**SMALL, activation="mine").fit(X, y).predict(X), first)


def test_defaults_are_part_of_the_meaning():
    X, y = make_problem("regression")
    found = []
    for slope in (0.1, 0.5):
        register_activation(
            "bent", lambda x, a=slope: x if x > 0 else a * x, lambda x, a=slope: 1.0 if x > 0 else a
        )
        found.append(MLPRegressor(**SMALL, activation="bent").fit(X, y).loss_)
    assert found[0] != found[1]


def test_global_constants_are_part_of_the_meaning():
    X, y = make_problem("regression")
    losses = []
    for value in (0.5, 2.0):
        globals()["HALF"] = value
        losses.append(MLPRegressor(**SMALL, loss="half_square").fit(X, y).loss_curve_[0])
    globals()["HALF"] = 0.5
    assert losses[1] > 2 * losses[0]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("relu", swish, swish), ValueError, "'relu' is one of fastnn's own"),
        (("not a name", swish, swish), ValueError, "must be a str that is an identifier"),
        (("mine", np.tanh, swish), TypeError, "forward must be a plain Python function"),
        (("mine", swish, log1p), TypeError, "gradient must be a plain Python function"),
        (("mine", lambda x: None, swish), TypeError, "forward must return a number, got None"),
        (("mine", lambda x, y: x, swish), TypeError, r"forward\(0.5\) raised TypeError"),
    ],
)
def test_bad_activations(arguments, error, says):
    with pytest.raises(error, match=says):
        register_activation(*arguments)


def test_closures():
    slope = 3.0
    with pytest.raises(ValueError, match=r"must not close over variables, but uses \('slope',\)"):
        register_activation("steep", lambda x: slope * x, lambda x: 3.0)


def test_bad_options():
    with pytest.raises(ValueError, match="gradient_of must be 'input' or 'output', got 'z'"):
        register_activation("mine", swish, swish_gradient, gradient_of="z")
    with pytest.raises(ValueError, match="out_activation must be one of .*, got 'relu'"):
        register_loss("mine", half_square, half_square_gradient, out_activation="relu")
    with pytest.raises(ValueError, match="'huber' is one of fastnn's own"):
        register_loss("huber", half_square, half_square_gradient)
