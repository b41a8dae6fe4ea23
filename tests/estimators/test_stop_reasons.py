"""Why a training ended, and that it ends in time."""

import time
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from common import make_problem
from fastnn import MLPRegressor
from validation import both_kinds_of_solver

# ---- why training ended, and in time ---------------------------------------------------


@both_kinds_of_solver
def test_max_time(solver):
    X, y = make_problem("regression", n_samples=2000)
    settings = dict(hidden_layer_sizes=(200,), solver=solver, random_state=0, tol=0)
    MLPRegressor(**settings, max_iter=1).fit(X, y)
    model = MLPRegressor(**settings, max_iter=10**6, max_time=0.2)
    if solver == "adam":
        model.set_params(n_iter_no_change=np.inf)
    begin = time.perf_counter()
    with pytest.warns(ConvergenceWarning, match=r"Maximum time \(max_time=0.2 seconds\) reached"):
        model.fit(X, y)
    assert model.stop_reason_ == "Reached max_time=0.2 seconds."
    assert 1 <= model.n_iter_ < 10**6
    assert time.perf_counter() - begin < 30
    assert np.isfinite(model.score(X, y))


def test_time_ends_an_epoch_early():
    """At least a mini-batch is trained on, and what was done counts."""
    X, y = make_problem("regression", n_samples=20_000)
    model = MLPRegressor(
        hidden_layer_sizes=(200, 200), batch_size=10, max_time=1e-9, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="Maximum time"):
        model.fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == 1
    assert 10 <= model.t_ < 20_000 and model.t_ % 10 == 0
    assert np.isfinite(model.loss_)


@both_kinds_of_solver
def test_stop_reasons(solver):
    X, y = make_problem("regression")
    with pytest.warns(ConvergenceWarning):
        model = MLPRegressor(solver=solver, max_iter=2, random_state=0).fit(X, y)
    assert ("Reached max_iter=2." if solver == "adam" else "ITERATIONS") in model.stop_reason_
    if solver == "lbfgs":
        model = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", random_state=0).fit(X, y)
        assert model.stop_reason_.startswith("CONVERGENCE")
        assert len(model.loss_curve_) == model.n_iter_
        assert model.loss_curve_[-1] == model.loss_ == model.best_loss_


@pytest.mark.parametrize("learning_rate", ["cosine", "one_cycle", lambda progress: 1 - progress])
def test_the_end_of_a_schedule_is_no_failure(learning_rate):
    X, y = make_problem("regression")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MLPRegressor(learning_rate=learning_rate, max_iter=3, random_state=0).fit(X, y)
    assert model.stop_reason_ == "Reached max_iter=3."


def test_stop_reason_of_the_adaptive_rate():
    X, y = make_problem("regression")
    model = MLPRegressor(
        solver="sgd",
        learning_rate="adaptive",
        learning_rate_init=1e-5,
        tol=10.0,
        n_iter_no_change=1,
        random_state=0,
    ).fit(X, y)
    assert model.stop_reason_.endswith("consecutive epochs. Learning rate too small.")
