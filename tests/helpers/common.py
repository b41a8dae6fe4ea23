"""Small problems, scikit-learn's counterparts and comparisons that test modules share."""

import copy
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import sklearn
import sklearn.neural_network
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.fixes import parse_version

import fastnn
from fastnn.estimators.parameter_table import parameters_of

HELPERS = Path(__file__).parent
TESTS = HELPERS.parent
RECORDINGS = TESTS / "recordings"
ESTIMATORS = (fastnn.MLPClassifier, fastnn.MLPRegressor)
SCIKIT_LEARN = {
    fastnn.MLPClassifier: sklearn.neural_network.MLPClassifier,
    fastnn.MLPRegressor: sklearn.neural_network.MLPRegressor,
}
ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
PROBLEMS = ("binary", "multiclass", "multilabel", "regression", "poisson", "multioutput")
CLASSIFICATION = ("binary", "multiclass", "multilabel")


def has_sklearn(version):
    """Whether scikit-learn is of this version or newer."""
    return parse_version(sklearn.__version__) >= parse_version(version)


def needs_sklearn(version):
    """A mark: what the test compares with, or relies on, is in scikit-learn since `version`."""
    return pytest.mark.skipif(not has_sklearn(version), reason=f"needs scikit-learn {version}")


# scikit-learn's estimators solve these problems, too, and take weighted samples in newer versions.
PEER_PROBLEMS = [
    pytest.param(problem, marks=needs_sklearn("1.7")) if problem == "poisson" else problem
    for problem in PROBLEMS
]
PEER_WEIGHTED = [False, pytest.param(True, marks=needs_sklearn("1.7"))]


def fit_twin(estimator, X, y, sample_weight=None):
    """scikit-learn's estimator with the same parameters, fitted."""
    # Before 1.7 there is no such argument, not even for None.
    weight = {} if sample_weight is None else {"sample_weight": sample_weight}
    return scikit_learn_twin(estimator).fit(X, y, **weight)


def estimator_for(problem, **params):
    """An unfitted fastnn estimator for the named problem."""
    if problem in CLASSIFICATION:
        return fastnn.MLPClassifier(**params)
    if problem == "poisson":
        params["loss"] = "poisson"
    return fastnn.MLPRegressor(**params)


def scikit_learn_twin(estimator):
    """scikit-learn's unfitted estimator with the same parameters (less those of our own)."""
    cls = SCIKIT_LEARN[type(estimator)]
    shared = cls().get_params()
    params = {k: v for k, v in estimator.get_params().items() if k in shared}
    return cls(**copy.deepcopy(params))


def make_problem(problem, *, n_samples=57, n_features=7, is_sparse=False, seed=0):
    """Draw (X, y) of the named problem; y follows a random two-layer network."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    if is_sparse:
        X *= rng.random(X.shape) < 0.4
    n_outputs = {"multiclass": 4, "multilabel": 3, "multioutput": 3}.get(problem, 1)
    hidden = np.tanh(X @ rng.standard_normal((n_features, 8)))
    z = hidden @ rng.standard_normal((8, n_outputs)) / 2
    if problem == "binary":
        y = (z[:, 0] > np.median(z)).astype(int)
    elif problem == "multiclass":
        y = np.argmax(z - z.mean(axis=0), axis=1)
    elif problem == "multilabel":
        y = (z > np.median(z, axis=0)).astype(int)
    elif problem == "poisson":
        y = rng.poisson(np.exp(z[:, 0] - 0.5)).astype(float)
    else:
        y = z + 0.1 * rng.standard_normal(z.shape)
        y = y[:, 0] if problem == "regression" else y
    return (sparse.csr_array(X) if is_sparse else X), y


def sample_weights(n_samples, seed=1):
    """Positive weights of different sizes."""
    return np.random.default_rng(seed).uniform(0.2, 3.0, n_samples)


def fitted_attributes(estimator):
    """The public fitted attributes by name, copied."""
    names = [n for n in dir(estimator) if n.endswith("_") and not n.startswith("_")]
    return {n: copy.deepcopy(getattr(estimator, n)) for n in names}


def predictions(estimator, X):
    """Everything the estimator says about X, by method name."""
    methods = ("predict", "predict_proba", "predict_log_proba")
    return {m: getattr(estimator, m)(X) for m in methods if hasattr(estimator, m)}


def assert_same_model(a, b, X):
    """Assert that two fitted estimators have the same bits."""
    for left, right in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    np.testing.assert_equal(predictions(a, X), predictions(b, X))


def as_array(X):
    """X as a dense array."""
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


def outcome(call, *args, **kwargs):
    """Return (result, None), or (None, the exception) if the call raises one."""
    try:
        return call(*args, **kwargs), None
    except Exception as error:
        return None, error


@contextmanager
def left_as_it_was(model, X, y):
    """Assert that the block changes nothing about a fitted model.

    It predicts the same bits, has the same attributes, and goes on training as a copy
    does that was made before.
    """
    said, attributes, twin = predictions(model, X), fitted_attributes(model), copy.deepcopy(model)
    yield
    np.testing.assert_equal(predictions(model, X), said)
    np.testing.assert_equal(fitted_attributes(model), attributes)
    if hasattr(model, "partial_fit"):
        assert_same_model(model.partial_fit(X, y), twin.partial_fit(X, y), X)


def exception_type(error):
    """The type that a user would catch, for instance TypeError for NumPy's UFuncTypeError."""
    public = (NotFittedError, InvalidParameterError, AttributeError, TypeError, ValueError)
    return next(cls for cls in public if isinstance(error, cls))


def assert_raises_as_scikit_learn(call_ours, call_theirs, message):
    """Both raise, the same type of exception, and ours has the words of `message`."""
    _, theirs = outcome(call_theirs)
    assert theirs is not None, "scikit-learn accepts this"
    with pytest.raises(exception_type(theirs), match=message) as caught:
        call_ours()
    assert exception_type(caught.value) is exception_type(theirs)


def child_environment(**variables):
    """The environment for a subprocess that can import fastnn and the helpers of tests."""
    paths = [
        str(Path(fastnn.__file__).parent.parent),
        str(HELPERS),
        os.environ.get("PYTHONPATH", ""),
    ]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **variables}


def run_python(code, *arguments, timeout=300, **variables):
    """Run code in a new interpreter; return the JSON document it prints last."""
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=child_environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def share_all_work():
    """In a process of its own: have ``n_jobs`` threads, no fewer, share all work, however small."""
    from fastnn.kernels.cpu import pace, threads

    threads.resolve_n_jobs = lambda n_jobs: n_jobs
    pace.TOO_SMALL = pace.LARGE = 0
    pace.FIRST_TRIAL = float("inf")


def with_help(call):
    """Repeat the call until helpers take part in it; how soon they come is up to the system."""
    from fastnn.kernels.cpu import helpers

    for _ in range(300):
        before = helpers.pool().board[0, helpers.HELPED]
        result = call()
        if helpers.pool().board[0, helpers.HELPED] > before:
            return result
    raise AssertionError("helpers never took part")


# Parameters that scikit-learn's estimators do not have, with their defaults.
OWN_OF_EACH = {
    Estimator: {
        entry.name: entry.default
        for entry in parameters_of(Estimator.__name__).values()
        if entry.is_own
    }
    for Estimator in ESTIMATORS
}
