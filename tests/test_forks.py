"""Forks while kernels are imported, loaded or compiled: the child can do what the parent can."""

import os
import subprocess
import sys

import pytest

from cache_programs import UNITS, lines, start
from common import child_environment, run_python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

# Names for all programs below. The alarm ends a child that hangs, and wait_for raises for it.
BEGIN = """
import json, os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")
import numpy as np
import fastnn
X = np.linspace(-1, 1, 400).reshape(100, 4)
y = np.arange(100) % 2

def fit(**params):
    params = dict(hidden_layer_sizes=3, max_iter=2, random_state=0) | params
    model = fastnn.MLPClassifier(**params).fit(X, y)
    return float(model.predict_proba(X).sum() + model.loss_)

def fork(work):
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(100)
            work()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    return pid

def wait_for(pid):
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, status

def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
"""


def run(code, *arguments, **variables):
    """Run a program that begins with BEGIN; return what it prints last."""
    return run_python(BEGIN + code, *arguments, timeout=400, **variables)


@pytest.mark.parametrize("load", [False, True], ids=["compiles", "loads"])
def test_fork_while_another_thread_prepares_units(tmp_path, load):
    """Child and parent fit, predict and use threads; the child is not told to show anything."""
    code = """
if sys.argv[1] == "True":
    pid = fork(fit)
    wait_for(pid)
from fastnn.kernels.cpu import jit
begun, told = threading.Event(), []
def observer(name):
    told.append(os.getpid())
    begun.set()
    time.sleep(0.2)
losses = []
def work():
    with jit.observed(observer):
        losses.append(fit())
thread = in_thread(work)
children = []
def child():
    told.clear()
    losses[:] = [fit(), fit(activation="tanh", n_jobs=2)]
    assert not told
for _ in range(3):
    begun.wait()
    children.append(fork(child))
    begun.clear()
for pid in children:
    wait_for(pid)
thread.join()
print(json.dumps([losses[0] == fit(), os.getpid() in told]))
"""
    assert run(code, load, FASTNN_CACHE=str(tmp_path)) == [True, True]


def test_fork_while_another_thread_imports_the_kernels(tmp_path):
    code = """
import importlib.abc
importing = threading.Event()
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "fastnn.kernels.trainer":
            importing.set()
            time.sleep(1)
sys.meta_path.insert(0, Slow())
thread = in_thread(fit)
importing.wait()
wait_for(fork(fit))
thread.join()
print(json.dumps("done"))
"""
    assert run(code, FASTNN_CACHE=str(tmp_path)) == "done"


# Numba's typing of a user's function takes its time in another thread.
USERS_COMPILATION = """
import numba
from numba.extending import overload
fit()
from fastnn import forks
forks.PATIENCE = float(sys.argv[1])
compiling = threading.Event()
def slow(x):
    return x
@overload(slow)
def overload_slow(x):
    compiling.set()
    time.sleep(float(sys.argv[2]))
    return lambda x: x
function = numba.njit(lambda x: slow(x))
thread = in_thread(lambda: function(1.0))
compiling.wait()
wait_for(fork(lambda: fit(activation="logistic")))
thread.join()
print(json.dumps(function(2.0)))
"""


@pytest.mark.parametrize(("patience", "seconds"), [(10, 1), (0.1, 2)], ids=["waits", "in vain"])
def test_fork_while_a_users_function_is_compiled(tmp_path, patience, seconds):
    found = run(USERS_COMPILATION, patience, seconds, FASTNN_CACHE=str(tmp_path))
    assert found == 2.0


def test_fork_that_waits_in_vain_for_a_unit(tmp_path):
    code = """
from fastnn import forks
from fastnn.kernels.cpu import jit
fit(activation="tanh")
forks.PATIENCE = 0.1
begun = threading.Event()
def observer(name):
    begun.set()
    time.sleep(1)
def work():
    with jit.observed(observer):
        fit()
thread = in_thread(work)
begun.wait()
wait_for(fork(fit))
thread.join()
print(json.dumps("done"))
"""
    assert run(code, FASTNN_CACHE=str(tmp_path)) == "done"


