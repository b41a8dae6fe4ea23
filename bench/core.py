"""fastnn's compiled core without its estimators, for what looks inside."""

import numpy as np

from fastnn.backends import get_backend
from fastnn.network.data import Data
from fastnn.network.multilayer import multilayer_perceptron
from fastnn.network.regularization import Regularization
from fastnn.network.state import OptimizerState, TrainingState, WeightAverage


def make_trainer(row, X, y, learning_rate=None, feature=None, n_jobs=1):
    """The trainer of a fit of the row, and its network.

    A feature has what is to be different: see feature_costs.py.
    """
    layer_units = row.layer_units(X, y)
    if layer_units[-1] == 1:
        loss, targets = "binary_log_loss", y.astype(np.uint8)
    else:
        loss, targets = "log_loss", y.astype(np.int32)
    network = {"activation": "relu", "loss": loss}
    optimizer = {"solver": "adam", "learning_rate": learning_rate or row.learning_rate}
    regularization = {"alpha": 1e-4}
    if feature is not None:
        network |= feature.network
        optimizer |= feature.optimizer
        regularization |= feature.regularization
        rates = [regularization.pop("input", 0.0)]
        rates += [regularization.pop("dropout", 0.0)] * (len(layer_units) - 2)
        regularization["dropout"] = tuple(rates)
    network = multilayer_perceptron(layer_units, **network)
    params = network.initialize(np.random.RandomState(0), X.dtype)
    solver = optimizer.pop("solver")
    decay = optimizer.pop("weight_average", None)
    average = None if decay is None else WeightAverage(network.n_params, X.dtype, decay)
    optimizer = OptimizerState(solver, network.n_params, X.dtype, **optimizer)
    trainer = get_backend(n_jobs=n_jobs).trainer(
        network,
        Data(X, targets[:, None], None),
        TrainingState(params, optimizer, average),
        regularization=Regularization(**regularization),
        batch_size=row.batch_size,
    )
    return trainer, network
