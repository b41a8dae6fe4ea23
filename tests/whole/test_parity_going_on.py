"""Trainings that go on, by warm_start or partial_fit, follow scikit-learn's step by step."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from common import (
    PEER_PROBLEMS,
    estimator_for,
    make_problem,
    needs_sklearn,
    sample_weights,
    scikit_learn_twin,
)
from parity import (
    LBFGS,
    NETWORK,
    SOLVERS,
    _one_blas_thread,  # noqa: F401
    assert_equal_or_close,
    assert_parity,
    assert_same_attributes,
    assert_same_network,
    batch_may_be_clipped,
    dense_or_sparse,
    fit_both,
)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("problem", PEER_PROBLEMS)
def test_warm_start(solver, problem):
    X, y = make_problem(problem)
    params = dict(solver=solver, hidden_layer_sizes=(9, 5), random_state=3, warm_start=True)
    if solver != "lbfgs":
        params |= dict(learning_rate_init=0.005, batch_size=16)
    ours, theirs = fit_both(estimator_for(problem, max_iter=5, **params), X, y)
    for max_iter in (3, 6):
        for estimator in (ours, theirs):
            estimator.set_params(max_iter=max_iter).fit(X[::-1], y[::-1])
        if solver != "lbfgs":
            assert_parity(ours, theirs, X)
        assert_same_network(ours, theirs)
        assert_same_attributes(ours, theirs)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_lbfgs_ignores_early_stopping(problem, warm_start):
    """Nothing is split off, and no draw is made for it."""
    X, y = make_problem(problem)
    params = {**LBFGS, "hidden_layer_sizes": (9, 5), "alpha": 0.01, "max_iter": 8}
    params |= dict(early_stopping=True, n_iter_no_change=1, warm_start=warm_start)
    ours = estimator_for(problem, **params).set_params(random_state=np.random.RandomState(3))
    ours, theirs = fit_both(ours, X, y)
    for _ in range(2):
        assert_allclose(ours.loss_, theirs.loss_, rtol=1e-9)
        assert_same_network(ours, theirs)
        assert_same_attributes(ours, theirs)
        assert ours.validation_scores_ is ours.best_validation_score_ is ours.best_epoch_ is None
        assert ours.best_loss_ == ours.loss_curve_[-1]
        ours.fit(X, y)
        theirs.fit(X, y)


def calls_with_early_stopping(problem, n_calls, **params):
    """Warm-started fits; after each that both agree. Returns whether it found better weights."""
    X, y = make_problem(problem, n_samples=120)
    ours = estimator_for(
        problem, **NETWORK, early_stopping=True, validation_fraction=0.3, warm_start=True, **params
    )
    theirs = scikit_learn_twin(ours)
    found, best = [], -np.inf
    for _ in range(n_calls):
        ours.fit(X, y)
        theirs.fit(X, y)
        assert_same_network(ours, theirs, atol=1e-9)
        assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-9)
        assert_same_attributes(ours, theirs, rtol=1e-9)
        assert ours._no_improvement_count == theirs._no_improvement_count
        best_epoch = np.argmax(theirs.validation_scores_) + 1
        assert ours.best_epoch_ == best_epoch
        found.append(theirs.best_validation_score_ > best)
        best = theirs.best_validation_score_
    return found


@pytest.mark.parametrize("max_iter", [1, 3])
@pytest.mark.parametrize(
    "params",
    [
        dict(learning_rate_init=1e-4),
        dict(learning_rate_init=1e-3),
        dict(learning_rate_init=1e-2),
        dict(learning_rate_init=0.05, n_iter_no_change=1),
        dict(solver="sgd", learning_rate_init=0.05),
        dict(solver="sgd", learning_rate_init=0.1, learning_rate="invscaling"),
        dict(
            solver="sgd",
            learning_rate_init=0.1,
            learning_rate="adaptive",
            n_iter_no_change=1,
            tol=0.1,
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_warm_start_with_early_stopping(problem, params, max_iter):
    """A call that finds nothing better ends with its last weights, the next goes on from these."""
    calls_with_early_stopping(problem, 8, max_iter=max_iter, **params)


@pytest.mark.parametrize(
    ("problem", "rate"), [("binary", 0.005), ("multiclass", 0.01), ("regression", 0.02)]
)
def test_warm_started_calls_find_better_weights_after_some_that_do_not(problem, rate):
    found = calls_with_early_stopping(problem, 8, max_iter=1, learning_rate_init=rate)
    assert found.index(False) < len(found) - 1 - found[::-1].index(True)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@needs_sklearn("1.7")
def test_warm_start_of_another_activation(solver):
    """The best loss of all calls counts, whatever the network."""
    X, y = make_problem("regression")
    params = {**NETWORK, "solver": solver, "max_iter": 20, "tol": 0.05, "n_iter_no_change": 3}
    ours, theirs = fit_both(estimator_for("regression", warm_start=True, **params), X, y)
    for activation in ("tanh", "relu"):
        for estimator in (ours, theirs):
            estimator.set_params(activation=activation).fit(X, y)
        assert_parity(ours, theirs, X)
        assert_same_attributes(ours, theirs)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_warm_start_after_one_by_lbfgs(solver, early_stopping):
    """The iterations of lbfgs are no epochs that later ones have to beat."""
    X, y = make_problem("regression", n_samples=120)
    params = {**NETWORK, "solver": solver, "max_iter": 20, "tol": 1e-3, "n_iter_no_change": 2}
    ours = estimator_for("regression", early_stopping=early_stopping, warm_start=True, **params)
    ours, theirs = fit_both(ours, X, y)
    for name, max_iter in (("lbfgs", 5), (solver, 20)):
        for estimator in (ours, theirs):
            estimator.set_params(solver=name, max_iter=max_iter).fit(X, y)
        assert_same_network(ours, theirs)
        assert ours.n_iter_ == theirs.n_iter_
        assert ours._no_improvement_count == theirs._no_improvement_count
        assert_equal_or_close(ours.best_loss_, theirs.best_loss_)
        assert_equal_or_close(ours.best_validation_score_, theirs.best_validation_score_)
    if early_stopping:
        assert len(ours.validation_scores_) == len(ours.loss_curve_)
        scores = np.array(ours.validation_scores_)
        assert_allclose(scores[np.isfinite(scores)], theirs.validation_scores_, rtol=1e-6)


@pytest.mark.parametrize("learning_rate", ["invscaling", "adaptive"])
def test_adam_has_no_schedule_in_partial_fit(learning_rate):
    X, y = make_problem("multiclass")
    ours = estimator_for("multiclass", learning_rate=learning_rate, power_t=2.0, **NETWORK)
    theirs = scikit_learn_twin(ours)
    for _ in range(4):
        ours.partial_fit(X, y, classes=np.arange(4))
        theirs.partial_fit(X, y, classes=np.arange(4))
    assert_parity(ours, theirs, X)
    assert_allclose(ours._optimizer.learning_rate, theirs._optimizer.learning_rate)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("problem", PEER_PROBLEMS)
@dense_or_sparse
@batch_may_be_clipped
@needs_sklearn("1.7")
def test_partial_fit(solver, problem, is_sparse):
    """Chunks of different sizes, weighted and not, then on from there."""
    X, y = make_problem(problem, n_samples=90, is_sparse=is_sparse)
    params = {**NETWORK, **SOLVERS[solver], "learning_rate_init": 0.005}
    ours = estimator_for(problem, **params)
    theirs = scikit_learn_twin(ours)
    classes = {}
    if hasattr(ours, "predict_proba"):
        classes = {"classes": np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)}
    for start, stop in [(0, 20), (20, 27), (27, 90), (0, 90), (5, 6), (0, 90)]:
        chunk = slice(start, stop)
        weight = sample_weights(stop - start) if start else None
        for estimator in (ours, theirs):
            estimator.partial_fit(X[chunk], y[chunk], sample_weight=weight, **classes)
        classes = {}
        assert_parity(ours, theirs, X)
    assert_same_attributes(ours, theirs)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("problem", ["binary", "multiclass", "multioutput"])
def test_partial_fit_after_fit_and_fit_after_partial_fit(solver, problem):
    X, y = make_problem(problem)
    params = {**NETWORK, **SOLVERS[solver], "max_iter": 4, "learning_rate_init": 0.01}
    ours, theirs = fit_both(estimator_for(problem, **params), X, y)
    for _ in range(3):
        ours.partial_fit(X[:30], y[:30])
        theirs.partial_fit(X[:30], y[:30])
        assert_parity(ours, theirs, X)
    ours.fit(X, y)
    theirs.fit(X, y)
    assert_parity(ours, theirs, X)
    assert_same_attributes(ours, theirs)
