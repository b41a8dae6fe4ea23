"""A fit and a prediction need little memory beyond X and y, however large X is."""

import os

import pytest

from common import run_python

GIGABYTE = 10**9
N_SAMPLES, N_FEATURES = 1_000_000, 500  # 4 GB of float64
LIMIT_MB = 250

# The peak of the resident set only ever rises: each figure is the highest so far.
MEASURE = """
import json, resource, sys, warnings
import numpy as np
from fastnn import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore")
n_samples, n_features = int(sys.argv[1]), int(sys.argv[2])

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6

params = dict(hidden_layer_sizes=(64,), max_iter=1, random_state=0)
models = {
    "adam": MLPClassifier(**params),
    "sgd, float32": MLPClassifier(solver="sgd", dtype="float32", **params),
    "early stopping": MLPRegressor(early_stopping=True, **params),
    "lbfgs": MLPRegressor(solver="lbfgs", max_fun=2, **params),
}
rng = np.random.default_rng(0)
small = rng.random((5000, n_features))
labels, weight = np.arange(5000) % 10, np.ones(5000)
for model in models.values():
    model.fit(small, labels, sample_weight=weight).predict(small)

X = np.empty((n_samples, n_features))
for start in range(0, n_samples, 20_000):
    rng.random(out=X[start : start + 20_000])
y = np.arange(n_samples) % 10
weight = np.ones(n_samples)
before = resident_mb()
growth = {"before": peak_mb() - before}
for name, model in models.items():
    model.fit(X, y, sample_weight=weight)
    growth[name] = peak_mb() - before
    model.predict(X)
    growth[name + ", predict"] = peak_mb() - before
print(json.dumps(growth))
"""


def available_bytes():
    with open("/proc/meminfo") as file:
        fields = dict(line.split(":") for line in file)
    return int(fields["MemAvailable"].split()[0]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/meminfo"), reason="reads Linux's /proc")
def test_memory_of_fit():
    """X of 4 GB, C-ordered: the process grows by at most 250 MB beyond X and y."""
    if available_bytes() < 8 * GIGABYTE:
        pytest.skip("needs 8 GB of free memory")
    growth = run_python(MEASURE, N_SAMPLES, N_FEATURES, timeout=600)
    print({name: round(mb) for name, mb in growth.items()})
    assert growth["before"] < 100, "the peak before the fits hides theirs"
    assert max(growth.values()) <= LIMIT_MB, growth
