"""Threads: how many there may be, forks, other users of threads, and ends; and the same bits."""

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from common import child_environment, run_python
from fastnn.kernels.cpu import threads

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# A network whose fits share all their work, on two threads even where there is one processor.
SETUP = """
import hashlib, json, os, sys, threading, time, warnings
warnings.simplefilter("ignore")
import numpy as np
import fastnn
from common import share_all_work, with_help
from fastnn.kernels.cpu import helpers, threads

resolve_n_jobs = threads.resolve_n_jobs
share_all_work()
rng = np.random.default_rng(0)
X, y = rng.standard_normal((2000, 50)), rng.integers(0, 3, 2000)

def fit(seed=0, n_jobs=2):
    model = fastnn.MLPClassifier((100, 50), random_state=seed, max_iter=3, n_jobs=n_jobs)
    return hashlib.sha256(model.fit(X, y)._trained.params.tobytes()).hexdigest()

def fit_with_help():
    return with_help(fit)

def in_child(call):
    # Make the call in a forked child; return its result and the child's status.
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, json.dumps(call()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    return json.loads(answer or '""'), os.waitpid(child, 0)[1]

ended = threading.Event()

def train_until_ended():
    while not ended.is_set():
        fit()

def train_long():
    # One fit, as NumPy's own C++ code aborts where the interpreter ends around it.
    fastnn.MLPClassifier((100, 50), n_jobs=2, max_iter=10**6, n_iter_no_change=10**6).fit(X, y)

def in_background(call, n_times=1):
    begun = [threading.Thread(target=call, daemon=True) for _ in range(n_times)]
    for thread in begun:
        thread.start()
    return begun
"""


@cache
def digest_alone():
    """The digest that `fit` of the programs here returns on one thread."""
    return run_python(SETUP + "print(json.dumps(fit(n_jobs=1)))")


def run_program(code, **variables):
    return run_python(SETUP + code, **variables)


# ---- forks ----------------------------------------------------------------------------


@needs_fork
@pytest.mark.slow
def test_forked_child_has_helpers_of_its_own():
    result = run_program(
        "parent = fit_with_help()\n"
        "child = in_child(fit_with_help)\n"
        "print(json.dumps([parent, *child, fit_with_help()]))"
    )
    assert result == [digest_alone(), digest_alone(), 0, digest_alone()]


@needs_fork
@pytest.mark.slow
def test_forked_grandchild_has_helpers_of_its_own():
    result = run_program(
        "def child():\n"
        "    return [fit_with_help(), *in_child(fit_with_help)]\n"
        "print(json.dumps([fit_with_help(), *in_child(child)]))"
    )
    assert result == [digest_alone(), [digest_alone(), digest_alone(), 0], 0]


@needs_fork
@pytest.mark.slow
def test_fork_while_other_threads_train():
    results = run_program(
        "fit_with_help()\n"
        "training = in_background(train_until_ended, 2)\n"
        "results = []\n"
        "for _ in range(10):\n"
        "    time.sleep(0.01)\n"
        "    results.append(in_child(fit_with_help))\n"
        # NumPy's own C++ code aborts where the interpreter ends around it.
        "ended.set()\n"
        "for thread in training: thread.join()\n"
        "print(json.dumps(results))"
    )
    assert results == [[digest_alone(), 0]] * 10


@needs_fork
@pytest.mark.slow
def test_fork_while_another_thread_makes_helpers():
    """The child's lock is a new one, whoever holds the parent's."""
    result = run_program(
        "held = threading.Event()\n"
        "def hold():\n"
        "    with helpers.pool()._lock:\n"
        "        held.set()\n"
        "        time.sleep(1000)\n"
        "in_background(hold)\n"
        "held.wait()\n"
        "print(json.dumps(in_child(fit_with_help)))"
    )
    assert result == [digest_alone(), 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend", ["loky", "threading", pytest.param("multiprocessing", marks=needs_fork)]
)
def test_joblib_workers(backend):
    result = run_python(
        SETUP + "from joblib import Parallel, delayed\n"
        "def work(setup):\n"
        "    names = {}\n"
        "    exec(setup, names)\n"
        "    return names['fit_with_help']()\n"
        "fit_with_help()\n"
        "parallel = Parallel(n_jobs=2, backend=sys.argv[1])\n"
        "print(json.dumps(parallel(delayed(work)(sys.argv[2]) for _ in range(4))))",
        backend,
        SETUP,
    )
    assert result == [digest_alone()] * 4


@needs_fork
@pytest.mark.slow
def test_pool_of_forked_processes():
    result = run_program(
        "import multiprocessing\n"
        "fit_with_help()\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    results = [pool.apply_async(fit_with_help) for _ in range(4)]\n"
        "    print(json.dumps([result.get() for result in results]))"
    )
    assert result == [digest_alone()] * 4


# ---- other threads ----------------------------------------------------------------------


