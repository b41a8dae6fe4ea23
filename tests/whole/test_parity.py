"""From the same random_state, fastnn follows scikit-learn's training step by step."""

import re
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from common import (
    ACTIVATIONS,
    ESTIMATORS,
    PEER_PROBLEMS,
    PROBLEMS,
    as_array,
    estimator_for,
    fit_twin,
    fitted_attributes,
    make_problem,
    needs_sklearn,
    predictions,
    sample_weights,
    scikit_learn_twin,
)

SOLVERS = {
    "sgd": dict(solver="sgd", nesterovs_momentum=False, learning_rate_init=0.02),
    "nesterov": dict(solver="sgd", nesterovs_momentum=True, learning_rate_init=0.02),
    # Loose enough that the rate is divided several times in 50 epochs.
    "adaptive": dict(
        solver="sgd",
        learning_rate="adaptive",
        learning_rate_init=0.02,
        tol=0.1,
        n_iter_no_change=8,
    ),
    "adam": dict(solver="adam", learning_rate_init=0.01),
}
# 57 samples in batches of 16: the last batch of an epoch is short.
NETWORK = dict(hidden_layer_sizes=(9, 5), batch_size=16, alpha=0.01, random_state=3)
EPOCHS = dict(max_iter=50, tol=0.0, n_iter_no_change=1000)

dense_or_sparse = pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
# All four kinds of data, two of them in a full run only.
every_kind = pytest.mark.parametrize(
    "is_sparse, weighted",
    [
        pytest.param(False, False, id="dense-unweighted"),
        pytest.param(True, True, id="sparse-weighted", marks=needs_sklearn("1.7")),
        pytest.param(
            False, True, id="dense-weighted", marks=[pytest.mark.slow, needs_sklearn("1.7")]
        ),
        pytest.param(True, False, id="sparse-unweighted", marks=pytest.mark.slow),
    ],
)
batch_may_be_clipped = pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1")


@pytest.fixture(scope="module", autouse=True)
def _one_blas_thread():
    """Problems as small as these only lose by more, most of all on a busy machine."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def fit_both(ours, X, y, sample_weight=None):
    """Fit ours and scikit-learn's twin of it on the same data."""
    theirs = fit_twin(ours, X, y, sample_weight)
    return ours.fit(X, y, sample_weight=sample_weight), theirs


def assert_parity(ours, theirs, X):
    """Loss curve, weights and predictions agree to the promised tolerances."""
    curve, expected = ours.loss_curve_, theirs.loss_curve_
    assert len(curve) == len(expected)
    assert_allclose(curve[:5], expected[:5], rtol=1e-9, atol=0)
    assert_allclose(curve, expected, rtol=1e-6, atol=0)
    assert_same_network(ours, theirs)
    assert_same_predictions(ours, theirs, X)


def assert_same_network(ours, theirs, atol=1e-6):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert a.dtype == b.dtype
            assert_allclose(a, b, rtol=0, atol=atol)


def assert_same_predictions(ours, theirs, X, rtol=1e-5):
    actual, expected = predictions(ours, X), predictions(theirs, X)
    assert actual.keys() == expected.keys()
    for method, value in expected.items():
        assert actual[method].dtype == value.dtype
        if method == "predict" and hasattr(theirs, "classes_"):
            assert_array_equal(actual[method], value)
        elif method == "predict_log_proba":
            # Where p is near the roundoff of 1, the logarithms of roundings differ.
            sound = expected["predict_proba"] > 1e-8
            assert_allclose(actual[method][sound], value[sound], rtol=rtol, atol=rtol)
        else:
            assert_allclose(actual[method], value, rtol=rtol, atol=rtol)


def assert_same_attributes(ours, theirs, rtol=1e-6):
    """Every public attribute of scikit-learn's exists, with the same type and value."""
    actual, expected = fitted_attributes(ours), fitted_attributes(theirs)
    assert expected.keys() <= actual.keys()
    for name, value in expected.items():
        if name in ("coefs_", "intercepts_"):
            continue  # compared with a tolerance of their own
        if isinstance(value, (str, np.ndarray)) or value is None:
            assert_array_equal(actual[name], value, err_msg=name)
        else:
            assert isinstance(actual[name], type(value))
            assert_allclose(actual[name], value, rtol=rtol, err_msg=name)


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


# Strong L2 and one hidden layer: two runs that differ by roundoff stay together for
# more iterations than are asked for here (with relu no such problem stays so for ever).
LBFGS = dict(solver="lbfgs", hidden_layer_sizes=(6,), alpha=3.0, tol=1e-7, random_state=3)


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
            solver="sgd", learning_rate_init=0.1, learning_rate="adaptive", n_iter_no_change=1,
            tol=0.1,
        ),
    ],
    ids=str,
)  # fmt: skip
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


