"""Numbers worked out by hand, as courses on neural networks print them."""

import numpy as np
import pytest

from fastnn import MLPClassifier, MLPRegressor


def with_weights(model, X, y, coefs, intercepts, **settings):
    """The model as it is with those weights, by way of one call of partial_fit."""
    model.partial_fit(X, y, **settings)
    model.coefs_ = [np.array(coef, dtype=float) for coef in coefs]
    model.intercepts_ = [np.array(intercept, dtype=float) for intercept in intercepts]
    return model


def test_softmax_and_cross_entropy():
    z = [-2.0, 3.0, 1.0]
    model = MLPClassifier((), solver="sgd", alpha=0, learning_rate_init=1e-9)
    model = with_weights(model, [[0.0]], [1], [np.zeros((1, 3))], [z], classes=[0, 1, 2])
    expected = [0.00589975, 0.8756006, 0.11849965]
    np.testing.assert_allclose(model.predict_proba([[0.0]])[0], expected, atol=5e-9)
    assert -model.predict_log_proba([[0.0]])[0, 1] == pytest.approx(0.1328, abs=5e-5)
    # The same, fused with the softmax, is the loss in training.
    assert model.partial_fit([[0.0]], [1]).loss_ == pytest.approx(0.1328, abs=5e-5)


def test_quadratic_error():
    """Outputs (1, 0) for targets (0.8, 0.5) have the error 0.145, summed over the outputs."""
    model = MLPRegressor(hidden_layer_sizes=(), solver="sgd", alpha=0, learning_rate_init=1e-9)
    X, y = [[0.0]], [[0.8, 0.5]]
    model = with_weights(model, X, y, [np.zeros((1, 2))], [[1.0, 0.0]])
    # The loss is the mean over the outputs.
    assert 2 * model.partial_fit(X, y).loss_ == pytest.approx(0.145)


def test_one_step_of_backpropagation():
    """2-2-1, sigmoids everywhere, half the squared error of the output."""
    coefs = [[[0.1, -0.2], [0.3, 0.4]], [[0.5], [-0.4]]]
    intercepts = [[0.2, -0.3], [0.4]]
    X, y = [[1.0, 1.0]], [0]
    model = MLPClassifier(
        2,
        "logistic",
        loss="squared_error",
        solver="sgd",
        momentum=0,
        nesterovs_momentum=False,
        learning_rate_init=1.0,
        alpha=0,
    )
    model = with_weights(model, X, y, coefs, intercepts, classes=[0, 1])
    assert model.predict_proba(X)[0, 1] == pytest.approx(0.6301406, abs=5e-8)
    model.partial_fit(X, y)
    assert model.loss_ == pytest.approx(0.6301406**2 / 2, abs=1e-7)
    expected = [[[0.0832, -0.18535], [0.2832, 0.41465]], [[0.405177], [-0.469763]]]
    for coef, values in zip(model.coefs_, expected, strict=True):
        np.testing.assert_allclose(coef, values, atol=5e-6)
    np.testing.assert_allclose(model.intercepts_[0], [0.1832, -0.28535], atol=5e-6)
    np.testing.assert_allclose(model.intercepts_[1], [0.253137], atol=5e-7)
    assert model.predict_proba(X)[0, 1] == pytest.approx(0.569972, abs=5e-7)


@pytest.mark.parametrize(
    ("layer_units", "n_parameters"),
    [((1600, 100, 100, 100, 10), 181_310), ((8, 9, 9, 9, 4), 301)],
)
def test_number_of_parameters(layer_units, n_parameters):
    n_features, *hidden, n_classes = layer_units
    X, y = np.zeros((n_classes, n_features)), np.arange(n_classes)
    model = MLPClassifier(hidden).partial_fit(X, y, classes=y)
    assert model.n_parameters_ == n_parameters
    n_values = sum(array.size for array in (*model.coefs_, *model.intercepts_))
    assert n_values == n_parameters


def test_xor():
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    model = MLPClassifier(8, solver="lbfgs", random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), y)
