"""The libraries that are compared, each in a process of its own.

A trainer takes a row, its data and a number of threads (None: the library's own choice), trains
once and returns the seconds and the final coefs and intercepts. They all start from the weights
that scikit-learn draws from ``random_state``, shuffle each epoch with the same draws, and are
timed from data in memory to trained weights. A process for each keeps one library's waiting
threads off another's cores, and gives each its own environment.
"""

import math
import multiprocessing
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from time import perf_counter

import llvmlite.binding as llvm
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, shuffle
from threadpoolctl import threadpool_info, threadpool_limits

import peak
from rows import ROWS

# scikit-learn's defaults, for those who have others.
ALPHA, LEARNING_RATE, BETAS, EPSILON = 1e-4, 1e-3, (0.9, 0.999), 1e-8


def train_fastnn(row, X, y, n_threads):
    """fastnn's MLPClassifier.fit, with as many threads as it chooses itself."""
    from fastnn import MLPClassifier

    return timed_fit(MLPClassifier(**row.params, n_jobs=n_threads), X, y)


def train_sklearn(row, X, y, n_threads):
    """scikit-learn's MLPClassifier.fit, with n_threads in its BLAS."""
    from sklearn.neural_network import MLPClassifier

    with threadpool_limits(n_threads, user_api="blas"):
        return timed_fit(MLPClassifier(**row.params), X, y)


def timed_fit(estimator, X, y):
    """Seconds of a fit, and its weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = perf_counter()
        estimator.fit(X, y)
        return perf_counter() - start, estimator.coefs_, estimator.intercepts_


def train_torch(row, X, y, n_threads):
    """An eager PyTorch loop, with its fused Adam and the data in tensors beforehand."""
    import torch

    torch.set_num_threads(n_threads)
    layer_units = row.layer_units(X, y)
    rng = check_random_state(row.params["random_state"])
    model = torch_model(torch, layer_units, rng, X.dtype)
    optimizer = torch_adam(torch, model, row.batch_size)
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    if layer_units[-1] == 1:
        loss_function = torch.nn.BCEWithLogitsLoss()
        targets = targets.to(inputs.dtype)[:, None]
    else:
        loss_function = torch.nn.CrossEntropyLoss()

    start = perf_counter()
    order, power = np.arange(len(X)), 1.0
    for _ in range(row.n_epochs):
        order = shuffle(order, random_state=rng)
        for batch in torch.from_numpy(order).split(row.batch_size):
            optimizer.zero_grad()
            loss_function(model(inputs[batch]), targets[batch]).backward()
            # scikit-learn adds epsilon to sqrt(v) before the bias correction, PyTorch after.
            power *= BETAS[1]
            for group in optimizer.param_groups:
                group["eps"] = EPSILON / math.sqrt(1.0 - power)
            optimizer.step()
    seconds = perf_counter() - start

    linear = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    coefs = [layer.weight.detach().numpy().T for layer in linear]
    return seconds, coefs, [layer.bias.detach().numpy() for layer in linear]


def torch_model(torch, layer_units, rng, dtype):
    """ReLU layers with the initial weights that scikit-learn draws."""
    from fastnn.network import Network

    network = Network(layer_units, activation="relu", loss="log_loss")
    params = network.initialize(rng, dtype)
    modules = []
    for coef, intercept in zip(network.coefs(params), network.intercepts(params), strict=True):
        linear = torch.nn.utils.skip_init(torch.nn.Linear, *coef.shape)
        linear.weight = torch.nn.Parameter(torch.from_numpy(coef.T.copy()))
        linear.bias = torch.nn.Parameter(torch.from_numpy(intercept.copy()))
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])


def torch_adam(torch, model, batch_size):
    """Adam with scikit-learn's defaults; L2 on the weights, not on the biases.

    scikit-learn divides alpha by the samples of the mini-batch.
    """
    weights = [p for p in model.parameters() if p.ndim == 2]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": weights, "weight_decay": ALPHA / batch_size},
        {"params": biases, "weight_decay": 0.0},
    ]
    return torch.optim.Adam(groups, lr=LEARNING_RATE, betas=BETAS, eps=EPSILON, fused=True)


@dataclass(frozen=True)
class Peer:
    """A library to measure.

    Parameters
    ----------
    name : str
    train : callable
    thread_counts : tuple of int or None
        Thread counts to try; the fastest is measured.
    environment : dict
        Environment variables of its process.
    warm_up : callable or None
        Compiles ahead for a dtype and returns the seconds.
    """

    name: str
    train: Callable
    thread_counts: tuple
    environment: dict = field(default_factory=dict)
    warm_up: Callable | None = None


def available_peers():
    """fastnn first, then whatever is installed, by name."""
    counts = tuple(sorted({1, peak.n_cores()}))
    # Without its cache on disk, so that the seconds of compiling are those of a first use.
    peers = [
        Peer("fastnn", train_fastnn, (None,), {"FASTNN_CACHE": "0"}, warm_up_fastnn),
        Peer("scikit-learn", train_sklearn, counts),
    ]
    if llvm.get_host_cpu_features().get("avx512f") and blas_architecture() != "SkylakeX":
        environment = {"OPENBLAS_CORETYPE": "SkylakeX"}
        peers.append(Peer("scikit-learn, AVX-512 BLAS kernels", train_sklearn, counts, environment))
    if find_spec("torch"):
        peers.append(Peer("PyTorch eager", train_torch, counts))
    return {peer.name: peer for peer in peers}


def blas_architecture():
    """The kernels that NumPy's OpenBLAS has picked for this CPU; None for another BLAS."""
    return next(
        (pool["architecture"] for pool in threadpool_info() if "architecture" in pool), None
    )


