"""Networks with toy layers, and their training."""

import numpy as np

from fastnn import backends
from fastnn.network.data import Data
from fastnn.network.layers.activation import Activation
from fastnn.network.layers.batch_norm import BatchNorm
from fastnn.network.layers.dense import Dense
from fastnn.network.network import Network
from fastnn.network.state import OptimizerState, TrainingState
from toy_layer import Scale

N_FEATURES, N_UNITS, N_OUTPUTS = 5, 7, 3
FIRST, LAST = Dense(N_FEATURES, N_UNITS), Dense(N_UNITS, N_OUTPUTS)
SCALE, TANH = Scale(N_UNITS), Activation(N_UNITS, "tanh")
NETWORKS = {
    "first": (Scale(N_FEATURES), FIRST, TANH, LAST),
    "before an activation": (FIRST, SCALE, TANH, LAST),
    "after one that needs its output": (FIRST, TANH, SCALE, LAST),
    "after one that needs its input": (FIRST, Activation(N_UNITS, "prelu"), SCALE, LAST),
    "before batch normalisation": (FIRST, SCALE, BatchNorm(N_UNITS), TANH, LAST),
    "after batch normalisation": (FIRST, BatchNorm(N_UNITS), SCALE, TANH, LAST),
    "two at a time": (Scale(N_FEATURES), FIRST, SCALE, SCALE, TANH, LAST),
}
WITHOUT_BATCH_NORM = sorted(name for name in NETWORKS if "batch" not in name)


def make_network(name):
    """One of ``NETWORKS``, to be trained by the squared error of its outputs."""
    return Network(NETWORKS[name], "squared_error")


def make_data(n, seed=0):
    """Data of n rows with weights, which a network can learn."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, N_FEATURES))
    return Data(X, np.sin(X[:, :N_OUTPUTS]) + X[:, 1:2], rng.uniform(0.5, 2, n))


def start(network, dtype="float64"):
    """Parameters (n_params,) at which no scale is 1."""
    params = network.initialize(np.random.RandomState(0), np.dtype(dtype))
    params += 0.1 * np.random.RandomState(1).standard_normal(len(params)).astype(dtype)
    return params


def scales_of(network, params):
    """The scales of each layer that has some, views of ``params``."""
    return [views["scales"] for views in network.layout.views(params) if "scales" in views]


def train(network, params, data, regularization, *, solver="sgd", rate=0.0, batch_size=None,
          n_epochs=1, average=None, n_jobs=1):  # fmt: skip
    """The losses of epochs in the data's order; momentum is zero."""
    optimizer = OptimizerState(solver, len(params), params.dtype, rate, momentum=0.0)
    trainer = backends.get_backend(n_jobs=n_jobs).trainer(
        network, data, TrainingState(params, optimizer, average), regularization=regularization,
        batch_size=batch_size or len(data.y),
    )  # fmt: skip
    return [trainer.train_epoch(np.arange(len(data.y))) for _ in range(n_epochs)]
