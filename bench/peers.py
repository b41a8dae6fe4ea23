"""The libraries that are compared, and the processes that they train in.

They all start from the weights that scikit-learn draws from ``random_state``, shuffle each epoch
with the same draws, and are timed from data in memory to trained weights. A process of its own for
each library and number of threads keeps one's waiting threads off another's cores, and gives each
its own environment.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.util import find_spec
from time import perf_counter

import llvmlite.binding as llvm
import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_info

import peak
import peer_estimators
import peer_jax
import peer_torch
from processes import Process
from rows import ROWS

AVX512_BLAS = {"OPENBLAS_CORETYPE": "SkylakeX"}
# Without its cache on disk the seconds of compiling are those of a first use.
FASTNN_NO_CACHE = {"FASTNN_CACHE": "0"}
# A processor spins for so long before each training.
SECONDS_AWAKE = 0.1
# In a worker: coefs and intercepts of its last training.
last_weights = []


@dataclass(frozen=True)
class Peer:
    """A library to measure.

    Parameters
    ----------
    name : str
    prepare : callable
        See peer_estimators.py.
    thread_counts : tuple of int or None
        Thread counts to try; the fastest is measured.
    environment : dict
        Environment variables of its process.
    is_estimator : bool
        Whether it takes whatever fits scikit-learn's estimators.
    missing : str
        Why it cannot be measured here; empty where it can.
    """

    name: str
    prepare: Callable
    thread_counts: tuple
    environment: dict = field(default_factory=dict)
    is_estimator: bool = False
    missing: str = ""


@cache
def all_peers():
    """Every library, those that cannot be measured here too; fastnn first."""
    counts = thread_counts()
    no_torch = "" if find_spec("torch") else "PyTorch is not installed"
    no_jax = "" if find_spec("jax") else "JAX is not installed"
    fastnn = Peer(
        "fastnn", peer_estimators.prepare_fastnn, (None,), FASTNN_NO_CACHE, is_estimator=True
    )
    sklearn = Peer("scikit-learn", peer_estimators.prepare_sklearn, counts, is_estimator=True)
    peers = [fastnn, sklearn]
    if llvm.get_host_cpu_features().get("avx512f") and blas_architecture() != "SkylakeX":
        name = "scikit-learn, AVX-512 BLAS kernels"
        peers.append(Peer(name, sklearn.prepare, counts, AVX512_BLAS, is_estimator=True))
    peers += [
        Peer("PyTorch eager", peer_torch.prepare_eager, counts, missing=no_torch),
        Peer(
            "PyTorch compiled",
            peer_torch.prepare_compiled,
            counts,
            {"TORCHINDUCTOR_CACHE_DIR": empty_directory()},
            missing=no_torch or no_cxx(),
        ),
        Peer("JAX", peer_jax.prepare, counts, missing=no_jax),
    ]
    return peers


def thread_counts():
    """Thread counts to try: one, and one for each core."""
    return tuple(sorted({1, peak.n_cores()}))


def empty_directory():
    """The name of a new directory, which goes when this process ends."""
    directory = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def no_cxx():
    """Why torch.compile cannot work here; empty where it can."""
    compiler = os.environ.get("CXX", "g++")
    return "" if shutil.which(compiler) else f"torch.compile needs a C++ compiler, {compiler}"


def blas_architecture():
    """The kernels that NumPy's OpenBLAS has picked for this CPU; None for another BLAS."""
    return next(
        (pool["architecture"] for pool in threadpool_info() if "architecture" in pool), None
    )


class Worker:
    """A process that trains for one peer with one number of threads, in one precision."""

    def __init__(self, peer, n_threads, dtype):
        self.n_threads = n_threads
        self._arguments = (dtype, n_threads)
        self._prepare = peer.prepare
        self._process = Process(**peer.environment)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.__exit__(*error)

    def prepare(self, row):
        """Seconds of compiling for the row; None where nothing is compiled ahead."""
        return self._process.call(prepare, self._prepare, row.name, *self._arguments)

    def train(self, row):
        """Seconds of one training."""
        return self._process.call(train, self._prepare, row.name, *self._arguments)

    def loss(self, row):
        """The final loss of the last training."""
        return self._process.call(loss, self._prepare, row.name, *self._arguments)


class Workers:
    """The workers of a run, started when they are first asked for."""

    def __init__(self):
        self._workers = {}
        self._stack = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stack.__exit__(*error)

    def get(self, peer, dtype):
        """A worker of the peer for each number of threads."""
        keys = [(peer.name, n_threads, dtype) for n_threads in peer.thread_counts]
        for key in keys:
            if key not in self._workers:
                self._workers[key] = self._stack.enter_context(Worker(peer, *key[1:]))
        return [self._workers[key] for key in keys]


def prepare(prepare_peer, row_name, dtype, n_threads):
    """In a worker: make ready; seconds of compiling."""
    return prepared(prepare_peer, row_name, dtype, n_threads)[0]


def train(prepare_peer, row_name, dtype, n_threads):
    """In a worker: train; the seconds."""
    train_once = prepared(prepare_peer, row_name, dtype, n_threads)[1]
    wake_core()
    seconds, *last_weights[:] = train_once()
    return seconds


def loss(prepare_peer, row_name, dtype, n_threads):
    """In a worker: judge the last training's weights with the yardstick that serves all."""
    return log_loss(*last_weights, *load(row_name, dtype))


def wake_core():
    """Keep the core busy for a moment: one that has been idle is slow at first."""
    end = perf_counter() + SECONDS_AWAKE
    while perf_counter() < end:
        pass


@lru_cache(1)
def prepared(prepare_peer, row_name, dtype, n_threads):
    return prepare_peer(ROWS[row_name], *load(row_name, dtype), n_threads)


@lru_cache(1)
def load(row_name, dtype):
    """A row's data in a precision."""
    X, y = ROWS[row_name].load()
    if sparse.issparse(X):
        return X.astype(dtype), y
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
