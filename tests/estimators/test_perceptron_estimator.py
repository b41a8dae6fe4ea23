"""Rosenblatt's perceptron as an estimator: scikit-learn's checks, bad input, failing fits."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common import run_python
from fastnn import Perceptron
from fastnn.kernels.cpu import perceptron as kernel
from perceptrons import INPUTS, OR, X3, Y3, assert_same, assert_weights

# ---- as an estimator -------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_duplicates(duplicate):
    model = Perceptron(max_iter=3).fit(X3, Y3)
    twin, kept = duplicate(model), model.coef_.copy()
    assert_same(twin, model)
    assert_array_equal(twin.decision_function(X3), model.decision_function(X3))
    twin.partial_fit(X3, Y3)
    assert_array_equal(model.coef_, kept)
    assert_same(model.partial_fit(X3, Y3), twin)


def test_pipeline_and_grid_search():
    X, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), Perceptron())
    grid = {"perceptron__max_iter": [1, 30], "perceptron__shuffle": [True, False]}
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, y)
    assert search.best_params_["perceptron__max_iter"] == 30
    assert search.best_score_ > 0.85


def test_verbose(capsys):
    Perceptron(shuffle=False).fit(INPUTS, OR, coef_init=[1, -1])
    assert capsys.readouterr().out == ""
    Perceptron(shuffle=False, verbose=1).fit(INPUTS, OR, coef_init=[1, -1])
    lines = [f"Iteration {i}, errors = {e}" for i, e in enumerate([1, 2, 1, 0], start=1)]
    assert capsys.readouterr().out.splitlines() == lines


def test_convergence_warning():
    model = Perceptron(max_iter=4)
    with pytest.warns(ConvergenceWarning, match="Maximum number of iteration reached") as caught:
        model.fit(X3, Y3)
    (text,) = (str(warning.message) for warning in caught)
    assert "Consider increasing max_iter" in text
    assert f"The last of 4 epochs made {model.error_curve_[-1]} errors" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(X3, Y3)


# ---- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eta0", 0),
        ("eta0", -1.0),
        ("eta0", "1"),
        ("max_iter", 0),
        ("max_iter", 2.5),
        ("shuffle", 1),
        ("fit_intercept", None),
        ("warm_start", "no"),
        ("random_state", "a"),
        ("verbose", -1),
    ],
)
def test_bad_parameters(name, value):
    model = Perceptron(**{name: value})
    for fit in (model.fit, lambda X, y: model.partial_fit(X, y, classes=[0, 1, 2])):
        with pytest.raises(ValueError, match=f"The '{name}' parameter of Perceptron must be"):
            fit(X3, Y3)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (X3, np.zeros(60), "number of classes has to be greater than one; got 1 class"),
        (X3, np.linspace(0, 1, 60), "Unknown label type: continuous"),
        (X3, Y3[:-1], "inconsistent numbers of samples"),
        (X3, np.eye(3)[Y3].astype(int), "y should be a 1d array"),
        (X3[:, 0], Y3, "Expected 2D array, got 1D array"),
        (np.where(X3 == X3[5, 2], np.nan, X3), Y3, "Input X contains NaN"),
        (X3 * 1j, Y3, "Complex data not supported"),
        (X3[:0], Y3[:0], "0 sample"),
        (X3 * 1e307, Y3, "under-/overflow occurred at epoch #1"),
    ],
)
def test_bad_data(X, y, message):
    with pytest.raises(ValueError, match=message):
        Perceptron(eta0=100).fit(X, y)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("coef_init", np.zeros(7), r"does not match dataset.*\(3, 7\).*\(7,\)"),
        ("coef_init", np.zeros((3, 6)), r"does not match dataset.*\(3, 6\)"),
        ("intercept_init", 0, r"does not match dataset.*\(3,\).*\(1,\)"),
        ("intercept_init", np.zeros((3, 1)), "does not match dataset"),
        ("coef_init", np.full((3, 7), np.inf), "contains infinity"),
        ("intercept_init", [0, np.nan, 0], "contains NaN"),
        ("coef_init", np.full((3, 7), 1j), "Complex data not supported"),
        ("intercept_init", ["a", "b", "c"], "could not convert string to float"),
    ],
)
def test_bad_initial_weights(name, value, message):
    for fit, more in ((Perceptron().fit, {}), (Perceptron().partial_fit, {"classes": [0, 1, 2]})):
        with pytest.raises(ValueError, match=message):
            fit(X3, Y3, **more, **{name: value})


def test_bad_classes():
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        Perceptron().partial_fit(X3, Y3)
    with pytest.raises(ValueError, match="got 1 class"):
        Perceptron().partial_fit(X3, np.zeros(60), classes=[0])
    with pytest.raises(ValueError, match="`y` has classes not in `self.classes_`"):
        Perceptron().partial_fit(X3, Y3, classes=[0, 1])
    model = Perceptron(warm_start=True).fit(X3, Y3)
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        model.partial_fit(X3, Y3, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same"):
        model.fit(X3[:2], [0, 1])


@pytest.mark.parametrize(
    ("name", "value"), [("coef_", np.zeros((3, 6))), ("coef_", np.zeros(7)), ("intercept_", [0.0])]
)
def test_weights_of_the_wrong_shape_are_refused(name, value):
    model = Perceptron(max_iter=2).fit(X3, Y3)
    setattr(model, name, value)
    for method in (model.predict, lambda X: model.partial_fit(X, Y3)):
        with pytest.raises(ValueError, match=f"Provided {name} does not match dataset"):
            method(X3)


# ---- fits that fail or are interrupted -------------------------------------------------


def failing_learner(error, epoch):
    """A Learner that raises in the given epoch, after its work."""

    class Failing(kernel.Learner):
        n_epochs = 0

        def run_epoch(self, order):
            errors = super().run_epoch(order)
            self.n_epochs += 1
            if self.n_epochs == epoch:
                raise error
            return errors

    return Failing


@pytest.mark.parametrize("how", ["fit", "warm_start", "partial_fit"])
@pytest.mark.parametrize("why", ["memory", "overflow", "labels"])
def test_failure_leaves_a_model_as_it_was(how, why, monkeypatch):
    model = Perceptron(max_iter=5, warm_start=how == "warm_start", eta0=1e10).fit(X3, Y3)
    twin, before = copy.deepcopy(model), vars(model).copy()
    fit = model.partial_fit if how == "partial_fit" else model.fit
    X = X3 * 1e300 if why == "overflow" else X3
    y = np.linspace(0, 1, 60) if why == "labels" else Y3
    error = MemoryError if why == "memory" else ValueError
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        if why == "memory":
            patch.setattr(kernel, "Learner", failing_learner(MemoryError(), 1))
        with pytest.raises(error):
            fit(X, y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert_same(model, twin)
    assert_same(model.partial_fit(X3, Y3), twin.partial_fit(X3, Y3))


@pytest.mark.parametrize("how", ["fit", "partial_fit"])
def test_failure_of_a_first_fit_leaves_nothing(how, monkeypatch):
    monkeypatch.setattr(kernel, "Learner", failing_learner(MemoryError(), 1))
    model = Perceptron()
    with pytest.raises(MemoryError):
        model.fit(X3, Y3) if how == "fit" else model.partial_fit(X3, Y3, classes=[0, 1, 2])
    assert vars(model) == model.get_params()


def test_interrupted_fit_keeps_the_steps_that_were_made(monkeypatch):
    """The steps of the interrupted epoch stay, too, but it does not count as an epoch."""
    expected = Perceptron(max_iter=4).fit(X3, Y3)
    monkeypatch.setattr(kernel, "Learner", failing_learner(KeyboardInterrupt(), 4))
    model = Perceptron(max_iter=50)
    with pytest.warns(UserWarning, match="Training interrupted by user."):
        model.fit(X3, Y3)
    assert model.n_iter_ == 3 and model.t_ == 3 * len(X3)
    assert model.error_curve_ == expected.error_curve_[:3]
    assert_weights(model, expected.coef_, expected.intercept_, atol=0)
    assert_array_equal(model.predict(X3), expected.predict(X3))


INTERRUPT = """
import json, os, signal, threading, warnings
import numpy as np
from fastnn.kernels.cpu import perceptron as kernel
from fastnn import Perceptron

rng = np.random.default_rng(0)
X = rng.standard_normal((40_000, 200))
y = rng.integers(0, 2000, 40_000)
first = y < 20
# Compiles, before the clock runs.
Perceptron(max_iter=1).fit(X[first], y[first])
plain = kernel.threads.call

def call(*args):
    kernel.threads.call = plain
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    plain(*args)

model = Perceptron().fit(X[first], y[first])
before = vars(model).copy()
kernel.threads.call = call
try:
    model.fit(X, y)
    raised = False
except KeyboardInterrupt:
    raised = True
print(json.dumps({
    "raised": raised,
    "as it was": all(vars(model)[name] is value for name, value in before.items()),
    "usable": len(model.predict(X[:9])),
    "goes on": model.partial_fit(X[first], y[first]).n_iter_,
}))
"""


@pytest.mark.slow
def test_control_c_in_the_first_epoch():
    """Not even the end of an epoch, here of some seconds, is waited for."""
    assert run_python(INTERRUPT) == {"raised": True, "as it was": True, "usable": 9, "goes on": 1}
