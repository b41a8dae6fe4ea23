"""Initial weights: their distributions, their bounds, and that there is none of zeros."""

import numpy as np
import pytest

from fastnn import MLPClassifier
from fastnn.network.initializers import INITIALIZERS
from fastnn.network.multilayer import multilayer_perceptron

N_IN, N_OUT = 300, 200
VARIANCE = {
    "glorot": 2 / (N_IN + N_OUT),
    "he": 2 / N_IN,
    "lecun": 1 / N_IN,
}
X, Y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2


def draw(name, n_in=N_IN, n_out=N_OUT):
    return INITIALIZERS[name].draw(np.random.RandomState(0), n_in, n_out)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("author", VARIANCE)
def test_variance(author, kind):
    weights = draw(f"{author}_{kind}")
    assert weights.shape == (N_IN, N_OUT)
    assert weights.mean() == pytest.approx(0, abs=4 * np.sqrt(VARIANCE[author] / weights.size))
    assert weights.var() == pytest.approx(VARIANCE[author], rel=0.02)
    largest = np.abs(weights).max() / np.sqrt(VARIANCE[author])
    # A uniform distribution ends at sqrt(3) standard deviations.
    assert 1.73 < largest <= np.sqrt(3) if kind == "uniform" else largest > 4


def test_uniform_and_normal():
    assert 0.999 < np.abs(draw("uniform")).max() <= 1
    assert draw("normal").std() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("shape", [(7, 7), (9, 4), (4, 9), (1, 5), (5, 1)])
def test_orthogonal(shape):
    weights = draw("orthogonal", *shape)
    gram = weights.T @ weights if shape[0] >= shape[1] else weights @ weights.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-14)


def test_orthogonal_is_uniform():
    """Its entries have no preferred sign, as those of a bare QR decomposition do."""
    random_state = np.random.RandomState(0)
    draws = [INITIALIZERS["orthogonal"].draw(random_state, 3, 3) for _ in range(400)]
    assert np.abs(np.mean(draws, axis=0)).max() < 0.15


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_network(name, dtype):
    """Layer by layer from one RandomState; biases are zero; the estimators take it from there."""
    network = multilayer_perceptron((3, 6, 2), "relu", "log_loss")
    params = network.initialize(np.random.RandomState(5), dtype, name)
    random_state = np.random.RandomState(5)
    for coef in network.coefs(params):
        expected = INITIALIZERS[name].draw(random_state, *coef.shape)
        np.testing.assert_array_equal(coef, expected.astype(dtype))
    assert not any(intercept.any() for intercept in network.intercepts(params))
    model = MLPClassifier(6, weight_init=name, random_state=5, max_iter=2, dtype=dtype)
    with pytest.warns(UserWarning, match="converged"):
        model.fit(X, Y)
    first = INITIALIZERS[name].draw(np.random.RandomState(5), 3, 6)
    assert np.abs(model.coefs_[0] - first).max() < 0.01


@pytest.mark.parametrize("zero", ["zero", "zeros"])
def test_no_zeros(zero):
    with pytest.raises(ValueError, match="equal gradients, and stay equal for ever. Use 'auto'"):
        MLPClassifier(weight_init=zero).fit(X, Y)


def test_unknown():
    with pytest.raises(ValueError, match="'weight_init' parameter of MLPClassifier must be"):
        MLPClassifier(weight_init="ones").fit(X, Y)
