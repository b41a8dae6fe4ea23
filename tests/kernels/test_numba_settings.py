"""Numba's environment variables: a fit has the same result with each, or names it in its error."""

import pytest

from cache_programs import UNITS, lines, start
from common import run_python

FIT = """
import contextlib, hashlib, io, json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import fastnn
from fastnn.kernels import cache
X = np.linspace(-1, 1, 400).reshape(100, 4)
with contextlib.redirect_stdout(io.StringIO()):  # what Numba shows of its work
    model = fastnn.MLPClassifier((8,), max_iter=2, random_state=0).fit(X, np.arange(100) % 3)
    model.predict(X)
print(json.dumps([hashlib.sha256(model.coefs_[0].tobytes()).hexdigest(), cache.STATS]))
"""
WITHOUT_COMPILER = """
import fastnn
try:
    fastnn.MLPRegressor(max_iter=1).fit([[0.0], [1.0]], [0.0, 1.0])
except RuntimeError as error:
    print(error, file=__import__("sys").stderr)
"""


@pytest.fixture(scope="module")
def usual():
    """The weights that a fit has without any of them, as a hash."""
    return run_python(FIT)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        "NUMBA_OPT=1",
        "NUMBA_OPT=2",
        "NUMBA_OPT=max",
        "NUMBA_DEBUGINFO=1",
        "NUMBA_BOUNDSCHECK=1",
        "NUMBA_CPU_NAME=generic",
        "NUMBA_CPU_FEATURES=",
        "NUMBA_CAPTURED_ERRORS=old_style",
        "NUMBA_ENABLE_PROFILING=1",
        "NUMBA_DUMP_OPTIMIZED=1",
        "NUMBA_DUMP_ASSEMBLY=1",
        "NUMBA_DEBUG=1",
        "NUMBA_CACHE_DIR=/nonexistent",
        "NUMBA_CACHE_LOCATOR_CLASSES=Nonsense",
        "NUMBA_LLVM_REFPRUNE_PASS=0",
        "NUMBA_SLP_VECTORIZE=1",
        "NUMBA_FORCE_PYOBJECT=1",
    ],
)
def test_setting_changes_no_result(tmp_path, usual, setting):
    """Compiled with it, and loaded with it."""
    variables = {"FASTNN_CACHE": str(tmp_path), **dict([setting.split("=")])}
    compiled, loaded = run_python(FIT, **variables), run_python(FIT, **variables)
    assert compiled[0] == loaded[0] == usual
    assert compiled[1]["saved"] == compiled[1]["misses"] == loaded[1]["hits"] > 0


@pytest.mark.slow
def test_code_that_is_not_optimised_is_not_kept(tmp_path, usual):
    """It refers to addresses of the process that has compiled it."""
    for _ in range(2):
        weights, counts = run_python(FIT, FASTNN_CACHE=str(tmp_path), NUMBA_OPT="0")
        assert weights == usual
        assert counts["hits"] + counts["saved"] < counts["misses"] + counts["hits"]


@pytest.mark.slow
def test_without_a_compiler_one_sentence_says_so(tmp_path):
    variables = {"FASTNN_CACHE": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    (said,) = lines(start(code=WITHOUT_COMPILER, **variables))
    assert said.startswith("NUMBA_DISABLE_JIT turns Numba's compiler off") and "unset it" in said
    lines(start("one", FASTNN_CACHE=str(tmp_path)))
    assert lines(start("one", **variables)) == []  # because it is in the cache


@pytest.mark.slow
def test_settings_of_the_moment_count(tmp_path):
    """A program that changes one does not spoil what others find."""
    code = (
        UNITS
        + """
import os
os.environ["NUMBA_OPT"] = "1"
jit.unit(lambda step, task: None, "under_another_setting", bindings)
"""
    )
    cached = {"FASTNN_CACHE": str(tmp_path)}
    lines(start("one", code=code, **cached))
    assert "compiles" not in lines(start("one", **cached))
    assert "compiles" in lines(start("under_another_setting", **cached))
    assert "compiles" not in lines(start("under_another_setting", NUMBA_OPT="1", **cached))
