"""Compile ahead of time what fits and predictions will need."""

import contextlib
import sys
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn import streams
from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor
from fastnn.kernels import cache
from fastnn.kernels.cpu import helpers, jit


def warmup(dtype="float64", *, activation="relu", solver="adam", device="cpu", verbose=True):
    """Compile, or load from the cache on disk, what a fit and a predict need.

    The first fit on a machine compiles the kernels that it uses, a few seconds' work; they are
    kept on disk, so that later processes load them in a fraction of a second. This function
    does it at a time of your choosing: before a benchmark, or when a container is built.

    Parameters
    ----------
    dtype : {"float64", "float32"}, default="float64"
        The precision to compile for: that of the data, unless the estimator's ``dtype``
        says otherwise.
    activation : str, default="relu"
        The hidden activation, as in the estimators.
    solver : str, default="adam"
        The solver, as in the estimators.
    device : {"cpu", "cuda"}, default="cpu"
        What to compile for. "cuda" needs the GPU.
    verbose : bool, default=True
        Whether to show on stderr what is being compiled.

    Returns
    -------
    seconds : float
        The time it took.

    Raises
    ------
    ValueError
        If a parameter is not one of those above.
    RuntimeError
        If there is no GPU to compile for.

    See Also
    --------
    MLPClassifier, MLPRegressor

    Notes
    -----
    Covers dense data, and of the targets: binary, multiclass and real ones. The environment
    variable ``FASTNN_CACHE`` names another directory for the cache; ``FASTNN_CACHE=0`` turns it
    off, and then this compiles for the running process only.

    Examples
    --------
    >>> import fastnn
    >>> seconds = fastnn.warmup(dtype="float32", verbose=False)
    >>> seconds > 0
    True
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}.")
    begin = time.perf_counter()
    compiled_before = cache.STATS["misses"]
    shown = jit.observed(_show) if verbose else contextlib.nullcontext()
    with shown, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        params = {"activation": activation, "solver": solver, "dtype": dtype, "device": device}
        _tiny_fits(np.dtype(dtype), params)
    seconds = time.perf_counter() - begin
    if verbose:
        compiled = cache.STATS["misses"] - compiled_before
        text = f"\rfastnn: {compiled} kernels compiled for {dtype} in {seconds:.1f} s"
        streams.write_line(text.ljust(78), to="stderr", flush=True)
    return seconds


def _tiny_fits(dtype, params):
    """A fit, and a predict of many rows and of one, for each kind of target."""
    # These fits are too small to want help.
    helpers.serve_at()
    # Rows enough for a mini-batch whose gradient is summed in parts.
    X = np.linspace(-1, 1, 600, dtype=dtype).reshape(300, 2)
    rows = np.arange(300)
    params = params | {"max_iter": 1, "hidden_layer_sizes": (2, 2), "random_state": 0}
    for model, y in (
        (MLPClassifier(**params), rows % 2),
        (MLPClassifier(**params), rows % 3),
        (MLPRegressor(**params), X[:, 0]),
    ):
        model.fit(X, y)
        model.predict(X)
        model.predict(X[:1])


def _show(name):
    """Show the unit at work: one line, rewritten, on a terminal; elsewhere nothing."""
    if streams.is_terminal(sys.stderr):
        text = f"\rfastnn: preparing {name}"
        streams.write_line(text.ljust(78), to="stderr", end="", flush=True)