def test_fork_waits_for_the_end_of_a_compilation_that_holds_a_units_lock(tmp_path):
    """Without an end to its patience: the other thread can give the lock back meanwhile."""
    code = """
from fastnn import forks
from fastnn.kernels.cpu import jit
fit()
forks.PATIENCE = 1e6
begun = threading.Event()
def bindings():
    begun.set()
    time.sleep(1)
    return {}
thread = in_thread(lambda: jit.unit(lambda step, task: None, "slow", bindings))
begun.wait()
wait_for(fork(lambda: jit.unit(lambda step, task: None, "slow", None)))
thread.join()
print(json.dumps("done"))
"""
    assert run(code, FASTNN_CACHE=str(tmp_path)) == "done"


def test_fork_by_the_thread_that_compiles(tmp_path):
    """From an observer, and from where a unit's names are bound, which holds all locks."""
    code = """
from fastnn.kernels.cpu import jit
children, told = [], []
def observer(name):
    told.append(name)
    if len(told) == 1:  # the child is told, too
        children.append(fork(fit))
with jit.observed(observer):
    fit()
here = os.getpid()
def bindings():
    children.append(fork(lambda: fit(activation="tanh")))
    return {}
jit.unit(lambda step, task: None, "forks", bindings)
def bindings():
    # The child goes on here, and compiles the unit as the parent does.
    children.append(os.fork())
    return {}
jit.unit(lambda step, task: None, "forks_and_goes_on", bindings)
if os.getpid() != here:
    fit(activation="logistic")
    os._exit(0)
for pid in children:
    wait_for(pid)
fit(activation="logistic")
print(json.dumps(len(children)))
"""
    assert run(code, FASTNN_CACHE=str(tmp_path)) == 3


# Ends while it holds the lock of the unit "one", which a child has inherited that lives on.
LEAVE_A_CHILD = """
import os, subprocess, sys
from fastnn.kernels.cpu import jit
def bindings():
    if sys.argv[1] == "fork":
        pid = os.fork()
        if pid == 0:
            os.closerange(0, 3)
            import time
            time.sleep(1000)
    else:
        keep = sys.argv[1] == "keep"
        devnull = subprocess.DEVNULL
        pid = subprocess.Popen(["sleep", "1000"], close_fds=not keep, stdout=devnull,
                               stderr=devnull, stdin=devnull).pid
    print(pid, flush=True)
    os._exit(0)
jit.unit(lambda step, task: None, "one", bindings)
"""


@pytest.mark.parametrize("how", ["fork", "spawn", "keep"])
def test_child_that_lives_on_holds_no_other_process_up(tmp_path, how):
    process = subprocess.run(
        [sys.executable, "-c", LEAVE_A_CHILD, how],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=child_environment(FASTNN_CACHE=str(tmp_path)),
        timeout=300,
    )
    # Without a limit to its patience, to see that it needs none.
    code = UNITS.replace("def bindings", "jit.cache.PATIENCE = 1e9\ndef bindings")
    try:
        assert "compiles" in lines(start("one", code=code, FASTNN_CACHE=str(tmp_path)))
    finally:
        os.kill(int(process.stdout), 9)


def test_lock_of_a_process_that_stands_still_is_not_waited_for_without_end(tmp_path):
    code = """
import sys, time
from fastnn.kernels.cpu import jit
def bindings():
    print("holds it", flush=True)
    time.sleep(1000)
jit.unit(lambda step, task: None, "one", bindings)
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(FASTNN_CACHE=str(tmp_path)),
    )
    try:
        assert holder.stdout.readline() == "holds it\n"
        code = UNITS.replace("def bindings", "jit.cache.PATIENCE = 0.5\ndef bindings")
        assert "compiles" in lines(start("one", code=code, FASTNN_CACHE=str(tmp_path)))
        assert "compiles" not in lines(start("one", FASTNN_CACHE=str(tmp_path)))
    finally:
        holder.kill()
        holder.communicate()
