"""What tests of parity with scikit-learn's training share: settings, fits of both, comparisons."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from common import fit_twin, fitted_attributes, needs_sklearn, predictions

SOLVERS = {
    "sgd": dict(solver="sgd", nesterovs_momentum=False, learning_rate_init=0.02),
    "nesterov": dict(solver="sgd", nesterovs_momentum=True, learning_rate_init=0.02),
    # Loose enough that the rate is divided several times in 50 epochs.
    "adaptive": dict(
        solver="sgd",
        learning_rate="adaptive",
        learning_rate_init=0.02,
        tol=0.1,
        n_iter_no_change=8,
    ),
    "adam": dict(solver="adam", learning_rate_init=0.01),
}


# 57 samples in batches of 16: the last batch of an epoch is short.
NETWORK = dict(hidden_layer_sizes=(9, 5), batch_size=16, alpha=0.01, random_state=3)


EPOCHS = dict(max_iter=50, tol=0.0, n_iter_no_change=1000)


dense_or_sparse = pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])


# All four kinds of data, two of them in a full run only.
every_kind = pytest.mark.parametrize(
    "is_sparse, weighted",
    [
        pytest.param(False, False, id="dense-unweighted"),
        pytest.param(True, True, id="sparse-weighted", marks=needs_sklearn("1.7")),
        pytest.param(
            False, True, id="dense-weighted", marks=[pytest.mark.slow, needs_sklearn("1.7")]
        ),
        pytest.param(True, False, id="sparse-unweighted", marks=pytest.mark.slow),
    ],
)


batch_may_be_clipped = pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1")


@pytest.fixture(scope="module", autouse=True)
def _one_blas_thread():
    """Problems as small as these only lose by more, most of all on a busy machine."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def fit_both(ours, X, y, sample_weight=None):
    """Fit ours and scikit-learn's twin of it on the same data."""
    theirs = fit_twin(ours, X, y, sample_weight)
    return ours.fit(X, y, sample_weight=sample_weight), theirs


def assert_parity(ours, theirs, X):
    """Loss curve, weights and predictions agree to the promised tolerances."""
    curve, expected = ours.loss_curve_, theirs.loss_curve_
    assert len(curve) == len(expected)
    assert_allclose(curve[:5], expected[:5], rtol=1e-9, atol=0)
    assert_allclose(curve, expected, rtol=1e-6, atol=0)
    assert_same_network(ours, theirs)
    assert_same_predictions(ours, theirs, X)


def assert_same_network(ours, theirs, atol=1e-6):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert a.dtype == b.dtype
            assert_allclose(a, b, rtol=0, atol=atol)


def assert_same_predictions(ours, theirs, X, rtol=1e-5):
    actual, expected = predictions(ours, X), predictions(theirs, X)
    assert actual.keys() == expected.keys()
    for method, value in expected.items():
        assert actual[method].dtype == value.dtype
        if method == "predict" and hasattr(theirs, "classes_"):
            assert_array_equal(actual[method], value)
        elif method == "predict_log_proba":
            # Where p is near the roundoff of 1, the logarithms of roundings differ.
            sound = expected["predict_proba"] > 1e-8
            assert_allclose(actual[method][sound], value[sound], rtol=rtol, atol=rtol)
        else:
            assert_allclose(actual[method], value, rtol=rtol, atol=rtol)


def assert_same_attributes(ours, theirs, rtol=1e-6):
    """Every public attribute of scikit-learn's exists, with the same type and value."""
    actual, expected = fitted_attributes(ours), fitted_attributes(theirs)
    assert expected.keys() <= actual.keys()
    for name, value in expected.items():
        if name in ("coefs_", "intercepts_"):
            continue  # compared with a tolerance of their own
        if isinstance(value, (str, np.ndarray)) or value is None:
            assert_array_equal(actual[name], value, err_msg=name)
        else:
            assert isinstance(actual[name], type(value))
            assert_allclose(actual[name], value, rtol=rtol, err_msg=name)


# Strong L2 and one hidden layer: two runs that differ by roundoff stay together for
# more iterations than are asked for here (with relu no such problem stays so for ever).
LBFGS = dict(solver="lbfgs", hidden_layer_sizes=(6,), alpha=3.0, tol=1e-7, random_state=3)


def assert_equal_or_close(actual, expected):
    if expected is None:
        assert actual is None
    else:
        assert_allclose(actual, expected, rtol=1e-6)
