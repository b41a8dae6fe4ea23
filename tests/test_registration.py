"""Activations and losses of the user's own."""

import pickle
from math import exp, log1p, tanh

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from common import make_problem, run_python
from fastnn import (
    MLPClassifier,
    MLPRegressor,
    register_activation,
    register_loss,
    registration,
)
from fastnn.kernels.activations import ACTIVATIONS

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
    register_loss("poisson_of_mine", lambda x, y: exp(x) - x * y, lambda x, y: exp(x) - y,
                  out_activation="exp")  # fmt: skip
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
        register_activation("bent", lambda x, a=slope: x if x > 0 else a * x, lambda x, a=slope: (
            1.0 if x > 0 else a
        ))  # fmt: skip
        found.append(MLPRegressor(**SMALL, activation="bent").fit(X, y).loss_)
    assert found[0] != found[1]


def test_what_came_from_elsewhere_gives_way():
    """Where an estimator brought an activation, a later one may bring it with a new meaning."""
    X, y = make_problem("regression")
    register_activation("moved", lambda x: x, lambda x: 1.0)
    entries = [registration.packed()]
    register_activation("moved", lambda x: 3 * x, lambda x: 3.0)
    entries.append(registration.packed())
    del ACTIVATIONS["moved"]
    forwards = []
    for entry in entries:
        registration.unpack(entry)
        forwards.append(ACTIVATIONS["moved"].forward(1.0))
    assert forwards == [1.0, 3.0]
    register_activation("moved", lambda x: 5 * x, lambda x: 5.0)
    registration.unpack(entries[0])
    assert ACTIVATIONS["moved"].forward(1.0) == 5.0


def test_global_constants_are_part_of_the_meaning():
    X, y = make_problem("regression")
    losses = []
    for value in (0.5, 2.0):
        globals()["HALF"] = value
        losses.append(MLPRegressor(**SMALL, loss="half_square").fit(X, y).loss_curve_[0])
    globals()["HALF"] = 0.5
    assert losses[1] > 2 * losses[0]


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_know_it(backend):
    import joblib

    X, y = make_problem("binary")
    grid = {"activation": ["swish", ("tangent", "relu")]}
    with joblib.parallel_config(backend):
        search = GridSearchCV(MLPClassifier(**SMALL), grid, cv=2, n_jobs=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


UNPICKLE = """
import json, pickle, sys
model = pickle.loads(bytes.fromhex(sys.argv[1]))
try:
    result = model.predict([[0.5] * 7]).tolist()
except ValueError as error:
    result = str(error)
print(json.dumps(result))
"""


def test_unpickled_elsewhere(monkeypatch):
    X, y = make_problem("regression")
    # As where the functions are in a module that cannot be imported there.
    model = MLPRegressor(**SMALL, activation="swish").fit(X, y)
    expected = model.predict([[0.5] * 7])
    data = pickle.dumps(model).hex()
    assert run_python(UNPICKLE, data) == pytest.approx(expected.tolist())
    assert "not registered in this process" in run_python(UNPICKLE, data, PYTHONPATH=package_only())


def package_only():
    """PYTHONPATH without this folder, where the functions above are."""
    from pathlib import Path

    import fastnn

    return str(Path(fastnn.__file__).parent.parent)


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