@pytest.mark.slow
def test_several_python_threads_train_and_predict_at_once():
    result = run_program(
        "model = fastnn.MLPClassifier((100, 50), random_state=0, max_iter=3, n_jobs=4).fit(X, y)\n"
        "expected = [model.predict_proba(X[:n]) for n in range(1, 300)]\n"
        "wrong = []\n"
        "def work(seed):\n"
        "    for n in np.random.default_rng(seed).integers(1, 300, 300):\n"
        "        if not np.array_equal(model.predict_proba(X[:n]), expected[n - 1]):\n"
        "            wrong.append(int(n))\n"
        "    digests.append(fit(n_jobs=3))\n"
        "digests = []\n"
        "workers = [threading.Thread(target=work, args=(i,)) for i in range(5)]\n"
        "[worker.start() for worker in workers]\n"
        "[worker.join() for worker in workers]\n"
        "print(json.dumps([wrong, digests]))"
    )
    assert result == [[], [digest_alone()] * 5]


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_beside_a_parallel_loop_of_the_users(layer):
    """Numba's workqueue aborts a process in which two threads enter it."""
    result = run_program(
        "import numba\n"
        "@numba.njit(parallel=True)\n"
        "def count(n):\n"
        "    total = 0\n"
        "    for i in numba.prange(n):\n"
        "        total += i & 1\n"
        "    return total\n"
        "count(10)\n"
        "counts, stop = [], threading.Event()\n"
        "def work():\n"
        "    while not stop.is_set():\n"
        "        counts.append(count(1_000_000))\n"
        "worker = threading.Thread(target=work)\n"
        "worker.start()\n"
        "digests = {fit_with_help() for _ in range(20)}\n"
        "stop.set()\n"
        "worker.join()\n"
        "print(json.dumps([list(digests), set(counts) == {500_000}, numba.threading_layer()]))",
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS="2",
    )
    assert result[:2] == [[digest_alone()], True]
    assert result[2] == "workqueue" or layer == "default"


@pytest.mark.slow
def test_numbas_threads_are_not_started():
    digest, layer = run_program(
        "import numba\n"
        "digest = fit_with_help()\n"
        "threads.resolve_n_jobs = resolve_n_jobs\n"
        "fit(n_jobs=None)\n"
        "try:\n"
        "    layer = numba.threading_layer()\n"
        "except ValueError:\n"
        "    layer = None\n"
        "print(json.dumps([digest, layer]))"
    )
    assert digest == digest_alone()
    assert layer is None


@pytest.mark.slow
@pytest.mark.parametrize("number", ["2048", "none"])
def test_numbers_of_threads_that_numba_cannot_have(number):
    result = run_program(
        "at_least_one = resolve_n_jobs(None) >= 1\n"
        "print(json.dumps([at_least_one, fit_with_help()]))",
        NUMBA_NUM_THREADS=number,
    )
    assert result == [True, digest_alone()]


@pytest.mark.slow
def test_a_system_without_threads():
    result = run_program(
        "def fail(thread):\n"
        "    raise RuntimeError('can\\'t start new thread')\n"
        "threading.Thread.start = fail\n"
        "print(json.dumps([fit(), fit(), helpers.pool().size]))"
    )
    assert result == [digest_alone(), digest_alone(), 0]


# ---- interrupts, rest and ends ----------------------------------------------------------


@pytest.mark.slow
def test_helpers_rest_when_there_is_no_work():
    awake, entered, left = run_program(
        "fit_with_help()\n"
        "board = helpers.pool().board[0]\n"
        "deadline = time.monotonic() + 60\n"
        "while board[helpers.AWAKE] and time.monotonic() < deadline:\n"
        "    time.sleep(0.01)\n"
        "words = helpers.AWAKE, helpers.ENTERED, helpers.LEFT\n"
        "print(json.dumps([int(board[word]) for word in words]))"
    )
    assert awake == 0
    assert entered == left > 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows sends no SIGINT to one process")
def test_control_c_leaves_nothing_behind():
    """No slot is lost, no helper stays in a job that has ended, and the next fit has help."""
    n_interrupts, taken, wanted, digest = run_program(
        "import signal\n"
        "model = fastnn.MLPClassifier((100, 50), random_state=0, max_iter=3, n_jobs=2).fit(X, y)\n"
        "for n_rows in (10, 300, 2000):\n"
        "    model.predict_proba(X[:n_rows])\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
        "n_interrupts = 0\n"
        "for i in range(200):\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0001 * i)\n"
        "        while True:\n"
        "            model.predict_proba(X[: 10 * i + 10])\n"
        "    except KeyboardInterrupt:\n"
        "        n_interrupts += 1\n"
        "slots = helpers.pool().board[1:]\n"
        "print(json.dumps([n_interrupts, *slots[:, [helpers.TAKEN, helpers.WANTED]].T.tolist(),\n"
        "                  fit_with_help()]))"
    )
    assert n_interrupts == 200
    assert not any(taken) and not any(wanted)
    assert digest == digest_alone()


