"""Networks with a toy layer: gradients, training, predictions, bits, and where it cannot stand."""

import numpy as np
import pytest
from scipy import sparse

from common import run_python
from fastnn import backends
from fastnn.kernels.optimizers import SOLVERS
from fastnn.network.data import Data
from fastnn.network.layers.batch_norm import BatchNorm
from fastnn.network.layers.dense import Dense
from fastnn.network.network import Network
from fastnn.network.regularization import Regularization
from fastnn.network.state import WeightAverage
from toy_layer import Scale
from toy_networks import (
    FIRST,
    LAST,
    N_FEATURES,
    N_OUTPUTS,
    N_UNITS,
    NETWORKS,
    TANH,
    WITHOUT_BATCH_NORM,
    make_data,
    make_network,
    scales_of,
    start,
    train,
)


def central_differences(loss, params, n, step=1e-5):
    """The gradient of loss(params) by its first n parameters."""

    def loss_at(i, sign):
        moved = params.copy()
        moved[i] += sign * step
        return loss(moved)

    return np.array([loss_at(i, 1) - loss_at(i, -1) for i in range(n)]) / (2 * step)


def test_scales_have_their_place_in_the_flat_vector():
    """They begin at 1, behind weights, biases and slopes, in front of what is not learned."""
    network = make_network("after one that needs its input")
    n_others = N_FEATURES * N_UNITS + N_UNITS + N_UNITS * N_OUTPUTS + N_OUTPUTS + 1
    params = network.initialize(np.random.RandomState(0), np.float64)
    assert network.n_params == network.n_trained == n_others + N_UNITS
    np.testing.assert_array_equal(params[n_others:], 1)
    network = make_network("after batch normalisation")
    (scales,) = scales_of(network, np.arange(network.n_params))
    assert scales[-1] + 1 == network.n_trained == network.n_params - 2 * N_UNITS


@pytest.mark.parametrize("name", WITHOUT_BATCH_NORM)
def test_gradient_of_all_rows(name):
    """That of L-BFGS agrees with central differences, and adds up over blocks of rows."""
    network, data = make_network(name), make_data(23)
    objective = backends.get_backend().objective(network, data, alpha=0.1, dtype=np.float64)
    params = start(network)
    gradient = objective(params)[1]
    differences = central_differences(lambda p: objective(p)[0], params, len(params))
    # The loss is the mean over the outputs; its gradient, as scikit-learn's, is that of the sum.
    decay = np.zeros_like(params)
    decay[: network.n_weights] = 0.1 * params[: network.n_weights] / data.sample_weight.sum()
    gradient = (gradient - decay) / N_OUTPUTS + decay
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-9)
    assert all(np.abs(scales).min() > 0 for scales in scales_of(network, gradient))