def assert_equal_or_close(actual, expected):
    if expected is None:
        assert actual is None
    else:
        assert_allclose(actual, expected, rtol=1e-6)


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


def messages(estimator, *args, **kwargs):
    """Category and text of the warnings that a fit issues."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(*args, **kwargs)
    return [(w.category, str(w.message)) for w in caught]


@pytest.mark.parametrize(
    "params",
    [
        dict(max_iter=2),
        dict(max_iter=2, batch_size=500),
        dict(max_iter=500, tol=0.5, n_iter_no_change=1),
        # Patience ends in the very last epoch, and in the one after it.
        dict(max_iter=3, tol=1e9, n_iter_no_change=1),
        dict(max_iter=2, tol=1e9, n_iter_no_change=1),
        dict(max_iter=4, tol=1e9, n_iter_no_change=1, early_stopping=True),
        # Before 1.7 it warns in other words, and SciPy of the options that it is given.
        pytest.param(dict(solver="lbfgs", max_iter=2, random_state=0), marks=needs_sklearn("1.7")),
        pytest.param(dict(solver="lbfgs", max_fun=3, random_state=0), marks=needs_sklearn("1.7")),
    ],
)
@pytest.mark.parametrize("column", [False, True], ids=["1d", "column"])
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_warnings(problem, params, column):
    """The same warnings: not converged, batch size clipped, y a column."""
    X, y = make_problem(problem)
    y = y[:, None] if column else y
    ours = estimator_for(problem, **params)
    assert messages(ours, X, y) == messages(scikit_learn_twin(ours), X, y)


STOPS = dict(tol=0.5, n_iter_no_change=1, max_iter=8)
VERBOSE = {
    "epochs": dict(max_iter=4),
    "no shuffling": dict(max_iter=4, shuffle=False, solver="sgd"),
    "stops": dict(max_iter=200, tol=0.05, n_iter_no_change=2),
    "validation": dict(max_iter=4, early_stopping=True),
    "validation stops": dict(STOPS, early_stopping=True),
    "adaptive": dict(STOPS, max_iter=30, solver="sgd", learning_rate="adaptive"),
    "adaptive, validation": dict(
        STOPS, max_iter=30, solver="sgd", learning_rate="adaptive", early_stopping=True
    ),
    "invscaling": dict(STOPS, solver="sgd", learning_rate="invscaling"),
    "lbfgs": dict(max_iter=4, solver="lbfgs"),
    "lbfgs, early stopping": dict(max_iter=4, solver="lbfgs", early_stopping=True),
    "warm start": dict(STOPS, warm_start=True),
    "warm start, validation": dict(STOPS, warm_start=True, early_stopping=True),
}


@pytest.mark.parametrize("verbose", [True, 1, 7])
@pytest.mark.parametrize("params", VERBOSE.values(), ids=VERBOSE)
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
@pytest.mark.filterwarnings("ignore:The `disp` and `iprint`:DeprecationWarning")
def test_verbose(problem, params, verbose, capfd):
    """The same lines, with the same numbers to roundoff; what SciPy prints, too."""
    X, y = make_problem(problem)
    ours = estimator_for(problem, random_state=0, verbose=verbose, **params)
    twin = scikit_learn_twin(ours)
    assert_prints_as(ours.fit, twin.fit, capfd, X, y)
    # Another one from scratch, or with what it has come to.
    assert_prints_as(ours.fit, twin.fit, capfd, X, y)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_verbose_partial_fit(problem, solver, capfd):
    """A line a call; once it has been out of patience, what is said of it, too."""
    X, y = make_problem(problem)
    params = dict(STOPS, solver=solver, random_state=0, verbose=True)
    params |= {"learning_rate": "adaptive"} if solver == "sgd" else {}
    ours = estimator_for(problem, **params)
    twin = scikit_learn_twin(ours)
    classes = {"classes": np.unique(y)} if problem == "multiclass" else {}
    for _ in range(8):
        assert_prints_as(ours.partial_fit, twin.partial_fit, capfd, X, y, **classes)


def assert_prints_as(ours, theirs, capfd, *args, **kwargs):
    number = r"\d+\.\d+"
    printed = []
    for call in (ours, theirs):
        call(*args, **kwargs)
        printed.append(capfd.readouterr().out)
    actual, expected = printed
    assert re.sub(number, "#", actual) == re.sub(number, "#", expected)
    values = [[float(v) for v in re.findall(number, text)] for text in printed]
    assert_allclose(*values, atol=2e-8)


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
