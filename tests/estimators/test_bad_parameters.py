"""Impossible parameters are refused as scikit-learn refuses them; a fitted model is kept."""

import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from common import (
    ESTIMATORS,
    assert_raises_as_scikit_learn,
    estimator_for,
    left_as_it_was,
    make_problem,
    needs_sklearn,
    scikit_learn_twin,
)
from fastnn.estimators.parameter_table import parameters_of

PARAMS = dict(hidden_layer_sizes=(5,), batch_size=16, max_iter=4, random_state=0)

both_kinds = pytest.mark.parametrize("problem", ["multiclass", "regression"])

IMPOSSIBLE = {
    "hidden_layer_sizes": [0, -1, 2.5, "ten", None, np.nan],
    "activation": ["no such", None, 3],
    "solver": ["newton", None],
    "alpha": [-1, "x", np.nan, np.inf, None],
    "batch_size": [0, -5, 1.5, "big", None],
    "learning_rate": ["fast", 0.1, None],
    "learning_rate_init": [0, -1.0, np.nan, np.inf, "x"],
    "power_t": [-0.5, "x", np.inf],
    "max_iter": [0, -1, 1.5, np.inf, "x"],
    "shuffle": ["yes", 2, None],
    "random_state": [-1, 2**32, "seed", np.random.default_rng(0)],
    "tol": [-1e-9, np.nan, "x"],
    "verbose": ["loud", -1, None],
    "warm_start": ["yes", 2],
    "momentum": [-0.1, 1.1, np.nan],
    "nesterovs_momentum": ["yes", 2],
    "early_stopping": ["yes", 2],
    "validation_fraction": [-0.1, 1, 1.5],
    "beta_1": [-0.1, 1, np.nan],
    "beta_2": [-0.1, 1.0, np.nan],
    "epsilon": [0, -1e-8, np.inf],
    "n_iter_no_change": [0, 2.5, -np.inf, np.nan],
    "max_fun": [0, 1.5, None],
    "loss": ["mae", None],
    "dtype": ["float16", "int64", None, 32],
    "n_jobs": [0, 1.5, "all"],
    "l1_ratio": [-0.1, 1.1, np.nan],
    "dropout": [-0.1, 1, "half", None],
    "input_dropout": [-0.1, 1, None, [0.1]],
    "batch_norm": ["yes", 2, None],
    "batch_norm_momentum": [0, 1.1, None],
    "weight_average": [0, 1, -0.5, "x"],
    "max_grad_norm": [0, -1, "x", np.inf],
    "warmup_fraction": [-0.1, 1, None],
    "weight_init": ["ones", "zeros", None],
    "label_smoothing": [-0.1, 1, None],
    "class_weight": ["even", 2],
    "augment": ["flip", 3, dict(shift=1)],
    "scoring": ["no such", 3],
    "max_time": [0, -1, "x", np.inf],
    "device": ["tpu", 0],
    "huber_delta": [0, -1, np.inf],
    "quantile": [0, 1, None],
}
# Every parameter of the table has these values, too, where its constraint refuses them.
for Estimator in ESTIMATORS:
    for entry in parameters_of(Estimator.__name__).values():
        known = IMPOSSIBLE.setdefault(entry.name, [])
        refused = [value for value in (-1.5, np.nan, "no such", None) if not entry.allows(value)]
        known += [value for value in refused if repr(value) not in map(repr, known)]


def test_impossible_values_cover_every_parameter():
    names = {name for Estimator in ESTIMATORS for name in Estimator().get_params()}
    assert names == set(IMPOSSIBLE) and all(IMPOSSIBLE.values())


@pytest.mark.parametrize(
    "problem, name, value",
    [
        (problem, name, value)
        for problem in ("multiclass", "regression")
        for name, values in IMPOSSIBLE.items()
        for value in values
        if name in estimator_for(problem).get_params()
    ],
)
def test_impossible_parameter(problem, name, value):
    X, y = make_problem(problem)
    ours = estimator_for(problem, **PARAMS)
    theirs = scikit_learn_twin(ours)
    if name in theirs.get_params():
        theirs.set_params(**{name: value})
    ours.fit(X, y)
    good = getattr(ours, name)
    says = rf"(?s)'{name}'.*{type(ours).__name__} must be .* Got {re.escape(repr(value))} instead"
    if (name, value) == ("weight_init", "zeros"):
        says = "'weight_init' parameter of .* cannot be 'zeros'"
    with left_as_it_was(ours, X, y):
        ours.set_params(**{name: value})
        if name not in theirs.get_params():
            with pytest.raises(InvalidParameterError, match=says):
                ours.fit(X, y)
        else:
            assert_raises_as_scikit_learn(lambda: ours.fit(X, y), lambda: theirs.fit(X, y), says)
        ours.set_params(**{name: good})
    if name != "solver":  # partial_fit is there for two solvers only
        fresh = clone(ours).set_params(**{name: value})
        with pytest.raises(InvalidParameterError, match=says):
            fresh.partial_fit(X, y)


@pytest.mark.parametrize(
    "sizes", [(0,), (5, -2), (2.5,), ("a",), ((3, 4), (5, 6)), (None,)], ids=repr
)
@both_kinds
def test_impossible_hidden_layer_sizes(sizes, problem):
    X, y = make_problem(problem)
    ours = estimator_for(problem, **PARAMS).fit(X, y)
    theirs = scikit_learn_twin(ours).set_params(hidden_layer_sizes=sizes)
    with left_as_it_was(ours, X, y):
        ours.set_params(hidden_layer_sizes=sizes)
        assert_raises_as_scikit_learn(
            lambda: ours.fit(X, y), lambda: theirs.fit(X, y), "hidden_layer_sizes must be"
        )
        ours.set_params(**PARAMS)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("activation", ["relu", "tanh"], "activation has 2 entries, but .* 1 hidden"),
        ("activation", ["no such"], "must be one of .*; got 'no such' in it"),
        ("activation", [3], "must be one of .*; got 3 in it"),
        ("dropout", [0.1, 0.1], "dropout has 2 entries, but .* 1 hidden"),
        ("dropout", [1.0], r"dropout must be a number in \[0, 1\), or .*; got \[1.0\]"),
        ("dropout", ["half"], "dropout must be a number"),
    ],
)
@both_kinds
def test_impossible_sequence(name, value, says, problem):
    X, y = make_problem(problem)
    model = estimator_for(problem, **PARAMS).fit(X, y)
    with left_as_it_was(model, X, y):
        good = getattr(model, name)
        with pytest.raises(ValueError, match=says):
            model.set_params(**{name: value}).fit(X, y)
        model.set_params(**{name: good})


@pytest.mark.parametrize("fraction", [0, pytest.param(0.01, marks=needs_sklearn("1.7")), 0.99])
@both_kinds
def test_impossible_validation_fraction(fraction, problem):
    X, y = make_problem(problem)
    ours = estimator_for(problem, **PARAMS).fit(X, y)
    split = dict(early_stopping=True, validation_fraction=fraction)
    theirs = scikit_learn_twin(ours).set_params(**split)
    with left_as_it_was(ours, X, y):
        ours.set_params(**split)
        message = "validation set is too small|train set will be empty|test_size"
        assert_raises_as_scikit_learn(lambda: ours.fit(X, y), lambda: theirs.fit(X, y), message)
        ours.set_params(early_stopping=False, validation_fraction=0.1)
