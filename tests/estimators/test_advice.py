"""One warning, with numbers and the remedy, where the scale of the data will spoil training."""

import re
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from common import make_problem
from fastnn import ImageAugmenter, MLPClassifier, MLPRegressor
from fastnn.estimators import advice
from fastnn.exceptions import AdviceWarning

SHORT = dict(hidden_layer_sizes=(4,), max_iter=2, random_state=0)


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(advice, "_said", set())


def said(model, X, y, **params):
    """The advice of a fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y, **params)
    return [str(w.message) for w in caught if w.category is AdviceWarning]


SPOILED = {
    "large column": (lambda X: X * [1, 1, 1000, 1, 1, 1, 1], "column 2 has values of about 1e+03"),
    "far off": (lambda X: X + 20, "means are about 2e+01 standard deviations from 0"),
    "small": (lambda X: X / 1000, "its rows have a length of about 3e-03"),
}


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "sgd"])
def test_inputs(kind, solver):
    X, y = make_problem("binary", n_samples=200)
    spoil, words = SPOILED[kind]
    (message,) = said(MLPClassifier(solver=solver, **SHORT), spoil(X), y)
    assert message.startswith("X is not scaled: ") and words in message
    assert "make_pipeline(StandardScaler(), MLPClassifier(...))" in message
    assert said(make_pipeline(StandardScaler(), MLPClassifier(**SHORT)), spoil(X), y) == []


def test_the_column_has_its_name():
    X, y = load_wine(return_X_y=True, as_frame=True)
    (message,) = said(MLPClassifier(**SHORT), X, y)
    assert "column 'proline' has values of about 8e+02" in message


def test_sparse_inputs():
    X, y = make_problem("binary", is_sparse=True)
    (message,) = said(MLPClassifier(**SHORT), X * 1000, y)
    assert "MaxAbsScaler" in message
    rows = sparse.random(300, 5000, 0.01, format="csr", random_state=0)
    unit = sparse.csr_array(rows / np.sqrt(rows.multiply(rows).sum(axis=1)).reshape(-1, 1))
    assert said(MLPClassifier(**SHORT), unit, np.arange(300) % 2) == []  # as TF-IDF has


TARGETS = {
    "large": (lambda y: y * 1000, "its values are about 9e+02"),
    "far off": (lambda y: y + 15, "its mean is about 2e+01 standard deviations from 0"),
    "small": (lambda y: y / 1000, "its standard deviation is about 9e-04"),
}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("problem", ["regression", "multioutput"])
def test_targets(problem, kind):
    X, y = make_problem(problem, n_samples=400)
    y = (y - y.mean(axis=0)) / y.std(axis=0) * 0.9
    spoil, words = TARGETS[kind]
    (message,) = said(MLPRegressor(**SHORT), X, spoil(y))
    assert message.startswith("y is not scaled: ") and words in message
    assert "TransformedTargetRegressor(MLPRegressor(...), transformer=StandardScaler())" in message
    scaled = TransformedTargetRegressor(MLPRegressor(**SHORT), transformer=StandardScaler())
    assert said(scaled, X, spoil(y)) == []
    advice._said.clear()
    assert len(said(MLPRegressor(solver="lbfgs", **SHORT), X, spoil(y))) == (kind == "small")


def test_huge_values_are_no_trouble():
    X, y = make_problem("regression")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("always", UserWarning)
        advice.warn_unscaled(MLPRegressor(**SHORT), X * 1e200, y[:, None] * 1e200)
        advice.warn_other_scale(X * 1e200, X)
    message, other = (str(w.message) for w in caught)
    assert "X_val is not on the scale of X" in other
    assert "values of about 1e+200" in message and re.search(
        r"its values are about \d+e\+", message
    )


def test_a_validation_set_of_another_scale():
    """It may be one that a Pipeline did not transform, for instance."""
    X, y = load_wine(return_X_y=True)
    scaler = StandardScaler().fit(X)
    Z, Z_val = scaler.transform(X[::2]), scaler.transform(X[1::2])
    model = MLPClassifier(**SHORT)
    assert said(model, Z, y[::2], X_val=Z_val, y_val=y[1::2]) == []
    (message,) = said(model, Z, y[::2], X_val=X[1::2], y_val=y[1::2])
    assert message.startswith("X_val is not on the scale of X: its rows have a length of about 8e+")
    assert 'transform_input=["X_val"]' in message
    (message,) = said(model, Z, y[::2], X_val=Z_val + 20, y_val=y[1::2])
    assert message.startswith("X_val is not on the scale of X")


@pytest.mark.parametrize("transformer", [StandardScaler(), MinMaxScaler()], ids=str)
def test_validation_targets_that_a_transformer_of_y_does_not_see(transformer):
    X, y = load_diabetes(return_X_y=True)
    X = 20 * X
    rows, val = slice(0, 300), slice(300, None)
    model = TransformedTargetRegressor(MLPRegressor(**SHORT), transformer=transformer)
    (message,) = said(model, X[rows], y[rows], X_val=X[val], y_val=y[val])
    assert re.match(r"y_val is not on the scale of y: its mean is about \de\+02 standard", message)
    assert "so fit the transformer to y yourself" in message
    assert said(model, X[rows], y[rows], X_val=X[val], y_val=y[val]) == []  # said already
    transformer.fit(y[rows, None])
    y = transformer.transform(y[:, None])[:, 0]
    assert said(MLPRegressor(**SHORT), X[rows], y[rows], X_val=X[val], y_val=y[val]) == []


OTHER_TARGETS = {
    "mean": (lambda z: z + 5, "its mean is about 5e+00 standard deviations of y from that of y"),
    "wider": (lambda z: 10 * z, "its standard deviation is about 1e+01, that of y about 1e+00"),
    "narrower": (lambda z: z / 20, "its standard deviation is about 5e-02, that of y about 1e+00"),
    "huge": (lambda z: 1e200 * z, "standard deviation"),
}


@pytest.mark.parametrize("kind", OTHER_TARGETS)
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_validation_targets_of_another_scale(kind, n_outputs):
    """A single target of several is enough."""
    change, words = OTHER_TARGETS[kind]
    y = np.random.default_rng(0).standard_normal((400, n_outputs))
    y_val = y[:100].copy()
    y_val[:, -1] = change(y_val[:, -1])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        advice.warn_other_target_scale(y, y_val)
    (message,) = (str(w.message) for w in caught)
    assert message.startswith("y_val is not on the scale of y: ") and words in message


def series(n):
    return np.cumsum(np.random.default_rng(n).standard_normal(n))


SAME_SCALE = {
    "a sample": (series(300), np.array([0.0])),
    "a constant": (np.full(50, 3.0), np.arange(9.0)),
    "an outlier": (series(300), np.r_[series(300)[:20], 1e6]),
    "the end of a trend": (np.arange(400) - 200.0, np.arange(200, 220.0)),
    "the end of a standardised trend": (np.linspace(-1.73, 1.73, 400), np.linspace(1.73, 1.8, 20)),
    "heavy tails": tuple(np.exp(2 * np.random.default_rng(0).standard_normal((2, 200)))),
    "mostly zeros": (np.r_[np.zeros(90), series(10)], np.zeros(30)),
}


@pytest.mark.parametrize("kind", SAME_SCALE)
def test_validation_targets_that_may_be_as_they_are(kind):
    y, y_val = SAME_SCALE[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        advice.warn_other_target_scale(y[:, None], y_val[:, None])


def test_classes_have_no_scale():
    X, y = make_problem("multiclass", n_samples=200)
    held_out = {"X_val": X[150:], "y_val": np.full(50, 3)}
    assert said(MLPClassifier(**SHORT), X[:150], y[:150], **held_out) == []


def test_images_are_divided():
    X, y = load_digits(return_X_y=True)
    model = MLPClassifier(**SHORT, augment=ImageAugmenter((8, 8), shift=1))
    (message,) = said(model, X * 16, y)
    assert "Divide X, whose pixels have to stay alike, by its largest value." in message


def test_both_are_one_warning():
    X, y = make_problem("regression")
    (message,) = said(MLPRegressor(**SHORT), X * 1000, y * 1000)
    assert "X is not scaled" in message and "y is not scaled" in message


def test_what_needs_no_scaling():
    for X, y in (load_digits(return_X_y=True), load_iris(return_X_y=True)):
        assert said(MLPClassifier(**SHORT), X, y) == []
    X, y = make_problem("poisson")
    assert said(MLPRegressor("poisson", **SHORT), X, 1000 * y) == []
    assert said(MLPRegressor(**SHORT), X, np.full(len(y), 7.0)) == []
    assert said(MLPClassifier(batch_norm=True, **SHORT), X * 1000, y > 1) == []
    assert said(MLPClassifier(**SHORT), np.zeros((20, 3)), np.arange(20) % 2) == []


def test_only_a_new_network_is_advised():
    X, y = make_problem("regression")
    model = MLPRegressor(warm_start=True, **SHORT)
    assert len(said(model, X * 1000, y)) == 1
    assert said(model, X * 100_000, y) == []
    assert said(MLPRegressor(**SHORT), X * 1000, y) == []  # said already
    assert len(said(MLPRegressor(**SHORT), X * 100_000, y)) == 1


def test_a_grid_search_says_it_once():
    """The numbers are rounded, so that folds say the same."""
    X, y = load_wine(return_X_y=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", ConvergenceWarning)
        GridSearchCV(MLPClassifier(**SHORT), {"alpha": [1e-4, 1e-2, 1.0]}, cv=5).fit(X, y)
    assert len([w for w in caught if "X is not scaled" in str(w.message)]) == 1
