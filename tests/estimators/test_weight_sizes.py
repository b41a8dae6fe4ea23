"""Sample weights of any size and sign: their mean is what counts, as in scikit-learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from common import (
    PEER_PROBLEMS,
    estimator_for,
    fit_twin,
    make_problem,
    needs_sklearn,
    sample_weights,
)
from fastnn.estimators import preparation

SMALL = dict(hidden_layer_sizes=(5,), max_iter=8, batch_size=10, random_state=0)


def fitted(problem, weights, *, dtype="float64", **params):
    X, y = make_problem(problem, n_samples=len(weights))
    model = estimator_for(problem, dtype=dtype, **SMALL | params)
    return model.fit(X, y, sample_weight=weights)


def assert_like_twin(problem, weights, rtol=1e-6, **params):
    X, y = make_problem(problem)
    model = fitted(problem, weights, **params)
    theirs = fit_twin(model, X, y, weights)
    for ours, other in zip(model.coefs_, theirs.coefs_, strict=True):
        assert_allclose(ours, other, rtol=rtol, atol=rtol)
    assert_allclose(model.loss_, theirs.loss_, rtol=rtol)


@needs_sklearn("1.7")
@pytest.mark.parametrize("size", [1e-300, 1e-308, 1e-310, 1e300])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("problem", PEER_PROBLEMS)
def test_weights_of_any_size(problem, solver, size):
    """Without a penalty; the sum of a mini-batch's weights has no inverse below 6e-309."""
    weights = size * sample_weights(57)
    assert_like_twin(problem, weights, rtol=1e-5, solver=solver, alpha=0.0)


@needs_sklearn("1.7")
@pytest.mark.parametrize("size", [1e-300, 1e-310])
def test_a_penalty_beside_tiny_weights(size):
    """The penalty is divided by the sum as well, and here outweighs the data."""
    assert_like_twin("regression", size * sample_weights(57), solver="adam", alpha=1e-4)
    # A penalty as tiny as they are.
    assert_like_twin("regression", size * sample_weights(57), solver="sgd", alpha=0.01 * size)


@needs_sklearn("1.7")
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_tiny_weights_in_some_mini_batches(solver):
    weights = sample_weights(57)
    weights[[3, 8, 40]] = 0
    weights[10:20] *= 1e-310
    weights[20:30] *= 1e-200
    weights[30:40] *= 1e200
    weights[45] = 1e-310
    assert_like_twin("multiclass", weights, solver=solver, shuffle=False, alpha=0.0)
    assert_like_twin("regression", weights, solver=solver, shuffle=False, alpha=1e-311)


EXTRAS = {
    "L1": {"l1_ratio": 0.5},
    "clipping": {"max_grad_norm": 0.1},
    "batch norm": {"batch_norm": True},
    "dropout": {"dropout": 0.5},
    "prelu": {"activation": "prelu"},
    "average": {"weight_average": 0.9},
    "lbfgs": {"solver": "lbfgs"},
    "adamw": {"solver": "adamw"},
    "muon": {"solver": "muon"},
    "mini-batches in parts": {"batch_size": 400},
}


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS.keys())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("power", [-1070, -500, -140, 90, 400, 1020])
def test_a_power_of_two_changes_no_bit(power, dtype, extra):
    """Weights, and the penalty beside them, times a power of two: also where sums overflow."""
    weights = np.arange(float(extra.get("batch_size", 57))) % 8
    alpha = 0.0 if power == -1070 else 2.0**-7
    model = fitted("regression", weights, dtype=dtype, alpha=alpha, **extra)
    scaled = weights * 2.0**power
    assert np.isfinite(scaled).all() and (scaled > 0).sum() == (weights > 0).sum()
    # A decoupled decay is no part of the loss that the weights are in.
    is_decoupled = extra.get("solver") in ("adamw", "muon")
    alpha = alpha if is_decoupled else alpha * 2.0**power
    other = fitted("regression", scaled, dtype=dtype, alpha=alpha, **extra)
    assert_array_equal(model._trained.params, other._trained.params)
    assert model.loss_curve_ == other.loss_curve_


