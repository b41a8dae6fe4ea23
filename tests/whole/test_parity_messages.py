"""Warnings and the lines of ``verbose`` are scikit-learn's."""

import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from common import estimator_for, make_problem, needs_sklearn, scikit_learn_twin
from parity import (
    _one_blas_thread,  # noqa: F401
)


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
