"""Images, and training on augmented ones."""

import numpy as np

from fastnn import backends
from fastnn.network.data import Data
from fastnn.network.multilayer import multilayer_perceptron
from fastnn.network.regularization import Regularization
from fastnn.network.state import OptimizerState, TrainingState

EVERYTHING = dict(
    shift=(3, 2),
    rotate=25,
    scale=(0.3, 0.2),
    skew=0.2,
    reflect="both",
    contrast=0.4,
    elastic=(34, 4),
)


def images(n=20, shape=(9, 12), dtype=np.float64, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, np.prod(shape))).astype(dtype)


NETWORK = multilayer_perceptron((108, 17, 4), "relu", "log_loss")


def train(X, augmenter, *, epochs=1, n_jobs=None, seed=3, dropout=(), dtype="float64"):
    """Parameters after some epochs of the rows in order, in mini-batches of 100."""
    params = NETWORK.initialize(np.random.RandomState(0), dtype)
    y = np.arange(len(X), dtype=np.int32)[:, None] % 4
    settings = None if augmenter is None else augmenter.check_images(X)
    trainer = backends.get_backend(n_jobs=n_jobs).trainer(
        NETWORK,
        Data(X, y),
        TrainingState(params, OptimizerState("adam", params.size, params.dtype, 0.01)),
        regularization=Regularization(0.01, dropout=dropout, seed=seed, augmentation=settings),
        batch_size=100,
    )
    for _ in range(epochs):
        trainer.train_epoch(np.arange(len(X)))
    return params
