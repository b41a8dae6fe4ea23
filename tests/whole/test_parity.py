"""From the same random_state, fastnn follows scikit-learn's training step by step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from common import (
    ACTIVATIONS,
    ESTIMATORS,
    PEER_PROBLEMS,
    PROBLEMS,
    as_array,
    estimator_for,
    make_problem,
    needs_sklearn,
    predictions,
    sample_weights,
    scikit_learn_twin,
)
from parity import (
    EPOCHS,
    LBFGS,
    NETWORK,
    SOLVERS,
    _one_blas_thread,  # noqa: F401
    assert_parity,
    assert_same_attributes,
    assert_same_network,
    assert_same_predictions,
    batch_may_be_clipped,
    dense_or_sparse,
    every_kind,
    fit_both,
)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("problem", PEER_PROBLEMS)
@every_kind
@pytest.mark.filterwarnings("ignore:divide by zero encountered in log")  # scikit-learn's
def test_stochastic_training(activation, solver, problem, is_sparse, weighted):
    X, y = make_problem(problem, is_sparse=is_sparse)
    weight = sample_weights(len(y)) if weighted else None
    params = {**NETWORK, **EPOCHS, **SOLVERS[solver], "activation": activation}
    if problem == "poisson":
        params["learning_rate_init"] /= 4
    ours, theirs = fit_both(estimator_for(problem, **params), X, y, weight)
    assert len(theirs.loss_curve_) == 50
    assert theirs.loss_curve_[-1] < theirs.loss_curve_[0]  # it does train
    assert_parity(ours, theirs, X)
    if solver == "adaptive":
        assert theirs._optimizer.learning_rate < params["learning_rate_init"] / 20


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("problem", PEER_PROBLEMS)
@every_kind
def test_lbfgs(activation, problem, is_sparse, weighted):
    X, y = make_problem(problem, is_sparse=is_sparse)
    weight = sample_weights(len(y)) if weighted else None
    estimator = estimator_for(problem, activation=activation, max_iter=60, **LBFGS)
    ours, theirs = fit_both(estimator, X, y, weight)
    assert abs(ours.loss_ - theirs.loss_) <= 1e-6
    assert_same_predictions(ours, theirs, X, rtol=1e-3)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh"])
@pytest.mark.parametrize("problem", PEER_PROBLEMS)
def test_lbfgs_converged(activation, problem):
    X, y = make_problem(problem)
    params = {**LBFGS, "alpha": 5.0, "max_iter": 500}
    ours, theirs = fit_both(estimator_for(problem, activation=activation, **params), X, y)
    assert theirs.n_iter_ < 500 and ours.n_iter_ < 500
    assert abs(ours.loss_ - theirs.loss_) <= 1e-6


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("problem", PEER_PROBLEMS)
def test_lbfgs_first_iterations(activation, problem):
    X, y = make_problem(problem)
    params = {**LBFGS, "hidden_layer_sizes": (9, 5), "alpha": 0.01, "max_iter": 8}
    ours, theirs = fit_both(estimator_for(problem, activation=activation, **params), X, y)
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-9)
    assert_same_network(ours, theirs)
    assert_same_predictions(ours, theirs, X)
    assert_same_attributes(ours, theirs)


@pytest.mark.parametrize(
    "params",
    [
        dict(solver="sgd", learning_rate="invscaling", power_t=0.2),
        dict(solver="sgd", learning_rate="invscaling", batch_size=57),
        dict(solver="sgd", momentum=0.0),
        dict(solver="sgd", momentum=0.5, alpha=0.0),
        dict(solver="sgd", learning_rate_init=np.float32(0.05)),
        dict(beta_1=0.5, beta_2=0.9, epsilon=1e-3),
        dict(beta_1=0.0, beta_2=0.0),
        dict(shuffle=False),
        dict(shuffle=False, solver="sgd"),
        dict(batch_size=1),
        dict(batch_size=19),
        dict(batch_size=57),
        dict(batch_size=56),
        dict(batch_size="auto"),
        dict(hidden_layer_sizes=33),
        dict(hidden_layer_sizes=[4, 8, 6]),
        dict(hidden_layer_sizes=np.array([17, 3])),
        dict(hidden_layer_sizes=()),
        dict(hidden_layer_sizes=(1,)),
        dict(random_state=np.random.RandomState(8)),
        dict(alpha=10.0),
        dict(tol=0.02, n_iter_no_change=3),
        dict(tol=0.02, n_iter_no_change=3, learning_rate="adaptive", solver="sgd"),
        dict(n_iter_no_change=np.inf, tol=1e9),
        dict(early_stopping=True, validation_fraction=0.3),
        dict(early_stopping=True, n_iter_no_change=2, tol=0.01),
        dict(early_stopping=True, solver="sgd", learning_rate="adaptive", n_iter_no_change=2),
        dict(early_stopping=True, shuffle=False, batch_size=7),
        # adam has no schedule.
        dict(learning_rate="invscaling", power_t=2.0),
        dict(learning_rate="adaptive", tol=0.02, n_iter_no_change=3),
        dict(learning_rate="adaptive", early_stopping=True, n_iter_no_change=2),
    ],
    ids=lambda params: ",".join(f"{k}={v}" for k, v in params.items())[:60],
)
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_parameters(problem, params):
    """Every parameter does what it does in scikit-learn; attributes agree, too."""
    X, y = make_problem(problem)
    params = {**NETWORK, "learning_rate_init": 0.01, "max_iter": 50, **params}
    ours, theirs = fit_both(estimator_for(problem, **params), X, y)
    assert theirs.n_iter_ >= 4
    assert_parity(ours, theirs, X)
    assert_same_attributes(ours, theirs)
    assert_allclose(ours.score(X, y), theirs.score(X, y), rtol=1e-6)


@pytest.mark.parametrize("problem", PEER_PROBLEMS)
@every_kind
def test_early_stopping(problem, is_sparse, weighted):
    X, y = make_problem(problem, n_samples=120, is_sparse=is_sparse)
    weight = sample_weights(len(y)) if weighted else None
    params = dict(early_stopping=True, validation_fraction=0.25, n_iter_no_change=5)
    params = {**NETWORK, "learning_rate_init": 0.02, "max_iter": 50, **params}
    ours, theirs = fit_both(estimator_for(problem, **params), X, y, weight)
    assert_parity(ours, theirs, X)
    assert_same_attributes(ours, theirs)
    assert ours.best_validation_score_ == max(ours.validation_scores_)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@needs_sklearn("1.7")
def test_negative_targets_of_a_poisson_loss(solver, early_stopping):
    """The loss is NaN, its gradient is not, and such an epoch is none without improvement."""
    X, y = make_problem("poisson")
    y[7] = -0.5
    params = {**NETWORK, "solver": solver, "learning_rate_init": 0.005, "max_iter": 20}
    params |= dict(early_stopping=early_stopping, tol=0.1, n_iter_no_change=2)
    ours, theirs = fit_both(estimator_for("poisson", **params), X, y)
    assert np.isnan(theirs.loss_)
    assert_same_network(ours, theirs)
    assert_same_attributes(ours, theirs)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_scores_that_are_all_NaN(solver):
    """R² of targets whose squares overflow is NaN; scikit-learn keeps what training began with."""
    X, y = make_problem("regression")
    ours = estimator_for("regression", early_stopping=True, max_iter=5, solver=solver, **NETWORK)
    with np.errstate(all="ignore"):
        ours, theirs = fit_both(ours, X, y * 1e170)
    assert_same_network(ours, theirs)
    if solver == "adam":
        assert np.isnan(theirs.validation_scores_).all() and theirs.n_iter_ == 5
        assert_same_attributes(ours, theirs)


@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_random_state_is_drawn_from_as_often(params):
    """A RandomState that is passed in is left where scikit-learn leaves it."""
    X, y = make_problem("multiclass")
    ours = estimator_for("multiclass", random_state=np.random.RandomState(5), max_iter=3)
    ours.set_params(**params)
    ours, theirs = fit_both(ours, X, y)
    assert ours.random_state.randint(2**31) == theirs.random_state.randint(2**31)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("problem", PEER_PROBLEMS)
@dense_or_sparse
def test_float32(activation, problem, is_sparse):
    """float32 input trains in float32, as in scikit-learn, to float32's accuracy."""
    X, y = make_problem(problem, is_sparse=is_sparse)
    params = {**NETWORK, "max_iter": 10, "learning_rate_init": 0.005}
    ours, theirs = fit_both(
        estimator_for(problem, activation=activation, **params), X.astype(np.float32), y
    )
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-4)
    assert_same_network(ours, theirs, atol=1e-4)
    actual, expected = (
        predictions(ours, X.astype(np.float32)),
        predictions(theirs, X.astype(np.float32)),
    )
    for method, value in expected.items():
        assert actual[method].dtype == value.dtype
        if method != "predict" or not hasattr(theirs, "classes_"):
            assert_allclose(actual[method], value, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("problem", PEER_PROBLEMS)
def test_float32_lbfgs(problem):
    """L-BFGS on float32 input ends in float64, as in scikit-learn."""
    X, y = make_problem(problem)
    params = {**LBFGS, "max_iter": 5, "activation": "tanh"}
    ours, theirs = fit_both(estimator_for(problem, **params), X.astype(np.float32), y)
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-5)
    assert_same_network(ours, theirs, atol=1e-3)
    assert_same_predictions(ours, theirs, X.astype(np.float32), rtol=1e-2)


