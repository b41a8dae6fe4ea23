"""Forks, threading layers and several Python threads: nothing dies, and the bits stay."""

import json
import sys

import pytest

from common import run_python
from fastnn.kernels import threads

# A network and a batch large enough for threads to be wanted.
SETUP = """
import hashlib, json, os, sys, threading, warnings
warnings.simplefilter("ignore")
import numpy as np
import fastnn
from fastnn.kernels import pace, threads
pace.TOO_SMALL = pace.LARGE = 0
pace.FIRST_TRIAL = float("inf")
rng = np.random.default_rng(0)
X, y = rng.standard_normal((2000, 50)), rng.integers(0, 3, 2000)

def fit(seed=0):
    model = fastnn.MLPClassifier((100, 50), random_state=seed, max_iter=3, n_jobs=2).fit(X, y)
    return hashlib.sha256(model._trained.params.tobytes()).hexdigest()
"""
FORK = (
    SETUP
    + """
parent = fit()
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, fit().encode())
    os._exit(0)
os.close(write)
with os.fdopen(read) as pipe:
    result = pipe.read()
status = os.waitpid(child, 0)[1]
print(json.dumps([parent, result, status, fit(), threads._State.started]))
"""
)
TWO_THREADS = (
    SETUP
    + """
alone = [fit(0), fit(1)]
together = [None, None]
def work(i):
    together[i] = fit(i)
workers = [threading.Thread(target=work, args=(i,)) for i in range(2)]
for _ in range(3):
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    workers = [threading.Thread(target=work, args=(i,)) for i in range(2)]
print(json.dumps([alone, together, threads.layer()]))
"""
)
NO_LAYER = (
    SETUP
    + """
print(json.dumps([fit(), threads.layer()]))
"""
)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
@pytest.mark.parametrize("layer", ["default", "workqueue"])
@pytest.mark.slow
def test_forked_child_of_a_parent_that_used_threads(layer):
    parent, child, status, again, threads_ran = run_python(
        FORK, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2"
    )
    assert status == 0
    assert parent == child == again
    assert threads_ran


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
@pytest.mark.slow
def test_forked_child_of_a_parent_that_only_trained_on_one_thread():
    """Asking Numba for its number of threads starts them, too."""
    code = FORK.replace(
        "parent = fit()", "fastnn.MLPClassifier((2,), max_iter=1).fit(X[:9], y[:9])"
    )
    code = code.replace("print(json.dumps([parent,", "print(json.dumps([fit(),")
    parent, child, status, *_ = run_python(code, NUMBA_NUM_THREADS="2")
    assert status == 0
    assert parent == child


@pytest.mark.parametrize("layer", ["default", "workqueue"])
@pytest.mark.slow
def test_two_python_threads(layer):
    alone, together, used = run_python(
        TWO_THREADS, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2"
    )
    assert together == alone
    assert used == "workqueue" or layer == "default"


@pytest.mark.slow
def test_machine_without_a_threading_layer(monkeypatch):
    """Where no layer can be loaded the work runs on one thread."""
    expected, used = run_python(NO_LAYER, NUMBA_NUM_THREADS="2")
    assert used is not None
    blocked = SETUP.replace(
        "import fastnn\n",
        "import fastnn, numba.np.ufunc.parallel as parallel\n"
        "def fail(): raise ValueError('No threading layer could be loaded.')\n"
        "parallel._launch_threads = fail\n",
    )
    result, used = run_python(
        blocked + "print(json.dumps([fit(), threads.layer()]))", NUMBA_NUM_THREADS="2"
    )
    assert used is None
    assert result == expected


@pytest.mark.parametrize(
    ("n_jobs", "expected"), [(None, 3), (1, 1), (2, 2), (100, 4), (-1, 4), (-2, 4), (-1000, 1)]
)
def test_n_jobs(monkeypatch, n_jobs, expected):
    """None is what Numba would use; negative numbers count from all processors."""
    import numba

    monkeypatch.setattr(numba, "get_num_threads", lambda: 3)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 4)
    monkeypatch.setattr(threads.joblib, "cpu_count", lambda: 5)
    assert threads.resolve_n_jobs(n_jobs) == expected


def test_numbas_own_setting_comes_back():
    import numba

    before = numba.get_num_threads()
    with threads.team(min(2, before)) as team:
        assert team <= 2
    assert numba.get_num_threads() == before
    assert json.dumps(before)
