"""No kernel reads or writes beyond an array, whatever its strides, shape, dtype or format.

bounds_cases.py makes the calls, in a process of its own, as an access beyond an array ends it.
"""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from common import HELPERS, child_environment
from processors import AVX2, host_has

PROGRAM = HELPERS / "bounds_cases.py"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="mprotect is POSIX's")


def run_program(*arguments, **variables):
    """Run Python with these arguments until it ends, in whatever way."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=child_environment(**variables),
        capture_output=True,
        text=True,
        timeout=3000,
    )


def run_cases(seed, *counts, **variables):
    """Run random calls, so many of each kind; where one fails, say which."""
    process = run_program(PROGRAM, seed, *counts, **variables)
    case = (process.stdout.splitlines() or ["none"])[-1]
    # The status of a process that a signal has ended is less than zero.
    assert process.returncode == 0, f"status {process.returncode} at {case}\n{process.stderr}"
    return json.loads(case)


def test_nothing_beyond_an_array_is_touched():
    run_cases(0, "fit=50", "matmul=80", "perceptron=15", "augment=8")


@pytest.mark.slow
@pytest.mark.parametrize("count", ["any=600", "fit=400", "matmul=1500", "perceptron=200"])
def test_nothing_beyond_an_array_is_touched_in_many_more_calls(count):
    """ "any" are fits with every activation, solver, loss and extra."""
    run_cases(1, count)


@pytest.mark.slow
@pytest.mark.skipif(not host_has("fma"), reason="this processor has no AVX2 with FMA")
def test_nothing_beyond_an_array_is_touched_with_avx2():
    found = run_cases(2, "fit=150", "matmul=300", "perceptron=30", "augment=10", **AVX2)
    assert found["vector_bytes"] == 32


# Reads all of an array, says so, and then what is one byte beyond it.
TOUCH = """
import ctypes, sys
import numpy as np
from guard_pages import allocate
side, stride = sys.argv[1], int(sys.argv[2])
x = allocate((10, 3), np.float64, (stride, 8), at_end=side == "end")
x[...] = 1.0
assert x.sum() == 30
print("read", flush=True)
row = x[:1] if stride > 0 else x[-1:]
ctypes.c_byte.from_address(row.ctypes.data + {"begin": -1, "end": abs(stride) * 9 + 24}[side]).value
"""


@pytest.mark.parametrize("stride", [24, -24, 1 << 20])
@pytest.mark.parametrize("side", ["begin", "end"])
@pytest.mark.slow
def test_guard_pages_guard(side, stride):
    process = run_program("-c", TOUCH, side, stride)
    assert process.stdout == "read\n", process.stderr
    assert process.returncode in (-signal.SIGSEGV, -signal.SIGBUS)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [(), (1,), (4,)])
def test_every_row_the_same_one(hidden, dtype, solver):
    """X is one row, whose stride is 0: the same bits as from as many copies of it."""
    X = np.broadcast_to(np.arange(3.0, dtype=dtype), (500, 3))
    params = dict(hidden_layer_sizes=hidden, solver=solver, max_iter=5, random_state=0)
    y = np.full(500, 7.0)
    model = fastnn.MLPRegressor(**params).fit(X, y)
    assert np.isfinite(model.loss_)
    twin = fastnn.MLPRegressor(**params).fit(X.copy(), y)
    np.testing.assert_equal(model._trained.params, twin._trained.params)
    assert_same = np.testing.assert_array_equal
    assert_same(model.predict(X), model.predict(X.copy()))
    assert_same(model.input_gradient(X), model.input_gradient(X.copy()))


def test_one_row_for_all_is_learned():
    X = np.broadcast_to(np.arange(3.0), (500, 3))
    model = fastnn.MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", random_state=0)
    assert model.fit(X, np.full(500, 7.0)).loss_ < 1e-6