@st.composite
def trainings(draw):
    """Any small problem, network and way to train it."""
    size = st.integers(1, 40)
    problem = draw(st.sampled_from(PROBLEMS))
    data = dict(
        n_samples=draw(st.integers(8, 40)),
        n_features=draw(size),
        is_sparse=draw(st.booleans()),
        seed=draw(st.integers(0, 99)),
    )
    params = dict(
        hidden_layer_sizes=draw(st.lists(size, max_size=3)),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        learning_rate_init=1e-3,
        batch_size=draw(st.integers(1, 40)),
        alpha=draw(st.sampled_from([0.0, 1e-4, 0.3])),
        shuffle=draw(st.booleans()),
        max_iter=3,
        random_state=draw(st.integers(0, 99)),
    )
    if draw(st.booleans()):
        params["solver"] = "sgd"
        params["nesterovs_momentum"] = draw(st.booleans())
        params["learning_rate"] = draw(st.sampled_from(["constant", "invscaling"]))
    return problem, data, params, draw(st.booleans())


@needs_sklearn("1.7")
@given(trainings())
@batch_may_be_clipped
def test_any_shape(training):
    """Widths and batches that fill no register tile, one-unit layers, no hidden layer."""
    problem, data, params, weighted = training
    X, y = make_problem(problem, **data)
    weight = sample_weights(len(y)) if weighted else None
    ours, theirs = fit_both(estimator_for(problem, **params), X, y, weight)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9, atol=0)
    assert_same_network(ours, theirs)


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_methods_and_tags(Estimator):
    """Every public method and every tag of scikit-learn's."""
    theirs = scikit_learn_twin(Estimator())
    for name in dir(theirs):
        if not name.startswith("_"):
            assert hasattr(Estimator(), name), name
    assert Estimator().__sklearn_tags__() == theirs.__sklearn_tags__()


def test_dense_and_sparse_agree():
    X, y = make_problem("multiclass", is_sparse=True)
    params = {**NETWORK, "max_iter": 20}
    sparse_fit = estimator_for("multiclass", **params).fit(X, y)
    dense_fit = estimator_for("multiclass", **params).fit(as_array(X), y)
    assert_same_network(sparse_fit, dense_fit, atol=1e-10)
    for fitted in (sparse_fit, dense_fit):
        assert_allclose(fitted.predict_proba(X), fitted.predict_proba(as_array(X)), rtol=1e-9)
