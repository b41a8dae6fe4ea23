"""The memory of trainers."""

import gc

import numpy as np
import pytest

from fastnn import backends
from fastnn.network.data import Data
from fastnn.network.multilayer import multilayer_perceptron
from fastnn.network.regularization import Regularization
from fastnn.network.state import OptimizerState, TrainingState


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
            network, data, TrainingState(params, optimizer), regularization=regularization,
            batch_size=10,
        )  # fmt: skip
        trainer.train_epoch(np.arange(20))

    train()
    gc.collect()
    gc.disable()
    try:
        train()
        assert gc.collect() == 0
    finally:
        gc.enable()
