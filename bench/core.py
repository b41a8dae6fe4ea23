"""fastnn's compiled core without its estimators, for what looks inside."""

import numpy as np

from fastnn.backends import get_backend
from fastnn.kernels.optimizers import Optimizer
from fastnn.network import Data, Network, Regularization


def make_trainer(row, X, y, learning_rate=None):
    """What a fit of the row trains with, on one thread; and its network."""
    layer_units = row.layer_units(X, y)
    if layer_units[-1] == 1:
        loss, targets = "binary_log_loss", y.astype(np.uint8)
    else:
        loss, targets = "log_loss", y.astype(np.int32)
    network = Network(layer_units, activation="relu", loss=loss)
    params = network.initialize(np.random.RandomState(0), X.dtype)
    rate = row.learning_rate if learning_rate is None else learning_rate
    optimizer = Optimizer("adam", network.n_params, X.dtype, learning_rate=rate)
    trainer = get_backend(n_jobs=1).trainer(
        network, params, Data(X, targets[:, None], None), optimizer,
        regularization=Regularization(1e-4), batch_size=row.batch_size,
    )  # fmt: skip
    return trainer, network
