"""Fitted estimators, and comparisons of those that were exchanged."""

import numpy as np
from scipy import sparse

from common import estimator_for, make_problem


def fitted(problem, **params):
    """A small estimator of ours, fitted; and its X and y."""
    X, y = make_problem(problem)
    settings = {"hidden_layer_sizes": (9, 5), "max_iter": 8, "random_state": 0, "batch_size": 20}
    if params.get("solver") == "lbfgs":
        del settings["batch_size"]
    return estimator_for(problem, **settings | params).fit(X, y), X, y


def assert_same_predictions(a, b, X, tolerance=1e-12):
    # Probabilities are compared, as scikit-learn takes their logarithms after rounding.
    if not hasattr(a, "classes_"):
        np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=tolerance, atol=tolerance)
        return
    left, right = a.predict(X), b.predict(X)
    assert sparse.issparse(left) == sparse.issparse(right)
    if sparse.issparse(left):
        left, right = left.toarray(), right.toarray()
    np.testing.assert_array_equal(left, right)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=0, atol=tolerance)


def assert_same_weights(a, b, tolerance=1e-9):
    for left, right in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=tolerance)
