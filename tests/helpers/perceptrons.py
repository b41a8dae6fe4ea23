"""Problems for perceptrons, the rule in plain loops, and comparisons."""

import warnings

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


OR, AND, XOR = [0, 1, 1, 1], [0, 0, 0, 1], [0, 1, 1, 0]


def make_classes(n_classes=2, *, n_samples=60, n_features=7, is_sparse=False, seed=0):
    """Draw (X, y), with noise; the first sample is of the last class."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    if is_sparse:
        X *= rng.random(X.shape) < 0.4
    z = X @ rng.standard_normal((n_features, n_classes)) + rng.standard_normal((n_samples, 1))
    z += rng.standard_normal(z.shape)
    y = np.argmax(z - z.mean(axis=0), axis=1)
    y[0] = n_classes - 1
    return X, y


X3, Y3 = make_classes(3)


def initial_weights(n_classes, n_features, *, scale=0.0):
    """coef_init and intercept_init, random or zero."""
    rng, n = np.random.default_rng(5), 1 if n_classes == 2 else n_classes
    return {
        "coef_init": scale * rng.standard_normal((n, n_features)),
        "intercept_init": scale * rng.standard_normal(n),
    }


def by_definition(X, y, start, orders, *, eta0=1.0, fit_intercept=True, weight=None):
    """Rosenblatt's rule in plain loops, one perceptron for each row of the weights.

    Returns coef, intercept and the errors (n_epochs, n_perceptrons).
    """
    coef, intercept = start["coef_init"].copy(), start["intercept_init"].copy()
    weight = np.ones(len(X)) if weight is None else weight
    errors = np.zeros((len(orders), len(coef)), dtype=int)
    for k, label in enumerate([1] if len(coef) == 1 else range(len(coef))):
        for epoch, order in enumerate(orders):
            for i in order:
                u = 1 if intercept[k] + np.sum(coef[k] * X[i]) > 0 else 0
                step = eta0 * weight[i] * (int(y[i] == label) - u)
                coef[k] += step * X[i]
                intercept[k] += step if fit_intercept else 0
                errors[epoch, k] += step != 0
    return coef, intercept, errors


def weights(model):
    """Intercept and weights of a model with one perceptron, w0 first."""
    assert model.coef_.shape[0] == 1
    return (*model.intercept_, *model.coef_[0])


def assert_weights(model, coef, intercept, atol=1e-12):
    assert_allclose(model.coef_, coef, rtol=0, atol=atol)
    assert_allclose(model.intercept_, intercept, rtol=0, atol=atol)


def assert_same(a, b):
    """Two models have the same bits."""
    for name in ("coef_", "intercept_", "classes_", "error_curve_", "n_iter_", "t_"):
        assert_array_equal(getattr(a, name), getattr(b, name))


def converged(model, X, y, **init):
    """Fit, with a ConvergenceWarning as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        return model.fit(X, y, **init)
