"""The same bits on every machine: weights by their SHA-256, whatever runs the kernels."""

import json

import pytest

from common import run_python
from processors import AVX2, host_has

# Trains networks of several widths, dense and sparse, with every activation, and prints one hash.
TRAIN = """
import hashlib, json, sys
import numpy as np
from scipy import sparse
import fastnn
from common import share_all_work, with_help
from fastnn.kernels.cpu import simd

n_jobs, force_parallel = json.loads(sys.argv[1])
if force_parallel:
    share_all_work()
rng = np.random.default_rng(0)
X = rng.standard_normal((230, 37))
S = sparse.csr_array(X * (rng.random(X.shape) < 0.2))
targets = {"classes": rng.integers(0, 5, 230), "binary": rng.integers(0, 2, 230),
           "labels": rng.integers(0, 2, (230, 3)), "counts": rng.poisson(2.0, 230)}
params = {"max_iter": 3, "random_state": 0, "n_jobs": n_jobs, "batch_size": 64}

def run():
    digest = hashlib.sha256()
    for dtype in ("float32", "float64"):
        for activation in ("identity", "logistic", "tanh", "relu"):
            for name, y in targets.items():
                for data in (X, S):
                    how = params | {"dtype": dtype, "activation": activation,
                                    "hidden_layer_sizes": (100, 33)}
                    if name == "counts":
                        model = fastnn.MLPRegressor("poisson", **how)
                    else:
                        model = fastnn.MLPClassifier(solver="sgd", **how)
                    model.fit(data, y)
                    for array in (*model.coefs_, *model.intercepts_, model.loss_curve_):
                        digest.update(np.ascontiguousarray(array).tobytes())
                    digest.update(model.predict(data).tobytes())
                    if name != "counts":
                        digest.update(model.predict_log_proba(data).tobytes())
        # A mini-batch large enough for its gradient to be summed in parts.
        model = fastnn.MLPClassifier((10,), **params | {"dtype": dtype, "batch_size": 225})
        model.fit(X, targets["classes"])
        digest.update(model._trained.params.tobytes())
    return digest.hexdigest()

digest = with_help(run) if force_parallel else run()
print(json.dumps([digest, simd.vector_bytes()]))
"""


@pytest.fixture(scope="module")
def serial():
    """Hash and vector size of one thread on this machine as it is."""
    return train(1)


def train(n_jobs, *, force_parallel=False, **variables):
    arguments = json.dumps([n_jobs, force_parallel])
    return run_python(TRAIN, arguments, timeout=600, **variables)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_threads(serial, n_jobs):
    """One thread, and two and three that share all work."""
    result = train(n_jobs, force_parallel=True)
    assert result[0] == serial[0]


@pytest.mark.slow
def test_threads_as_they_come(serial):
    """The number of threads chosen slice by slice, by measurement."""
    assert train(None)[0] == serial[0]


@pytest.mark.slow
@pytest.mark.skipif(not host_has("fma"), reason="this processor has no AVX2 with FMA")
def test_avx2(serial):
    digest, vector_bytes = train(1, **AVX2)
    assert vector_bytes == 32
    assert digest == serial[0]


@pytest.mark.slow
@pytest.mark.skipif(not host_has("avx512f"), reason="this processor has no AVX-512")
@pytest.mark.parametrize("cpu", ["znver4", "icelake-server"])
def test_avx512(serial, cpu):
    """Another processor's tuning and, where LLVM uses them for it, 64-byte vectors."""
    assert train(1, NUMBA_CPU_NAME=cpu)[0] == serial[0]
