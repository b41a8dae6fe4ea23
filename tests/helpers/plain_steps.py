"""Steps of plain gradient descent on a backend."""

import numpy as np

from fastnn.network.state import OptimizerState, TrainingState


def train(backend, network, data, params, regularization, rule="sgd", rate=0.0, batch_size=None):
    """The loss of an epoch of plain steps in the data's order, at most one by default."""
    optimizer = OptimizerState(rule, len(params), params.dtype, rate, momentum=0.0)
    trainer = backend.trainer(
        network,
        data,
        TrainingState(params, optimizer),
        regularization=regularization,
        batch_size=batch_size or len(data.y),
    )
    return trainer.train_epoch(np.arange(len(data.y)))