class Worker:
    """A process that trains for one peer."""

    def __init__(self, peer):
        self.peer = peer
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        outside = os.environ.copy()
        os.environ.update(peer.environment)
        try:
            self._pool.submit(int).result()
        finally:
            os.environ.clear()
            os.environ.update(outside)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._pool.shutdown()

    def warm_up(self, dtype):
        """Compile what is compiled ahead; the seconds, or None where nothing is."""
        if self.peer.warm_up is None:
            return None
        return self._pool.submit(self.peer.warm_up, dtype).result()

    def train(self, row, dtype, n_threads):
        """Seconds and final training loss of one training."""
        return self._pool.submit(train_once, self.peer.train, row.name, dtype, n_threads).result()


def warm_up_fastnn(dtype):
    """In a worker: the seconds of fastnn.warmup."""
    import fastnn

    return fastnn.warmup(dtype=dtype)


def train_once(train, row_name, dtype, n_threads):
    """In a worker: train, and judge the weights with the yardstick that serves all."""
    row = ROWS[row_name]
    X, y = load(row_name, dtype)
    seconds, coefs, intercepts = train(row, X, y, n_threads)
    return seconds, log_loss(coefs, intercepts, X, y)


@cache
def load(row_name, dtype):
    """A row's data in a precision."""
    X, y = ROWS[row_name].load()
    return np.ascontiguousarray(X, dtype=dtype), y


def log_loss(coefs, intercepts, X, y):
    """Mean log-loss of a ReLU network over all rows, computed in float64."""
    activations = X.astype(np.float64)
    for coef, intercept in zip(coefs[:-1], intercepts[:-1], strict=True):
        activations = np.maximum(activations @ coef.astype(np.float64) + intercept, 0.0)
    z = activations @ coefs[-1].astype(np.float64) + intercepts[-1]
    if z.shape[1] == 1:
        z = np.hstack([np.zeros_like(z), z])
    largest = z.max(axis=1)
    log_normalizer = largest + np.log(np.exp(z - largest[:, None]).sum(axis=1))
    return float(np.mean(log_normalizer - z[np.arange(len(z)), y]))