ENDS = {
    "at once": "fit_with_help()",
    "while a thread trains": "fit_with_help(); in_background(train_long, 2); time.sleep(0.02)",
    "in a fit": (
        "import signal\n"
        "signal.signal(signal.SIGALRM, lambda *_: sys.exit(0))\n"
        "fit_with_help()\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.02)\n"
        "train_until_ended()"
    ),
    "with a fit": "import atexit; atexit.register(lambda: print(fit())); fit_with_help()",
}


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_the_process_ends(end):
    if "signal" in ENDS[end] and not hasattr(os, "fork"):
        pytest.skip("Windows has no SIGALRM")
    for mode in [[]] * 3 + [["-X", "dev"]]:
        process = subprocess.run(
            [sys.executable, *mode, "-c", SETUP + ENDS[end]],
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (process.returncode, process.stderr) == (0, "")
        assert process.stdout in ("", digest_alone() + "\n")


# ---- how many ---------------------------------------------------------------------------


@pytest.fixture
def eight(monkeypatch):
    """A process with eight processors and no limits."""
    monkeypatch.setattr(threads, "n_processors", lambda: 8)
    monkeypatch.setattr(threads.numba.config, "NUMBA_NUM_THREADS", 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with threadpool_limits(8):
        yield monkeypatch


@pytest.mark.parametrize(
    ("n_jobs", "expected"),
    [(None, 8), (1, 1), (2, 2), (100, 8), (-1, 8), (-2, 7), (-1000, 1), (np.int64(3), 3)],
)
def test_n_jobs(eight, n_jobs, expected):
    """None is as many as there are processors; negative numbers count from them."""
    assert threads.resolve_n_jobs(n_jobs) == expected


def numbers():
    """For n_jobs of None, -1, -5, 2 and 6."""
    return [threads.resolve_n_jobs(n_jobs) for n_jobs in (None, -1, -5, 2, 6)]


def test_number_of_numba(eight):
    eight.setattr(threads.numba.config, "NUMBA_NUM_THREADS", 3)
    assert numbers() == [3, 3, 3, 2, 3]


@pytest.mark.parametrize("text", ["3", " 3", "3,2"])
def test_number_of_openmp(eight, text):
    """A positive n_jobs overrules the environment variable, but no limit that was set since."""
    eight.setenv("OMP_NUM_THREADS", text)
    assert numbers() == [3, 3, 3, 2, 6]
    with threadpool_limits(1):
        assert numbers() == [1] * 5


@pytest.mark.parametrize("text", ["", "many", "0", "-2", ",3"])
def test_number_of_openmp_that_is_none(eight, text):
    eight.setenv("OMP_NUM_THREADS", text)
    assert numbers() == [8, 8, 4, 2, 6]


@pytest.mark.parametrize("limits", [3, {"openmp": 3}, {"openmp": 3, "blas": 5}])
def test_limit_of_threadpoolctl(eight, limits):
    with threadpool_limits(limits):
        assert numbers() == [3, 3, 3, 2, 3]
    assert numbers() == [8, 8, 4, 2, 6]


def test_limit_of_threadpoolctl_on_blas(eight):
    """A positive n_jobs speaks of these threads; the limit does not."""
    with threadpool_limits(3, user_api="blas"):
        assert numbers() == [3, 3, 3, 2, 6]


def test_cpu_affinity(monkeypatch):
    counts = {2: 2, 5: 4}  # of an affinity of five processors, the quota leaves four
    affinity = 5
    monkeypatch.setattr(threads, "_affinity", lambda: affinity)
    monkeypatch.setattr(threads.joblib, "cpu_count", lambda: counts[affinity])
    threads._count_processors.cache_clear()
    assert threads.n_processors() == 4
    affinity = 2
    assert threads.n_processors() == 2
    affinity = 5
    assert threads.n_processors() == 4
    threads._count_processors.cache_clear()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_process_that_is_bound_to_a_processor():
    code = (
        "import json, os\n"
        "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])\n"
        "from fastnn.kernels.cpu import threads\n"
        "print(json.dumps([threads.resolve_n_jobs(n_jobs) for n_jobs in (None, -1, 2)]))"
    )
    assert run_python(code) == [1, 1, 1]


def test_joblibs_variable_that_is_no_number(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "many")
    threads._count_processors.cache_clear()
    assert threads.n_processors() >= 1
    threads._count_processors.cache_clear()


def test_more_threads_than_can_be(eight):
    eight.setattr(threads, "n_processors", lambda: 5000)
    eight.setattr(threads.numba.config, "NUMBA_NUM_THREADS", 2048)
    eight.setattr(threads, "_library_limit", lambda api: 3000)
    assert threads.resolve_n_jobs(5000) == threads.resolve_n_jobs(-1) == threads.MAX_THREADS


@pytest.mark.slow
def test_no_more_helpers_than_there_is_work_for():
    digest, size = run_program("print(json.dumps([fit(n_jobs=1000), helpers.pool().size]))")
    assert digest == digest_alone()
    assert 0 < size < 40
