"""Networks as sequences of layers: kinds, the flat vector, and the memory that layers share."""

import gc

import numpy as np
import pytest

from fastnn import backends
from fastnn.kernels.buffers import Buffers
from fastnn.kernels.inputs import read
from fastnn.kernels.layers.kinds import OPERATIONS
from fastnn.network.data import Data
from fastnn.network.layers import activation, base, batch_norm, dense, dropout
from fastnn.network.layers.activation import Activation
from fastnn.network.layers.batch_norm import BatchNorm
from fastnn.network.layers.dense import Dense
from fastnn.network.multilayer import from_plain, multilayer_perceptron, to_plain
from fastnn.network.network import Network
from fastnn.network.regularization import Regularization
from fastnn.network.state import OptimizerState, TrainingState

ROWS = 6
DROPOUT = (0.0, 0.5)


def test_every_kind_of_layer_has_operations():
    modules = (activation, batch_norm, dense, dropout)
    classes = [value for module in modules for value in vars(module).values()]
    layers = {
        value for value in classes if isinstance(value, type) and issubclass(value, base.Layer)
    }
    assert {layer.kind for layer in layers if hasattr(layer, "kind")} == set(OPERATIONS)


def test_order_of_the_flat_vector():
    """It is what a pickle means, and where L-BFGS's bits come from: it never changes."""
    network = multilayer_perceptron((3, 4, 5, 2), "prelu", "log_loss", batch_norm=True)
    vector = np.arange(network.n_params)
    first, second = 3 * 4, 3 * 4 + 4 * 5
    assert [coef.ravel()[0] for coef in network.coefs(vector)] == [0, first, second]
    n_weights = second + 5 * 2
    starts = [intercept[0] for intercept in network.intercepts(vector)]
    assert starts == [n_weights, n_weights + 4, n_weights + 9]
    norms, slopes = n_weights + 11, n_weights + 11 + 2 * 9
    scale, shift, mean, variance = network.norms(vector)
    assert [scale[0][0], shift[0][0], scale[1][0], shift[1][0]] == [
        norms,
        norms + 4,
        norms + 8,
        norms + 13,
    ]
    assert [slope[0] for slope in network.slopes(vector)] == [slopes, slopes + 1]
    statistics = slopes + 2
    assert [mean[0][0], variance[0][0], mean[1][0], variance[1][0]] == [
        statistics,
        statistics + 4,
        statistics + 8,
        statistics + 13,
    ]
    counts = (network.n_weights, network.n_trained, network.n_params)
    assert counts == (n_weights, statistics, statistics + 18)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("layer_units", "names"), [((3, 2), ()), ((3, 4, 2), ("tanh",)), ((3, 4, 5, 1), ("elu", "x"))]
)
def test_plain_form(layer_units, names, batch_norm):
    """It makes the same network again, also where an activation is not known."""
    network = multilayer_perceptron(layer_units, names, "huber", 0.5, batch_norm, "tanh")
    again = from_plain(to_plain(network))
    assert again == network
    assert (again.layer_units, again.activations, again.link) == (layer_units, names, "tanh")
    assert again.batch_norm == (batch_norm and len(names) > 0)
    assert len(again.layers) == 1 + len(names) * (3 if batch_norm else 2)


def test_activations_as_many_as_hidden_layers():
    with pytest.raises(ValueError, match="do not have the activations"):
        multilayer_perceptron((3, 4, 2), ("relu", "relu"), "log_loss")


def test_batch_norm_without_a_dense_layer_before_it_is_not_folded():
    network = Network((Activation(3, "tanh"), BatchNorm(3), Dense(3, 2)), "log_loss")
    params = network.initialize(np.random.RandomState(0), np.float64)
    with pytest.raises(ValueError, match=r"no dense layer before BatchNorm\(n=3\)"):
        network.folded(params)


def matrices(name, *, backward, batch_norm=False, rates=DROPOUT):
    """The matrices that go from layer to layer, X and the outputs included, as numbers."""
    network = multilayer_perceptron((3, 4, 2), name, "log_loss", batch_norm=batch_norm)
    source = read(network, np.zeros((ROWS, 3)), ROWS, np.dtype(float))
    layers = [layer for layer, _ in network.layers_with_dropout(rates)]
    rooms = Buffers(layers, source, np.dtype(float), backward=backward).rooms
    assert (rooms[0].delta is not None) == backward
    found = [rooms[0].input.matrix, *(room.output.matrix for room in rooms)]
    # Every layer reads what the one before it has written.
    for before, after in zip(rooms[:-1], rooms[1:], strict=True):
        assert before.output is after.input and before.delta is after.input_delta
    return [next(i for i, other in enumerate(found) if other is matrix) for matrix in found]


@pytest.mark.parametrize(
    ("name", "with_dropout", "without"),
    [
        # The way back reads the output of the activation, which dropout must leave alone.
        ("tanh", [0, 1, 1, 3, 4], [0, 1, 1, 3]),
        # It reads the input.
        ("gelu", [0, 1, 2, 2, 4], [0, 1, 2, 3]),
        # It reads neither.
        ("identity", [0, 1, 1, 1, 4], [0, 1, 1, 3]),
    ],
)
def test_layers_share_memory(name, with_dropout, without):
    """They write over their input where nothing needs it, on the way forward alone wherever."""
    assert matrices(name, backward=True) == with_dropout
    assert matrices(name, backward=True, rates=(0.3, 0.0)) == without
    assert matrices(name, backward=False) == [0, 1, 1, 1, 4]


def test_batch_norm_has_a_matrix_of_its_own():
    assert matrices("tanh", backward=True, batch_norm=True) == [0, 1, 2, 2, 4, 5]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_trainers_leave_no_circles(batch_norm):
    """Their buffers go as soon as they do, and not when Python's collector comes by."""
    network = multilayer_perceptron((3, 4, 4, 2), "prelu", "squared_error", batch_norm=batch_norm)
    rng = np.random.default_rng(0)
    data = Data(rng.standard_normal((20, 3)), rng.standard_normal((20, 2)))
    regularization = Regularization(0.1, 0.5, (0.1, 0.2, 0.2), max_grad_norm=1.0)

    def train():
        params = network.initialize(np.random.RandomState(0), np.float64)
        optimizer = OptimizerState("muon", params.size, params.dtype, 0.1)
        trainer = backends.get_backend(n_jobs=1).trainer(
            network,
            data,
            TrainingState(params, optimizer),
            regularization=regularization,
            batch_size=10,
        )
        trainer.train_epoch(np.arange(20))

    train()
    gc.collect()
    gc.disable()
    try:
        train()
        assert gc.collect() == 0
    finally:
        gc.enable()