REGULARIZATIONS = {
    "none": Regularization(),
    "penalties": Regularization(0.1, l1_ratio=0.5),
    "dropout": Regularization(0.1, dropout=(0.2, 0.3), seed=3),
}


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_of_a_step(name, regularization):
    """The first step, whose masks are always the same, goes against the gradient."""
    network, data = make_network(name), make_data(23)
    regularization, before = REGULARIZATIONS[regularization], start(network)
    params, n = before.copy(), network.n_trained
    train(network, params, data, regularization, rate=1.0)
    gradient = (before - params)[:n]

    def loss(moved):
        moved = moved.copy()
        return train(network, moved, data, regularization)[0]

    differences = central_differences(loss, before, n)
    # The penalties of the weights, which the gradient has once for each output.
    penalty, weights = np.zeros(n), before[: network.n_weights]
    alpha_1 = regularization.alpha * regularization.l1_ratio
    penalty[: network.n_weights] = alpha_1 * np.sign(weights)
    penalty[: network.n_weights] += (regularization.alpha - alpha_1) * weights
    penalty /= data.sample_weight.sum()
    gradient = (gradient - penalty) / N_OUTPUTS + penalty
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", WITHOUT_BATCH_NORM)
def test_gradient_in_parts(name):
    """A mini-batch that is summed in parts has the gradient of all rows."""
    network, data = make_network(name), make_data(200)
    objective = backends.get_backend().objective(network, data, alpha=0.0, dtype=np.float64)
    params = start(network)
    expected = params - objective(params)[1]
    train(network, params, data, Regularization(), rate=1.0)
    np.testing.assert_allclose(params, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_training_moves_the_scales(solver, dtype):
    """By every solver, in mini-batches of which the last is shorter; and their average follows."""
    network, data = make_network("two at a time"), make_data(150)
    params = start(network, dtype)
    before = [scales.copy() for scales in scales_of(network, params)]
    average = WeightAverage(len(params), params.dtype, 0.5)
    losses = train(
        network,
        params,
        data,
        Regularization(0.001, max_grad_norm=5.0),
        solver=solver,
        rate=0.01,
        batch_size=32,
        n_epochs=5,
        average=average,
    )
    assert losses[-1] < losses[0]
    assert np.isfinite(params).all()
    moved = scales_of(network, params)
    assert len(moved) == 3 and (np.concatenate(moved) != np.concatenate(before)).all()
    for averaged, last in zip(scales_of(network, average.values), moved, strict=True):
        np.testing.assert_allclose(averaged, last, atol=0.1)
        assert (averaged != last).any()


@pytest.mark.parametrize("name", WITHOUT_BATCH_NORM)
def test_predictions(name):
    """They are those of the formula, however X lies in memory, and with a plan that is kept."""
    network, X = make_network(name), make_data(300).X
    params, backend, plans = start(network), backends.get_backend(), {}

    def layer_of(layer, views, values):
        if isinstance(layer, Dense):
            return values @ views["weights"] + views["biases"]
        if isinstance(layer, Scale):
            return values * views["scales"]
        if layer.name == "tanh":
            return np.tanh(values)
        return np.where(values > 0, values, views["slope"] * values)

    expected = X
    for layer, views in zip(network.layers, network.layout.views(params), strict=True):
        expected = layer_of(layer, views, expected)
    for laid_out in (X, np.asfortranarray(X), X[::-1][::-1]):
        outputs = backend.forward(network, params, laid_out)
        np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
    for rows in (slice(0, 1), slice(7, 8), slice(0, 40)):
        outputs = backend.forward(network, params, X[rows], plans=plans)
        np.testing.assert_allclose(outputs, expected[rows], rtol=1e-10, atol=1e-12)


def test_gradient_of_the_input():
    network, X = make_network("before an activation"), make_data(9).X
    params, backend = start(network), backends.get_backend()
    weights = np.random.default_rng(1).standard_normal((9, N_OUTPUTS))
    gradient = backend.input_gradient(network, params, X, weights)
    for j in range(N_FEATURES):
        moved = [X.copy(), X.copy()]
        moved[0][:, j] -= 1e-5
        moved[1][:, j] += 1e-5
        low, high = ((backend.forward(network, params, x) * weights).sum(axis=1) for x in moved)
        np.testing.assert_allclose(gradient[:, j], (high - low) / 2e-5, rtol=1e-6, atol=1e-9)


def test_sparse_data_reach_a_scale_behind_a_dense_layer():
    """They train to the bits of dense data."""
    network, data = make_network("before an activation"), make_data(60)
    data.X[data.X < 0.3] = 0
    trained = []
    for X in (data.X, sparse.csr_array(data.X)):
        params = start(network)
        train(network, params, Data(X, data.y), Regularization(), rate=0.1, batch_size=20)
        trained.append(params)
    np.testing.assert_array_equal(*trained)


def test_where_it_cannot_stand():
    """It reads no sparse X, and writes no outputs: what is refused is said."""
    data, params = make_data(20), start(make_network("first"))
    network = make_network("first")
    with pytest.raises(ValueError, match=r"Scale\(n=5\) cannot read a sparse X"):
        backends.get_backend().forward(network, params, sparse.csr_array(data.X))
    with pytest.raises(ValueError, match="first layer would have to be a dense one"):
        backends.get_backend().input_gradient(network, params, data.X, np.ones((20, N_OUTPUTS)))
    network = Network((Dense(N_FEATURES, N_OUTPUTS), Scale(N_OUTPUTS)), "squared_error")
    with pytest.raises(ValueError, match=r"Scale\(n=3\) cannot be the last layer"):
        backends.get_backend().forward(network, start(network), data.X)
    network = Network((FIRST, TANH, BatchNorm(N_UNITS), LAST), "squared_error")
    with pytest.raises(ValueError, match=r"BatchNorm\(n=7\) would write over"):
        train(network, start(network), data, Regularization())
    with pytest.raises(ValueError, match=r"no dense layer before BatchNorm\(n=7\)"):
        network.folded(start(network))
    with pytest.raises(ValueError, match=r"Scale\(n=4\) cannot follow Dense\(n_in=5, n_out=7"):
        Network((FIRST, Scale(4), LAST), "squared_error")
    with pytest.raises(ValueError, match="at least one layer"):
        Network((), "squared_error")


THREADS = """
import hashlib, json, sys
import toy_networks as toy
from common import share_all_work, with_help
from fastnn.network.regularization import Regularization

n_jobs = int(sys.argv[1])
if n_jobs > 1:
    share_all_work()


def trained():
    sums = {}
    for name in toy.NETWORKS:
        # Mini-batches of 200 rows are summed in parts.
        for batch_size in (64, 200):
            network = toy.make_network(name)
            params = toy.start(network)
            toy.train(
                network, params, toy.make_data(450), Regularization(0.01, dropout=(0.1, 0.2)),
                solver="adam", rate=0.01, batch_size=batch_size, n_epochs=3, n_jobs=n_jobs,
            )
            sums[f"{name}, {batch_size}"] = hashlib.sha256(params.tobytes()).hexdigest()
    return sums


print(json.dumps(with_help(trained) if n_jobs > 1 else trained()))
"""


def test_bits_do_not_depend_on_the_threads():
    sums = [run_python(THREADS, n_jobs) for n_jobs in (1, 2)]
    assert sums[0] == sums[1]
    assert len(set(sums[0].values())) == len(sums[0]) == 2 * len(NETWORKS)