@pytest.mark.parametrize("size", [1e-300, 1e-50, 1e45, 1e300])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_beyond_the_precision_of_the_network(size, method):
    """Weights that are zero or infinite in float32 train as in float64."""
    X, y = make_problem("regression")
    weights = size * sample_weights(len(y))
    params = SMALL | dict(alpha=0.0, solver="sgd")
    models = [
        getattr(estimator_for("regression", dtype=dtype, **params), method)(X, y, weights)
        for dtype in ("float32", "float64")
    ]
    assert_allclose(models[0].coefs_[0], models[1].coefs_[0], rtol=1e-3, atol=1e-4)
    assert_allclose(models[0].loss_, models[1].loss_, rtol=1e-4)


@needs_sklearn("1.7")
def test_data_in_float32_and_weights_beyond_it():
    """scikit-learn's weights stay in float64."""
    X, y = make_problem("regression")
    weights = 1e-60 * sample_weights(len(y))
    model = estimator_for("regression", alpha=0.0, **SMALL).fit(X.astype(np.float32), y, weights)
    theirs = fit_twin(model, X.astype(np.float32), y, weights)
    assert model.coefs_[0].dtype == theirs.coefs_[0].dtype == np.float32
    assert_allclose(model.coefs_[0], theirs.coefs_[0], rtol=1e-3, atol=1e-4)


def signed(monkeypatch):
    """Let negative weights reach the core."""
    monkeypatch.setattr(preparation, "check_sample_weight", lambda weights, *rest: weights)


@needs_sklearn("1.7")
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("weights", ["some negative", "sum negative", "sum almost zero"])
def test_negative_weights(weights, solver, monkeypatch):
    """The weighted mean is divided by the sum of the weights, whatever its sign."""
    signed(monkeypatch)
    values = sample_weights(57)
    if weights == "some negative":
        values[::7] *= -1
    elif weights == "sum negative":
        values *= -1
        values[::7] *= -1
    else:
        values[1::2] *= -1
        values[-1] += 1e-3 - values.sum()
    params = dict(solver=solver, max_iter=3, batch_size=57, learning_rate_init=1e-5)
    assert_like_twin("multiclass", values, rtol=1e-5, **params)


def test_weights_that_cancel_in_float32(monkeypatch):
    """Their sum is that of the weights given, not of what is left of them in float32."""
    signed(monkeypatch)
    weights = np.ones(57)
    weights[1::2] = -1 - 1e-9
    weights[-1] = 1 + 1e-6
    models = [
        fitted(
            "regression",
            weights,
            dtype=dtype,
            solver="sgd",
            max_iter=1,
            batch_size=57,
            learning_rate_init=1e-9,
        )
        for dtype in ("float32", "float64")
    ]
    assert_allclose(models[0].loss_, models[1].loss_, rtol=1e-5)


@needs_sklearn("1.7")
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_weights_that_sum_to_zero(solver, monkeypatch):
    """No mean: scikit-learn's error for all the data; a mini-batch of such weights is skipped."""
    signed(monkeypatch)
    X, y = make_problem("regression", n_samples=40)
    weights = np.tile([1.0, -1.0], 20)
    model = estimator_for("regression", **SMALL | dict(solver=solver))
    with pytest.raises(ZeroDivisionError, match="Weights sum to zero"):
        fit_twin(model, X, y, weights)
    if solver == "lbfgs":
        with pytest.raises(ZeroDivisionError, match="Weights sum to zero"):
            model.fit(X, y, weights)
        return
    weights[:10] = 1.0
    model.set_params(shuffle=False).fit(X, y, weights)
    expected = estimator_for("regression", **SMALL | dict(solver=solver, shuffle=False))
    assert_array_equal(model.coefs_[0], expected.fit(X[:10], y[:10]).coefs_[0])
